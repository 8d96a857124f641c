package gewechat_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector/gewechat"
	"github.com/imrelay/imrelay/outbound/connector/gewechat/gewechattest"
)

// newFake is a server of the account that open is for.
func newFake(o gewechattest.Options) *gewechattest.Fake {
	o.Token, o.AppID, o.Wxid = theToken, theApp, "wxid_helper"
	return gewechattest.New(o)
}

// wait lets the bubble's clock go on.
func wait(d time.Duration) { <-time.After(d) }

// TestAgainstTheServer sends one of each kind to a server that is picky.
func TestAgainstTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := newFake(gewechattest.Options{})
		c := open(t, gewechat.Config{URL: "http://im.example" + gewechattest.Base, Quote: true}, im)
		alice := []outbound.Mention{{ID: "wxid_alice", Name: "Alice"}}
		messages := []outbound.Message{
			{Text: "hello"},
			{Text: "hello", Mentions: alice},
			{Text: "a <b> & c", ReplyTo: "7265419038812345671"},
			{Media: media("image", "https://a.example/b.png", "", 0)},
			{Media: media("file", "https://a.example/b.pdf", "", 0)},
			{Media: media("voice", "https://a.example/b.silk", "", 2540)},
		}
		kinds := []string{"text", "text", "app", "image", "file", "voice"}
		for i, m := range messages {
			wait(1200 * time.Millisecond)
			m.To = theRoom
			r, err := c.Send(t.Context(), m)
			if err != nil {
				t.Fatalf("%s: %v", kinds[i], err)
			}
			sent := im.Sent()
			if got := sent[len(sent)-1]; got.ID != r.ID || got.Type != kinds[i] || got.To != theRoom {
				t.Errorf("got %+v and the id %q, want them to be one %s", got, r.ID, kinds[i])
			}
		}
		if got := im.Sent()[1]; got.Content != "@Alice\u2005hello" || len(got.Ats) != 1 || got.Ats[0] != "wxid_alice" {
			t.Errorf("mention: got %+v", got)
		}
		if n := im.Punished(); n != 0 {
			t.Errorf("punished: got %d, want 0", n)
		}
	})
}

// TestPace: whoever keeps the pace is not punished, and whoever does not is logged out.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := newFake(gewechattest.Options{})
		c := open(t, gewechat.Config{URL: "http://im.example" + gewechattest.Base}, im)
		l, counted := c.Pace("wxid_alice")
		if counted != "wxid_alice" || l.Account.N != 1 || l.Account.Burst != 1 || l.Recipient.Burst != 2 ||
			l.Jitter != 500*time.Millisecond || l.Ramp != 10*time.Minute {
			t.Errorf("got %+v for %q", l, counted)
		}
		m := outbound.Message{To: "wxid_alice", Text: "hello"}
		send := func(d time.Duration) error {
			wait(d)
			_, err := c.Send(t.Context(), m)
			return err
		}
		for range 30 {
			if err := send(l.Account.Per); err != nil {
				t.Fatalf("in pace: %v", err)
			}
		}
		for i := range gewechattest.Strikes {
			e := wantError(t, send(900*time.Millisecond))
			if e.Reason != outbound.Throttled || e.After != 3*time.Minute || e.Recipient {
				t.Fatalf("too fast, %d: got %+v", i, e)
			}
		}
		if e := wantError(t, send(time.Minute)); e.Reason != outbound.NotSent || !e.Offline {
			t.Errorf("logged out: got %+v", e)
		}
		if online, err := c.Online(t.Context()); online || err != nil || im.Punished() != gewechattest.Strikes {
			t.Errorf("got online %v, %v, punished %d", online, err, im.Punished())
		}
		im.LogIn()
		if online, err := c.Online(t.Context()); !online || err != nil {
			t.Errorf("after the login: got %v, %v", online, err)
		}
		if err := send(l.Account.Per); err != nil || len(im.Sent()) != 31 {
			t.Errorf("after the login: got %v, %d sent", err, len(im.Sent()))
		}
	})
}

// TestFaults: what is delivered, and what the connector says of it.
func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		fault     gewechattest.Fault
		slow      time.Duration
		want      outbound.Reason
		delivered int
	}{
		{"hang-up", gewechattest.HangUp, 0, outbound.Uncertain, 0},
		{"hang-up after the message was taken", gewechattest.HangUpAfter, 0, outbound.Uncertain, 1},
		{"WeChat was slow", gewechattest.TimedOut, 0, outbound.Uncertain, 1},
		{"a stranger", gewechattest.Refused, 0, outbound.Rejected, 0},
		{"the answer is slow", gewechattest.None, 9 * time.Second, 0, 1},
		{"the answer is too slow", gewechattest.None, 11 * time.Second, outbound.Uncertain, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := newFake(gewechattest.Options{Slow: tt.slow, Fault: func(int) gewechattest.Fault { return tt.fault }})
				c := open(t, gewechat.Config{URL: "http://im.example" + gewechattest.Base}, im)
				_, err := c.Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
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

// TestSockets: the same server behind a real socket.
func TestSockets(t *testing.T) {
	t.Parallel()
	im := newFake(gewechattest.Options{Fault: func(int) gewechattest.Fault { return gewechattest.HangUpAfter }})
	c := open(t, gewechat.Config{URL: im.Start(t)}, dial(t))
	_, err := c.Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
	if e := wantError(t, err); e.Reason != outbound.Uncertain || len(im.Sent()) != 1 {
		t.Errorf("got %v, %d delivered; want unknown, and 1", e, len(im.Sent()))
	}
	if online, err := c.Online(t.Context()); !online || err != nil {
		t.Errorf("got %v, %v; want online", online, err)
	}
}
