package nekro

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sethvargo/go-retry"
	"github.com/tmaxmax/go-sse"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
)

// path is where the SSE adapter takes commands and gives its events.
const path = "/api/adapters/sse/connect"

// alarmAway is the alarm for a connection that stays away.
const alarmAway = "disconnected"

// times are the stream's, short in tests.
type times struct {
	// idle is how long no event may come. Nekro sends a heartbeat every 5 s.
	idle time.Duration
	// beat is how often the client shows that it is there. Nekro forgets who did not for 60 s.
	beat time.Duration
	// again is how soon a lost connection is made again at first, and atMost how late later.
	again, atMost time.Duration
	// alarm is how long the connection may be away before operators are told.
	alarm time.Duration
	// call bounds a command that is no event's.
	call time.Duration
	// send bounds a send, so that its answer comes within the 30 s for which Nekro waits.
	send time.Duration
	// arrive is how long a delivery waits for the first connection.
	arrive time.Duration
	// last is how long a stream that is told to end may still answer what it was asked.
	last time.Duration
}

var usual = times{
	idle: 20 * time.Second, beat: 20 * time.Second, again: time.Second, atMost: 15 * time.Second,
	alarm: time.Minute, call: 5 * time.Second, send: 25 * time.Second,
	arrive: 3 * time.Second, last: 2 * time.Second,
}

// Stream is a client of Nekro's SSE adapter: what is said goes to Nekro as message commands, and what Nekro says comes as
// events of a connection that [Stream.Run] keeps.
//
// An event is taken when Nekro answered the message command with a 2xx and JSON: the message was collected, whatever
// becomes of it. While there is no connection the agent is unreachable: nothing that is answered could come back. Nekro
// does not look whether it had a message, so an event whose answer was lost may start a second run.
//
// A channel is named after the conversation, group_… or private_…. It is subscribed before its first message, and again
// on every connection; the last of them are remembered across restarts, so that Nekro may speak first. A send_message is
// sent to the conversation, under its request id as the key, and acknowledged with the IM's id when the IM has it: sends
// of one channel in their order, channels beside each other. One that is not sent within 25 s is refused. Nekro then
// tries the next client that subscribed the channel, under another request id: no second client may serve the same ones.
//
// Nekro keeps a client whose connection was lost for up to 90 s, asks it first, and waits for its answer each time. The
// stream takes the channels of the client that it was from it as soon as it is connected again; what is asked without a
// channel (get_self_info, …) still goes to the lost client until then, and messages may be answered as slowly.
//
// The access key goes in a header, and once a connection in the stream's address, where Nekro wants it: whoever logs
// addresses between here and there logs it.
//
// Files are not taken. Nekro sends them as bytes, and IMs are given URLs: a message with one is refused whole, and the
// pieces of one over 1 MiB, for which Nekro waits for no answer, are dropped with a line in the log. Leave the adapter's
// ALLOW_FILE_TRANSFER off.
type Stream struct {
	wire  agent.Wire
	url   string
	key   string
	chats *agent.Chats
	times times

	link     atomic.Pointer[link]
	failures atomic.Int64
	channels channels
	people   people
	lanes    lanes
	arrival  arrival
	quiet    quiet
}

var _ relay.Resident = (*Stream)(nil)

func newStream(c Config, w agent.Wire) (*Stream, error) {
	switch {
	case c.URL == "":
		return nil, errors.New("url is missing")
	case !c.Secret.IsZero() || len(c.Secrets) > 0 || c.SignatureHeader != "" || w.StandardWebhooks:
		return nil, errors.New("nothing is signed in mode: sse; its proof is access_key")
	case !c.Token.IsZero() || c.TokenHeader != "":
		return nil, errors.New("token is for mode: webhook; mode: sse has access_key")
	}
	s := &Stream{
		wire: w, url: strings.TrimSuffix(strings.TrimRight(c.URL, "/"), path) + path, key: c.AccessKey.Reveal(),
		chats: agent.NewChats(w.Memory), times: usual, quiet: quiet{log: w.Log, logged: map[[2]string]time.Time{}},
	}
	s.arrival.begin()
	return s, nil
}

