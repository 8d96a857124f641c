package onebot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
)

// alarmAway is raised while the connection stays away.
const alarmAway = "disconnected"

// dialled keeps a WebSocket to an implementation.
type dialled struct {
	bot

	times  times
	header http.Header
	// all is the address for events and calls, one that for calls alone.
	all, one string
	links    links
	intake   *intake
	// reached is told when a connection for a call could be made.
	reached chan struct{}
}

var (
	_ outbound.Resident = (*dialled)(nil)
	_ caller            = (*dialled)(nil)
)

func newDialled(b bot, u *url.URL, header http.Header) *dialled {
	d := &dialled{
		bot: b, times: usual, header: header, all: u.String(), one: u.String(), intake: newIntake(b.wire, usual),
		reached: make(chan struct{}, 1),
	}
	if u.Path == "" || u.Path == "/" {
		d.one = u.JoinPath("api").String()
	}
	d.api = d
	return d
}

// Run implements [outbound.Resident]. When ctx ends, the calls under way are answered first; later ones open a connection
// of their own.
func (d *dialled) Run(ctx context.Context) {
	d.intake.open()
	var open sync.WaitGroup
	defer func() {
		d.wire.Alarm.Clear(alarmAway)
		events := d.intake.hurry()
		d.links.end(errStopped, d.wire.Bound())
		open.Wait()
		d.intake.finish(events)
	}()
	next := connector.Backoff(d.times.again, d.times.atMost)
	away, told := time.Now(), false
	for {
		began := time.Now()
		worked, err := d.connection(ctx, &open)
		if ctx.Err() != nil {
			return
		}
		if worked {
			away, told = time.Now(), false
		}
		if worked && time.Since(began) > d.times.steady {
			next = connector.Backoff(d.times.again, d.times.atMost)
		}
		if !told {
			told = true
			d.wire.Log.Warn("not connected to the IM", zap.String("event", "im.disconnected"), zap.String("reason", shown(err)))
		}
		if time.Since(away) >= d.times.alarm {
			d.wire.Alarm.Raise(alarmAway, fmt.Sprintf("not connected for %s: %s", d.times.alarm, shown(err)))
		}
		wait, _ := next.Next()
		if d.rest(ctx, wait) {
			next = connector.Backoff(d.times.again, d.times.atMost)
			wait, _ = next.Next()
			connector.Pause(ctx, wait)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// rest waits, and says whether the implementation could be reached meanwhile.
func (d *dialled) rest(ctx context.Context, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-d.reached:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// connection is one connection, from its making until it is lost or in doubt. One in doubt stays open, for what it may
// still bring, until the next one works.
func (d *dialled) connection(ctx context.Context, open *sync.WaitGroup) (worked bool, err error) {
	dialling, cancel := context.WithTimeout(ctx, d.wire.Bound())
	ws, err := d.dial(dialling, d.all)
	cancel()
	if err != nil {
		if errors.Is(err, errToken) {
			d.wire.Alarm.Raise(alarmToken, notAccepted)
		}
		return false, err
	}
	l := newLink(ws, role{events: true, sends: true}, d.times, d.wire)
	l.take, l.leads, l.working = d.intake.put, d.links.leads, d.works
	if !d.links.add(l) {
		return false, errors.Join(errSilent, ws.CloseNow())
	}
	open.Go(func() {
		defer d.links.remove(l)
		l.run(ctx)
	})
	l.prove(ctx)
	select {
	case <-l.done:
		err = l.reason()
	case <-l.doubted:
		err = errSilent
	case <-ctx.Done():
		return true, errStopped
	}
	if errors.Is(err, errToken) {
		d.wire.Alarm.Raise(alarmToken, notAccepted)
	}
	return isClosed(l.first), err
}

// works is told that a link works.
func (d *dialled) works(l *link) {
	d.links.replace(l)
	d.wire.Alarm.Clear(alarmToken)
	d.wire.Alarm.Clear(alarmAway)
	d.wire.Log.Info("connected to the IM", zap.String("event", "im.connected"))
}

// call implements caller. Without a connection that works it opens one for the call: another relay may keep the
// account's, and the way to it may be free again before it is made anew.
func (d *dialled) call(ctx context.Context, a action) ([]byte, error) {
	if l := d.links.best(); l != nil {
		return l.ask(ctx, a)
	}
	ctx, cancel := context.WithTimeout(ctx, d.wire.Bound())
	defer cancel()
	ws, err := d.dial(ctx, d.one)
	if err != nil {
		return nil, err
	}
	l := newLink(ws, role{sends: true}, d.times, d.wire)
	notify(d.reached)
	go l.run(ctx)
	defer l.hangUp()
	return l.ask(ctx, a)
}

// dial opens a WebSocket. Whatever goes wrong, no message was sent. Every error is an [*outbound.SendError].
func (d *dialled) dial(ctx context.Context, address string) (*websocket.Conn, error) {
	//nolint:bodyclose // the library closes it
	ws, answer, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: d.wire.Sockets, HTTPHeader: d.header})
	if err == nil {
		return ws, nil
	}
	if answer == nil {
		return nil, notSent(whyNot(ctx, err), err)
	}
	return nil, refused(answer.StatusCode)
}
