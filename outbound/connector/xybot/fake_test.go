package xybot_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector/wechatpad/pad/padtest"
	"github.com/imrelay/imrelay/outbound/connector/xybot"
	"github.com/imrelay/imrelay/outbound/connector/xybot/xybottest"
)

func newFake(o padtest.Options, msg bool) *xybottest.Fake {
	return xybottest.New(xybottest.Options{Options: o, Wxid: theSelf, Msg: msg})
}

// apis are the two kinds of server, by whether their paths are the later ones.
var apis = map[string]bool{"bare": false, "msg": true}

// wait lets the bubble's clock go on.
func wait(d time.Duration) { <-time.After(d) }

// TestAgainstTheServer sends one of each kind to a server that is picky, of either kind.
func TestAgainstTheServer(t *testing.T) {
	t.Parallel()
	for api, msg := range apis {
		synctest.Test(t, func(t *testing.T) {
			im := newFake(padtest.Options{}, msg)
			c := open(t, xybot.Config{URL: "http://im.example", API: api}, im)
			messages := []outbound.Message{
				{Text: "hello"},
				{Text: "hello", Mentions: []outbound.Mention{{ID: "wxid_alice", Name: "Alice"}}},
				{Media: []outbound.Media{{Type: "image", URL: "data:image/png;base64," + b64(thePNG)}}},
				{Media: []outbound.Media{{Type: "voice", URL: "data:audio/silk;base64," + b64(theSilk), Millis: 2540}}},
			}
			for i, kind := range []string{"text", "text", "image", "voice"} {
				wait(1200 * time.Millisecond)
				messages[i].To = theRoom
				r, err := c.Send(t.Context(), messages[i])
				if err != nil {
					t.Fatalf("%s, %s: %v", api, kind, err)
				}
				sent := im.Sent()
				if got := sent[len(sent)-1]; got.ID != r.ID || r.ID == "" || got.Type != kind || got.To != theRoom {
					t.Errorf("%s: got %+v and the id %q, want them to be one %s", api, got, r.ID, kind)
				}
			}
			sent := im.Sent()
			if got := sent[1]; got.Text != "@Alice\u2005hello" || len(got.Ats) != 1 || got.Ats[0] != "wxid_alice" {
				t.Errorf("mention: got %+v", got)
			}
			if string(sent[2].Medium) != thePNG || string(sent[3].Medium) != theSilk || sent[3].Millis != 2540 {
				t.Errorf("media: got %+v", sent[2:])
			}
		})
	}
}

// TestPace: whoever keeps the pace is not punished, and whoever does not is logged out.
func TestPace(t *testing.T) {
	t.Parallel()
	for api, msg := range apis {
		synctest.Test(t, func(t *testing.T) {
			im := newFake(padtest.Options{}, msg)
			c := open(t, xybot.Config{URL: "http://im.example", API: api}, im)
			l, _ := c.Pace("wxid_alice")
			send := func(d time.Duration) error {
				wait(d)
				_, err := c.Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
				return err
			}
			for range 30 {
				if err := send(l.Account.Per); err != nil {
					t.Fatalf("in pace: %v", err)
				}
			}
			for i := range padtest.Strikes {
				if e := wantError(t, send(900*time.Millisecond)); e.Reason != outbound.Throttled || e.After != 3*time.Minute {
					t.Fatalf("too fast, %d: got %+v", i, e)
				}
			}
			if e := wantError(t, send(time.Minute)); e.Reason != outbound.NotSent || !e.Offline {
				t.Errorf("logged out: got %+v", e)
			}
			if on, err := c.Online(t.Context()); on || err != nil || im.Punished() != padtest.Strikes {
				t.Errorf("got online %v, %v, punished %d", on, err, im.Punished())
			}
			im.LogIn()
			if on, err := c.Online(t.Context()); !on || err != nil {
				t.Errorf("after the login: got %v, %v", on, err)
			}
			if err := send(l.Account.Per); err != nil || len(im.Sent()) != 31 {
				t.Errorf("after the login: got %v, %d sent", err, len(im.Sent()))
			}
		})
	}
}

// TestFaults: what is delivered, and what the connector says of it.
func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		fault     padtest.Fault
		slow      time.Duration
		want      outbound.Reason
		delivered int
	}{
		{"hang-up", padtest.HangUp, 0, outbound.Uncertain, 0},
		{"hang-up after the message was taken", padtest.HangUpAfter, 0, outbound.Uncertain, 1},
		{"WeChat was slow", padtest.TimedOut, 0, outbound.Uncertain, 1},
		{"blocked", padtest.Refused, 0, outbound.Rejected, 0},
		{"the answer is slow", padtest.None, 9 * time.Second, 0, 1},
		{"the answer is too slow", padtest.None, 11 * time.Second, outbound.Uncertain, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := newFake(padtest.Options{Slow: tt.slow, Fault: func(int) padtest.Fault { return tt.fault }}, false)
				_, err := open(t, xybot.Config{URL: "http://im.example"}, im).Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
				var got outbound.Reason
				if e, ok := errors.AsType[*outbound.SendError](err); ok {
					got = e.Reason
				}
				if got != tt.want || len(im.Sent()) != tt.delivered {
					t.Errorf("got %v (%v), %d delivered; want %v, %d", got, err, len(im.Sent()), tt.want, tt.delivered)
				}
			})
		})
	}
}

// TestMediaTakeLonger: the call for a medium has the time that the server needs to upload it.
func TestMediaTakeLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := newFake(padtest.Options{Slow: 40 * time.Second}, false)
		m := outbound.Message{To: theRoom, Media: []outbound.Media{{Type: "image", URL: "data:image/png;base64," + b64(thePNG)}}}
		if _, err := open(t, xybot.Config{URL: "http://im.example"}, im).Send(t.Context(), m); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// TestSockets: the same server behind a real socket.
func TestSockets(t *testing.T) {
	t.Parallel()
	im := newFake(padtest.Options{Fault: func(int) padtest.Fault { return padtest.HangUpAfter }}, false)
	c := open(t, xybot.Config{URL: im.Start(t)}, dial(t))
	_, err := c.Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
	if e := wantError(t, err); e.Reason != outbound.Uncertain || len(im.Sent()) != 1 {
		t.Errorf("got %v, %d delivered; want unknown, and 1", e, len(im.Sent()))
	}
	if on, err := c.Online(t.Context()); !on || err != nil {
		t.Errorf("got %v, %v; want online", on, err)
	}
}
