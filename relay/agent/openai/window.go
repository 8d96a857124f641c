package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sethvargo/go-retry"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/memo"
)

const (
	// kept is how long a conversation's window is remembered after its last turn.
	kept = 7 * 24 * time.Hour
	// keptApart is the same for an answer that has no place in its window.
	keptApart = 24 * time.Hour
	// maxWindow bounds a window, in bytes of its JSON.
	maxWindow = 64 << 10
	// repeats is how many of a conversation's last events may come again after a crash. Their answers are kept even where
	// the window has no place for them.
	repeats = 2
	// maxBare is how long an answer may be in a window that has no place for what was asked.
	maxBare = 1 << 10
)

// turn is one event and its answer. Its JSON form is stored, so names stay.
type turn struct {
	Event  string `json:"event"`
	Asked  string `json:"asked,omitempty"`
	Answer string `json:"answer,omitempty"`
	// Apart says that the answer is kept as a value of its own.
	Apart bool `json:"apart,omitempty"`
}

// window is what is remembered of a conversation: its last turns, in order.
type window struct {
	Turns []turn `json:"turns"`
}

// load returns the conversation's window.
func (a *Agent) load(ctx context.Context, session string) (window, error) {
	value, err := a.wire.Memory.Load(ctx, "window/"+session)
	if err != nil {
		return window{}, fmt.Errorf("load window: %w", err)
	}
	return decode(value), nil
}

// decode is the window in a saved value. None, and one that cannot be read, are empty: to refuse would not mend it.
func decode(value []byte) window {
	var w window
	if json.Unmarshal(value, &w) != nil {
		return window{}
	}
	return w
}

// remember saves the window. If that fails, the answer is said all the same, and the conversation goes on as if the turn
// had not been: to give up the attempt would have the model answer again, as often as the memory fails.
func (a *Agent) remember(ctx context.Context, session string, e relay.Event, w window) {
	w, apart := w.trimmed(a.turns)
	value, err := encode(w)
	ctx, cancel := context.WithTimeout(ctx, a.times.save)
	defer cancel()
	for _, t := range apart { // before the window, which refers to them
		if err == nil {
			err = a.save(ctx, "answer/"+t.Event, []byte(t.Answer), keptApart)
		}
	}
	if err == nil {
		err = a.save(ctx, "window/"+session, value, kept)
	}
	if err != nil {
		a.wire.Log.Warn("answer is not remembered: it may be made again, and the next ones do not know of it",
			zap.String("agent", a.wire.Name), zap.String("eventId", e.ID), zap.String("im", e.Account),
			zap.String("conversationId", e.Conversation), zap.String("sender", e.Note.Sender))
	}
}

// save saves a value, again and again while the memory cannot.
func (a *Agent) save(ctx context.Context, name string, value []byte, keep time.Duration) error {
	return retry.Do(ctx, retry.NewConstant(a.times.again), func(ctx context.Context) error {
		err := a.wire.Memory.Save(ctx, name, value, keep)
		if errors.Is(err, memo.ErrUnavailable) {
			return retry.RetryableError(err)
		}
		return err
	})
}

// answered is what was answered to the event, and whether that is known.
func (a *Agent) answered(ctx context.Context, w window, eventID string) (string, bool, error) {
	i := slices.IndexFunc(w.Turns, func(t turn) bool { return t.Event == eventID })
	switch {
	case i < 0:
		return "", false, nil
	case !w.Turns[i].Apart:
		return w.Turns[i].Answer, true, nil
	}
	value, err := a.wire.Memory.Load(ctx, "answer/"+eventID)
	if err != nil {
		return "", false, fmt.Errorf("load answer: %w", err)
	}
	return string(value), value != nil, nil
}

// history is what the model is shown: of the last n turns those that were answered, and of those the last that fit.
func (w window) history(n int) []turn {
	var out []turn
	size := 0
	for _, t := range slices.Backward(w.Turns[max(0, len(w.Turns)-n):]) {
		if t.Asked == "" || t.Answer == "" {
			continue
		}
		if size += t.size(); size > maxWindow {
			break
		}
		out = append(out, t)
	}
	slices.Reverse(out)
	return out
}

// with is the window after a further turn, for which the model was shown no more than shown. What was too long once is
// so again: turns that were left out are gone, but for those that may be repeated.
func (w window) with(shown []turn, t turn) window {
	first := len(w.Turns)
	if len(shown) > 0 {
		first = slices.Index(w.Turns, shown[0])
	}
	first = max(0, min(first, len(w.Turns)-repeats+1))
	return window{Turns: append(slices.Clone(w.Turns[first:]), t)}
}

// trimmed is what of the window is saved: the last n turns that fit, and the events that may be repeated. Those of them
// whose answers do not fit are returned as well.
func (w window) trimmed(n int) (window, []turn) {
	turns := slices.Clone(w.Turns[max(0, len(w.Turns)-max(n, repeats)):])
	var apart []turn
	for i := max(0, len(turns)-repeats); i < len(turns); i++ {
		if sizeOf(turns[i:i+1]) > maxWindow { // it would push all others out, and not fit all the same
			turns[i] = bare(turns[i], &apart)
		}
	}
	for len(turns) > repeats && sizeOf(turns) > maxWindow {
		turns = turns[1:]
	}
	for i := 0; i < len(turns) && sizeOf(turns) > maxWindow; i++ {
		turns[i] = bare(turns[i], &apart)
	}
	return window{Turns: turns}, apart
}

// bare is the turn without its texts. An answer that is not short is added to those that are kept apart.
func bare(t turn, apart *[]turn) turn {
	switch {
	case t.Apart:
		return t
	case encodedLen(t.Answer) <= maxBare:
		return turn{Event: t.Event, Answer: t.Answer}
	}
	*apart = append(*apart, t)
	return turn{Event: t.Event, Apart: true}
}

// size is how long the turn is in JSON.
func (t turn) size() int {
	b, _ := encode(t) // strings always encode
	return len(b) + 1
}

// sizeOf is how long a window of the turns is in JSON.
func sizeOf(turns []turn) int {
	n := len(`{"turns":[]}`)
	for _, t := range turns {
		n += t.size()
	}
	return n
}
