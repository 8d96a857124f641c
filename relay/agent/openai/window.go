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
	kept = 30 * 24 * time.Hour
	// maxWindow bounds a window, in bytes of its JSON.
	maxWindow = 64 << 10
	// maxSaved is the same for the turns that are kept for repeats only.
	maxSaved = memo.MaxValue - 1<<10
	// repeats is how many of a conversation's last events may come again after a crash. Their answers are kept even where
	// the window has no place for them.
	repeats = 2
)

// turn is one event and its answer. Its JSON form is stored, so names stay.
type turn struct {
	Event  string `json:"event"`
	Asked  string `json:"asked,omitempty"`
	Answer string `json:"answer,omitempty"`
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
	w = w.trimmed(a.turns)
	value, err := encode(w)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, a.times.save)
		defer cancel()
		err = retry.Do(ctx, retry.NewConstant(a.times.again), func(ctx context.Context) error {
			err := a.wire.Memory.Save(ctx, "window/"+session, value, kept)
			if errors.Is(err, memo.ErrUnavailable) {
				return retry.RetryableError(err)
			}
			return err
		})
	}
	if err != nil {
		a.wire.Log.Warn("answer is not remembered: it may be made again, and the next ones do not know of it",
			zap.String("agent", a.wire.Name), zap.String("eventId", e.ID), zap.String("im", e.Account),
			zap.String("conversationId", e.Conversation), zap.String("sender", e.Note.Sender))
	}
}

// answer is what was answered to the event.
func (w window) answer(eventID string) (string, bool) {
	for _, t := range w.Turns {
		if t.Event == eventID {
			return t.Answer, true
		}
	}
	return "", false
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

// trimmed is what of the window is saved: the last n turns that fit, and those that may be repeated.
func (w window) trimmed(n int) window {
	turns := slices.Clone(w.Turns[max(0, len(w.Turns)-max(n, repeats)):])
	for len(turns) > repeats && sizeOf(turns) > maxWindow {
		turns = turns[1:]
	}
	for i := range turns {
		if encodedLen(turns[i].Asked) > maxWindow {
			turns[i].Asked = ""
		}
	}
	for len(turns) > 1 && sizeOf(turns) > maxSaved {
		turns = turns[1:]
	}
	return window{Turns: turns}
}

// size is how long the turn is in JSON.
func (t turn) size() int {
	b, _ := encode(t) // strings always encode
	return len(b) + 1
}

func sizeOf(turns []turn) int {
	n := 0
	for _, t := range turns {
		n += t.size()
	}
	return n
}
