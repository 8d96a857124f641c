package onebot_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/onebot/onebottest"
)

func TestTheIMConnects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := hosted(t, onebottest.Options{Heartbeat: 5 * time.Second})
		if !r.Connector.(connector.Hosted).Hosts() {
			t.Error("got no host")
		}
		_, err := r.send("hello")
		wantReason(t, err, outbound.NotSent, "not_connected")
		r.connect("Universal")
		r.mustSend("hello")
		for i := range 50 {
			r.fake.Push(event(i))
		}
		pass(time.Hour)
		wantTexts(t, "events", r.taken(), eventsTo(50)...)
		if now, ever := r.fake.Connections(); now != 1 || ever != 1 {
			t.Errorf("connections: got %d of %d, want the one kept", now, ever)
		}
		if ok, err := r.Connector.(outbound.Checker).Online(t.Context()); !ok || err != nil {
			t.Errorf("online: got %v, %v; want true", ok, err)
		}
	})
}

// TestRoles: one connection may be for calls and another for events, and what comes on the wrong one is not taken twice.
func TestRoles(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := hosted(t, onebottest.Options{Heartbeat: 5 * time.Second, Everywhere: true})
		r.connect("Event")
		_, err := r.send("hello")
		wantReason(t, err, outbound.NotSent, "not_connected")
		r.connect("API")
		r.mustSend("hello")
		r.fake.Push(event(0))
		synctest.Wait()
		wantTexts(t, "events", r.taken(), event(0))
		if now, _ := r.fake.Connections(); now != 2 {
			t.Errorf("connections: got %d, want both", now)
		}
	})
}

// TestANewerConnectionReplacesTheOlder once it works, and not before.
func TestANewerConnectionReplacesTheOlder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := hosted(t, onebottest.Options{Mute: true})
		r.connect("Universal")
		r.mustSend("one")
		r.fake.Answers(func(onebottest.Action) onebottest.Answer { return onebottest.Answer{After: 2 * time.Second} })
		r.connect("Universal")
		if now, _ := r.fake.Connections(); now != 2 {
			t.Errorf("connections: got %d, want the older kept while the newer is silent", now)
		}
		r.mustSend("two")
		pass(2 * time.Second)
		if now, ever := r.fake.Connections(); now != 1 || ever != 2 {
			t.Errorf("connections: got %d of %d, want the newer only", now, ever)
		}
		r.mustSend("three")
	})
}

// TestAConnectionThatNeverWorks is closed, and takes no send from the one that does.
func TestAConnectionThatNeverWorks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := hosted(t, onebottest.Options{Mute: true})
		r.connect("Universal")
		r.fake.Answers(func(a onebottest.Action) onebottest.Answer { return onebottest.Answer{Silence: a.Name == "get_status"} })
		r.connect("Universal")
		r.mustSend("hello")
		pass(10 * time.Second)
		if now, _ := r.fake.Connections(); now != 1 {
			t.Errorf("connections: got %d, want one", now)
		}
		r.mustSend("again")
	})
}

// TestAHalfOpenConnectionIsClosed, so that nothing is sent on it.
func TestAHalfOpenConnectionIsClosed(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"Universal", "Event"} {
		t.Run(role, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := hosted(t, onebottest.Options{Heartbeat: 5 * time.Second})
				r.connect(role)
				pass(time.Minute)
				r.fake.Silence(true)
				pass(30 * time.Second)
				if now, _ := r.fake.Connections(); now != 0 {
					t.Errorf("connections: got %d, want none", now)
				}
				_, err := r.send("hello")
				wantReason(t, err, outbound.NotSent, "not_connected")
			})
		})
	}
}

func TestWhoMayConnect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := hosted(t, onebottest.Options{Self: 99})
		if got := r.fake.Connect("ws://relay.example/", "Universal"); got != http.StatusForbidden {
			t.Errorf("another account: got %d, want 403", got)
		}
		r = hosted(t, onebottest.Options{})
		r.connect("Universal")
		r.stop()
		synctest.Wait()
		if now, _ := r.fake.Connections(); now != 0 {
			t.Errorf("connections after the end: got %d, want none", now)
		}
		if got := r.fake.Connect("ws://relay.example/", "Universal"); got != http.StatusServiceUnavailable {
			t.Errorf("after the end: got %d, want 503", got)
		}
	})
}

// TestManyConnections are refused at some point.
func TestManyConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := hosted(t, onebottest.Options{Mute: true})
		for range 20 {
			r.connect("Event")
		}
		if now, _ := r.fake.Connections(); now != 16 {
			t.Errorf("connections: got %d, want 16", now)
		}
	})
}
