package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sethvargo/go-retry"
	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

// The alarms of a poll, beside that of the token.
const (
	alarmConflict = "conflict"
	alarmAway     = "disconnected"
)

const conflictText = "Telegram gives the updates elsewhere: stop the other program that polls with this token, " +
	"or call deleteWebhook if a webhook is set, or unset poll"

// updates are the kinds of updates that are asked for. Telegram gives those of reactions, polls and inline queries only
// to bots that ask, and they are of no conversation.
var updates = []string{
	"message", "edited_message", "channel_post", "edited_channel_post", "callback_query", "my_chat_member",
	"business_connection", "business_message", "edited_business_message", "deleted_business_messages",
}

const (
	// mostUpdates is how many come in one answer, and maxUpdates how long that may be: an update with all that it
	// quotes is well under 100 KiB.
	mostUpdates = 100
	maxUpdates  = 16 << 20
)

// times are how long things take.
type times struct {
	// poll is how long Telegram may hold an answer back, slack what is granted on top of that.
	poll, slack time.Duration
	// again and atMost bound the pause after a failure; slow is the shortest after one that an operator must mend.
	again, atMost, slow time.Duration
	// empty is the shortest time between two answers of nothing: a server may know no long polls.
	empty time.Duration
	// alarm is how long there may be no answer before operators are told, and calm how long no conflict before they are
	// told that it is over: two programs that poll both get answers now and then.
	alarm, calm time.Duration
}

var usual = times{
	poll: 50 * time.Second, slack: 15 * time.Second, again: time.Second, atMost: time.Minute, slow: 30 * time.Second,
	empty: time.Second, alarm: time.Minute, calm: 3 * time.Minute,
}

// Poller is a [Connector] that asks Telegram for updates.
type Poller struct {
	*Connector

	times times
}

// polling is what a Poller remembers while it runs.
type polling struct {
	// offset is the first update that was not taken yet; 0: whichever is first.
	offset int64
	limit  int
	// conflicted is when somebody else was seen to poll.
	conflicted time.Time
	told       bool
}

// trouble is a failed poll.
type trouble struct {
	reason string
	// alarm is what an operator must mend; empty: nothing is known.
	alarm string
	after time.Duration
}

func (t *trouble) Error() string { return t.reason }

// errTake is a relay that cannot take an update now.
var errTake = errors.New("the relay cannot take an update now")

// Run implements [outbound.Resident]. Updates go to the inlet one by one, in order, byte for byte as they stood in the
// answer, and Telegram is told to forget those only that the inlet has taken. Nobody else may poll meanwhile, and no
// webhook be set: Run deletes none.
func (p *Poller) Run(ctx context.Context) {
	state := polling{limit: mostUpdates}
	backoff := p.backoff()
	good := time.Now()
	for {
		began := time.Now()
		n, err := p.round(ctx, &state)
		if ctx.Err() != nil {
			break
		}
		var wait time.Duration
		if err == nil {
			backoff, good = p.backoff(), time.Now()
			p.well(&state)
			if n == 0 {
				wait = p.times.empty - time.Since(began)
			}
		} else {
			wait, _ = backoff.Next()
			wait = max(wait, p.ill(&state, err, good))
		}
		if !connector.Pause(ctx, wait) {
			break
		}
	}
	for _, what := range []string{alarmConflict, alarmAway} {
		p.wire.Alarm.Clear(what)
	}
}

func (p *Poller) backoff() retry.Backoff { return connector.Backoff(p.times.again, p.times.atMost) }

// well takes note of an answer.
func (p *Poller) well(s *polling) {
	if s.told {
		s.told = false
		p.log().Info("polling again", zap.String("event", "im.connected"))
	}
	p.wire.Alarm.Clear(alarmToken)
	p.wire.Alarm.Clear(alarmAway)
	if time.Since(s.conflicted) > p.times.calm {
		p.wire.Alarm.Clear(alarmConflict)
	}
}

// ill takes note of a failure, and says how long to wait at least. good is when there was an answer.
func (p *Poller) ill(s *polling, err error, good time.Time) time.Duration {
	if !s.told {
		s.told = true
		p.log().Warn("poll failed", zap.String("event", "im.disconnected"), zap.String("reason", err.Error()))
	}
	t, ok := errors.AsType[*trouble](err)
	if !ok {
		return 0
	}
	switch {
	case t.alarm == alarmConflict:
		s.conflicted = time.Now()
		p.wire.Alarm.Raise(alarmConflict, conflictText)
	case t.alarm == alarmToken:
		p.wire.Alarm.Raise(alarmToken, tokenText)
	case time.Since(good) >= p.times.alarm:
		p.wire.Alarm.Raise(alarmAway, fmt.Sprintf("no poll has succeeded for %s: %s", p.times.alarm, t.reason))
	}
	if t.alarm != "" {
		return max(t.after, p.times.slow)
	}
	return t.after
}

func (p *Poller) log() *zap.Logger {
	if p.wire.Log == nil {
		return zap.NewNop()
	}
	return p.wire.Log
}

// question asks for updates.
type question struct {
	Offset  int64    `json:"offset,omitempty"`
	Limit   int      `json:"limit"`
	Timeout int      `json:"timeout"`
	Allowed []string `json:"allowed_updates"`
}

// round asks once, and hands on what came.
func (p *Poller) round(ctx context.Context, s *polling) (n int, err error) {
	body, err := json.Marshal(question{s.offset, s.limit, int(p.times.poll / time.Second), updates})
	if err != nil {
		return 0, fmt.Errorf("encode poll: %w", err)
	}
	a, err := p.calls().Do(ctx, egress.Call{
		Method: http.MethodPost, URL: p.base + "/bot" + p.token + "/getUpdates", Body: body,
		Header:  http.Header{"Content-Type": {"application/json"}},
		Timeout: p.times.poll + p.times.slack, MaxAnswer: maxUpdates,
	})
	if err != nil {
		return 0, &trouble{reason: err.Error()}
	}
	if a.Truncated {
		s.limit = 1
		return 0, &trouble{reason: "the answer is too long"}
	}
	var answer struct {
		OK     bool              `json:"ok"`
		Result []json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(a.Body, &answer); err != nil || a.Status != http.StatusOK || !answer.OK {
		return 0, refused(a)
	}
	if len(answer.Result) == 0 {
		// All below the offset is forgotten there. So is the offset here: after a quiet week Telegram counts anew, from
		// any number.
		s.offset, s.limit = 0, mostUpdates
		return 0, nil
	}
	return len(answer.Result), p.take(ctx, s, answer.Result)
}

// take hands updates on, and moves the offset past those that were taken.
func (p *Poller) take(ctx context.Context, s *polling, list []json.RawMessage) error {
	for _, u := range list {
		id := gjson.GetBytes(u, "update_id").Int()
		if id <= 0 {
			return &trouble{reason: "an update has no update_id"}
		}
		if err := p.wire.Inlet.Take(ctx, u); err != nil {
			return errTake
		}
		s.offset = id + 1
	}
	s.limit = mostUpdates
	return nil
}

// refused says what an answer without updates means.
func refused(a egress.Answer) *trouble {
	t := &trouble{reason: fmt.Sprintf("Telegram answered %d", a.Status), after: connector.Wait(a)}
	status := a.Status
	if code := gjson.GetBytes(a.Body, "error_code").Int(); json.Valid(a.Body) && status == http.StatusOK {
		status = int(code)
	}
	switch status {
	case http.StatusUnauthorized, http.StatusNotFound:
		t.alarm = alarmToken
	case http.StatusConflict:
		t.alarm = alarmConflict
	}
	return t
}