// Run implements relay.Resident. It returns soon after the end of ctx, whatever Nekro does.
func (s *Stream) Run(ctx context.Context) {
	last, cancel := outlast(ctx, s.times.last)
	defer cancel()
	defer s.lanes.wait()
	defer s.arrival.begin()
	s.channels.forget()
	var backoff retry.Backoff
	away, told := time.Now(), false
	for {
		began := time.Now()
		connected, err := s.connection(ctx, last)
		s.arrival.end()
		if ctx.Err() != nil {
			s.wire.Alarm.Clear(alarmAway)
			return
		}
		s.failures.Add(1)
		if connected {
			away, told = time.Now(), false
		}
		if backoff == nil || connected && time.Since(began) > s.times.idle {
			backoff = s.backoff()
		}
		if !told {
			told = true
			s.wire.Log.Warn("not connected to the agent", zap.String("event", "agent.disconnected"),
				zap.String("reason", reason(err)))
		}
		if time.Since(away) >= s.times.alarm {
			s.wire.Alarm.Raise(alarmAway, fmt.Sprintf("not connected for %s: %s", s.times.alarm, reason(err)))
		}
		if wait, _ := backoff.Next(); !pause(ctx, wait) {
			s.wire.Alarm.Clear(alarmAway)
			return
		}
	}
}

func (s *Stream) backoff() retry.Backoff {
	return retry.WithJitterPercent(25, retry.WithCappedDuration(s.times.atMost, retry.NewExponential(s.times.again)))
}

// pause waits, and says whether it did so to the end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// connection is one connection, from its making to its end, and why it ended. connected says that it was made, last is for
// what is said after ctx.
func (s *Stream) connection(ctx, last context.Context) (connected bool, err error) {
	if err := s.channels.load(ctx, s.wire.Memory); err != nil {
		return false, err
	}
	own, cancel := context.WithCancelCause(ctx)
	l := &link{stream: s, subscribed: map[string]bool{}}
	l.drop = func(why error) {
		s.link.CompareAndSwap(l, nil)
		cancel(why)
	}
	l.ask = func(ev sse.Event) { s.asked(ctx, last, l, ev) }
	defer func() {
		l.drop(nil)
		l.keeping.Wait()
	}()
	err = l.run(own, last)
	if cause := context.Cause(own); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return l.up, err
}

// opened is told when a connection is made.
func (s *Stream) opened(l *link) {
	s.link.Store(l)
	s.arrival.end()
	s.wire.Alarm.Clear(alarmAway)
	s.wire.Log.Info("connected to the agent", zap.String("event", "agent.connected"))
}

// inherit takes the channels from the client that the stream was before.
func (s *Stream) inherit(ctx context.Context, l *link) {
	if before := s.channels.became(l.id); before != "" && before != l.id {
		l.strip(ctx, before)
	}
	s.keepChannels(ctx)
}

// keepChannels remembers the channels, if they have changed.
func (s *Stream) keepChannels(ctx context.Context) {
	if !s.channels.changed() {
		return
	}
	if err := s.channels.save(ctx, s.wire.Memory); err != nil && ctx.Err() == nil {
		s.quiet.warn("cannot remember the connection", reason(err), zap.Error(err))
	}
}

// trouble is a reason that is safe to show.
type trouble string

// Error implements error.
func (t trouble) Error() string { return string(t) }

const (
	errSilent    = trouble("nothing came on the connection")
	errForgotten = trouble("the agent does not know this client any more")
	errEnded     = trouble("the agent ended the connection")
	errNotNekro  = trouble("the answer is not that of an SSE adapter")
)

// reason is what is shown of an error.
func reason(err error) string {
	if t, ok := errors.AsType[trouble](err); ok {
		return string(t)
	}
	return agent.AttemptError(err).Reason
}
