package onebot

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
)

// longestFrame bounds one event or answer. Events are a few KiB; pictures in base64 are what is long.
const longestFrame = 4 << 20

// Why a link ended.
const (
	errStopped  = trouble("the relay stops")
	errReplaced = trouble("a newer connection has taken its place")
	errSilent   = trouble("nothing comes on the connection")
)

// role is what a link is for.
type role struct{ events, sends bool }

// link is one WebSocket, whoever opened it.
type link struct {
	ws    *websocket.Conn
	role  role
	times times
	bound time.Duration
	// take takes an event over, and blocks while it cannot. leads says whether of several links this one's events are
	// taken that have no id.
	take  func([]byte)
	leads func(*link) bool
	// working is told when the first frame has come.
	working func(*link)
	// done is closed when the link ends, first when the first frame came, doubted when it was silent and a probe was not
	// answered, gone when its work is over.
	done, first, doubted, gone chan struct{}
	// writing is the lock of those who write.
	writing chan struct{}
	// unsure says that an action was not answered, paced that heartbeats come at another pace.
	unsure, paced chan struct{}

	mu      sync.Mutex
	why     error
	echoes  uint64
	waiting map[string]chan []byte
	heard   time.Time
	stalled bool
	beat    time.Duration
	// calls are those under way, and retired is why it ends when they are answered; nil: it does not.
	calls   int
	retired error
}

func newLink(ws *websocket.Conn, r role, t times, w connector.Wire) *link {
	ws.SetReadLimit(longestFrame)
	return &link{
		ws: ws, role: r, times: t, bound: w.Bound(),
		take: func([]byte) {}, leads: func(*link) bool { return true }, working: func(*link) {},
		done: make(chan struct{}), first: make(chan struct{}), doubted: make(chan struct{}), gone: make(chan struct{}),
		writing: make(chan struct{}, 1), unsure: make(chan struct{}, 1), paced: make(chan struct{}, 1),
		waiting: map[string]chan []byte{}, heard: time.Now(), beat: t.beat,
	}
}

// run serves the link until it ends. The end of ctx does not end it.
func (l *link) run(ctx context.Context) {
	defer close(l.gone)
	ctx = context.WithoutCancel(ctx)
	reading, cut := context.WithCancel(ctx)
	defer cut()
	var parts sync.WaitGroup
	parts.Go(func() { l.close(cut) })
	parts.Go(func() { l.watch(ctx) })
	// Once nobody reads, good manners would only wait: the reason is noted, the WebSocket closed, and then the link ended.
	l.note(l.read(reading))
	_ = l.ws.CloseNow()
	l.end(nil)
	parts.Wait()
}

// end ends the link for a reason, once.
func (l *link) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(why)
}

func (l *link) endLocked(why error) {
	if !isClosed(l.done) {
		l.why = cmp.Or(l.why, why)
		close(l.done)
	}
}

// note notes why the link is about to end. The first reason stays.
func (l *link) note(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why = cmp.Or(l.why, why)
}

// retire lets the link take no more calls, and end when those that it has are answered. The first reason stays.
func (l *link) retire(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired = cmp.Or(l.retired, why)
	if l.calls == 0 {
		l.endLocked(l.retired)
	}
}

// begin counts a call, if the link takes one.
func (l *link) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired != nil {
		return false
	}
	l.calls++
	return true
}

// over ends a call, and the link with it if that was what it waited for.
func (l *link) over() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls--; l.calls == 0 && l.retired != nil {
		l.endLocked(l.retired)
	}
}

// hangUp ends the link without the closing handshake, when nobody uses it any more.
func (l *link) hangUp() {
	l.note(errStopped)
	_ = l.ws.CloseNow()
	<-l.gone
}

// sends says that the link works and takes calls.
func (l *link) sends() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.role.sends && l.retired == nil && isClosed(l.first) && !isClosed(l.doubted) && !isClosed(l.done)
}

// brings says that events come on the link.
func (l *link) brings() bool { return l.role.events && isClosed(l.first) && !isClosed(l.done) }

// reason is why the link ended.
func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

// close closes the WebSocket when the link ends, with good manners if the other side has some.
func (l *link) close(cut func()) {
	<-l.done
	t := time.AfterFunc(l.times.last, cut)
	defer t.Stop()
	_ = l.ws.Close(websocket.StatusNormalClosure, "")
	cut()
}

// read takes frames as they come. Its context ends with a cut, not with the link: the closing handshake is read, too.
func (l *link) read(ctx context.Context) error {
	for {
		_, frame, err := l.ws.Read(ctx)
		if err != nil {
			return err
		}
		if err := l.frame(frame); err != nil {
			return err
		}
	}
}

// frame takes one frame. What is none of OneBot's is no sign of life.
func (l *link) frame(frame []byte) error {
	if !json.Valid(frame) {
		return nil
	}
	v := gjson.GetManyBytes(frame, "post_type", "echo", "retcode", "meta_event_type", "interval")
	echo := connector.Text(v[1])
	switch {
	case v[0].Exists():
		l.hear(true)
		if v[3].Str == "heartbeat" {
			l.paceOf(v[4].Float())
		}
		if l.role.events && (isMessage(v[0].Str) || l.leads(l)) {
			l.take(frame)
		}
		l.hear(false)
	case echo != "":
		l.hear(false)
		l.answered(echo, frame)
	case (v[2].Raw == "1401" || v[2].Raw == "1403") && !isClosed(l.first):
		return errToken // NapCat takes every connection, and says so on it before all else
	}
	return nil
}

// isMessage says that the event has an id, by which the relay knows it when it comes on another connection too.
func isMessage(post string) bool { return post == "message" || post == "message_sent" }

// hear notes a sign of life. While the link is stalled, it reads nothing, and no silence is the other side's.
func (l *link) hear(stalled bool) {
	l.mu.Lock()
	l.heard, l.stalled = time.Now(), stalled
	begins := !isClosed(l.first)
	if begins {
		close(l.first)
	}
	l.mu.Unlock()
	if begins {
		l.working(l)
	}
}

// paceOf takes note of how often heartbeats come.
func (l *link) paceOf(millis float64) {
	if millis <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	beat := time.Duration(min(millis, float64(l.times.most/time.Millisecond))) * time.Millisecond
	if beat = max(beat, l.times.least); beat != l.beat {
		l.beat = beat
		notify(l.paced)
	}
}

// notify leaves a note, if there is none yet.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// isClosed says that a channel that only gets closed is.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// answered gives an answer to who waits for it. Nobody does for one that is late.
func (l *link) answered(echo string, frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if got, ok := l.waiting[echo]; ok {
		got <- frame
		delete(l.waiting, echo)
	}
}

// await names an action, and returns where its answer will come.
func (l *link) await() (echo string, got chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.echoes++
	echo, got = "r"+strconv.FormatUint(l.echoes, 10), make(chan []byte, 1)
	l.waiting[echo] = got
	return echo, got
}

func (l *link) forget(echo string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, echo)
}

// notSent and uncertain are what a lost call means before and after its frame was written.
func notSent(code string, err error) *outbound.SendError {
	return &outbound.SendError{Reason: outbound.NotSent, Code: code, Err: err}
}

func uncertain(code string, err error) *outbound.SendError {
	return &outbound.SendError{Reason: outbound.Uncertain, Code: code, Err: err}
}
