package onebot

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay"
)

// What the line of events holds at most. One event always fits.
const (
	mostEvents = 256
	mostBytes  = 16 << 20
)

// intake is the line of events that have come and are not taken in yet. It outlives the connections: the events of a new
// one stand behind those of the one before.
type intake struct {
	wire  connector.Wire
	times times

	mu    sync.Mutex
	line  [][]byte
	bytes int
	// hurried: nobody waits for room any more.
	hurried bool
	// room is closed when there is some, or nobody is to wait for it.
	room chan struct{}
	// idle is closed when nothing is being taken in; nil: nothing is.
	idle chan struct{}
	// cut ends the attempts under way.
	cut  context.CancelFunc
	lost int
}

func newIntake(w connector.Wire, t times) *intake {
	return &intake{wire: w, times: t, room: make(chan struct{}), cut: func() {}}
}

// put puts an event at the end, and waits while there is no room.
func (in *intake) put(body []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.line) > 0 && (len(in.line) >= mostEvents || in.bytes+len(body) > mostBytes) {
		if in.hurried {
			in.lost++
			return
		}
		room := in.room
		in.mu.Unlock()
		<-room
		in.mu.Lock()
	}
	in.line = append(in.line, body)
	in.bytes += len(body)
	if in.idle == nil {
		ctx, cut := context.WithCancel(context.Background())
		in.idle, in.cut = make(chan struct{}), cut
		go in.drain(ctx, in.idle)
	}
}

// drain takes in what is in the line, one at a time, until nothing is.
func (in *intake) drain(ctx context.Context, idle chan struct{}) {
	defer close(idle)
	for {
		in.mu.Lock()
		if len(in.line) == 0 {
			in.cut()
			in.idle = nil
			in.mu.Unlock()
			return
		}
		body := in.line[0]
		in.mu.Unlock()
		in.take(ctx, body)
		in.mu.Lock()
		in.line[0], in.line = nil, in.line[1:]
		in.bytes -= len(body)
		close(in.room)
		in.room = make(chan struct{})
		in.mu.Unlock()
	}
}

// take takes one event in, and tries again for as long as it is kept: while the store is away until the end, for there
// is nobody who would give it again.
func (in *intake) take(ctx context.Context, body []byte) {
	began, wait := time.Now(), connector.Backoff(in.times.takeAgain, in.times.takeAtMost)
	told := false
	for {
		err := in.wire.Inlet.Take(ctx, body)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			in.mu.Lock()
			defer in.mu.Unlock()
			in.lost++
			return
		}
		if time.Since(began) >= in.times.keep && !isOutage(err) {
			in.wire.Log.Error("event lost", zap.String("event", "inbound.lost"), zap.Int("events", 1), zap.Error(err))
			return
		}
		if !told {
			told = true
			in.wire.Log.Warn("event waits", zap.String("event", "inbound.waits"), zap.Error(err))
		}
		d, _ := wait.Next()
		connector.Pause(ctx, d)
	}
}

// isOutage says that the relay takes nothing at all now, whatever the event.
func isOutage(err error) bool {
	r, ok := errors.AsType[*relay.Refusal](err)
	return ok && (r.Code == relay.CodeStoreUnavailable || r.Code == relay.CodeShuttingDown)
}

// open makes those wait again who find no room.
func (in *intake) open() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.hurried = false
}

// hurry lets nobody wait for room any more, so that connections can end. It returns when those that wait are given up.
func (in *intake) hurry() time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.hurried = true
	close(in.room)
	in.room = make(chan struct{})
	return time.Now().Add(in.times.farewell)
}

// finish takes in what is in the line, until then or for a last moment at least. What is lost is logged.
func (in *intake) finish(until time.Time) {
	in.mu.Lock()
	idle := in.idle
	in.mu.Unlock()
	if idle != nil {
		t := time.AfterFunc(max(in.times.last, time.Until(until)), in.stop)
		<-idle
		t.Stop()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.lost > 0 {
		in.wire.Log.Error("events lost at the end", zap.String("event", "inbound.lost"), zap.Int("events", in.lost))
		in.lost = 0
	}
}

// stop ends the attempts under way.
func (in *intake) stop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.cut()
}
