package gewechat_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe/memdedupe"
	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/gewechat"
	"github.com/imrelay/imrelay/outbound/connector/gewechat/gewechattest"
	"github.com/imrelay/imrelay/outbound/connector/ipad/ipadtest"
	"github.com/imrelay/imrelay/outbound/limit"
	"github.com/imrelay/imrelay/relay/secret"
)

const (
	flood      = 1000
	recipients = 50
)

// flooded is a Sender over one account, at a server that logs out who goes too fast.
func flooded(t *testing.T) (*outbound.Sender, *gewechattest.Fake) {
	t.Helper()
	im := gewechattest.New(gewechattest.Options{
		Options: ipadtest.Options{Slow: 120 * time.Millisecond}, Token: "tok", AppID: "wx_a", Wxid: "wxid_bot",
	})
	c, err := gewechat.New(gewechat.Config{
		URL: "http://gewe.example" + gewechattest.Base, Token: secret.New("tok"), AppID: "wx_a",
	}, connector.Wire{Doer: im})
	if err != nil {
		t.Fatal(err)
	}
	s, err := outbound.New(outbound.Options{
		Store: memdedupe.New(memdedupe.Options{Window: 48 * time.Hour, Lease: 10 * time.Second}), Limiter: &limit.Limiter{},
		Accounts: outbound.Table{"wechat": {Connector: c}}, Hold: 3 * time.Second, Log: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
		running.Wait()
	})
	return s, im
}

// pass lets so much of the bubble's time pass.
func pass(d time.Duration) { <-time.After(d) }

// nth is the nth of a flood; its text is its number.
func nth(n int) outbound.Request {
	return outbound.Request{
		Client: outbound.Client{Name: "agent"}, Key: fmt.Sprint("k-", n), To: fmt.Sprintf("wxid_%02d", n*7%recipients),
		Text: fmt.Sprintf("m%04d", n),
	}
}

// unpunished wants so many messages at the server, in order for each recipient, and never a word from it.
func unpunished(t *testing.T, im *gewechattest.Fake, want int) {
	t.Helper()
	if n := im.Punished(); n != 0 || !im.Online() {
		t.Errorf("punished %d times, online %t; want never, and online", n, im.Online())
	}
	sent, last := im.Sent(), map[string]string{}
	if len(sent) != want {
		t.Errorf("delivered: got %d, want %d", len(sent), want)
	}
	for _, s := range sent {
		if s.Text <= last[s.To] {
			t.Errorf("%s got %s after %s", s.To, s.Text, last[s.To])
		}
		last[s.To] = s.Text
	}
}

// A thousand queued sends of one second are all delivered, at the account's own pace.
func TestAFloodIsQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, im := flooded(t)
		for i := range flood {
			if _, err := s.Enqueue(t.Context(), nth(i)); err != nil {
				t.Fatalf("send %d: %v", i, err)
			}
			pass(time.Millisecond)
		}
		pass(flood * 2 * time.Second)
		unpunished(t, im, flood)
	})
}

// A thousand callers within one second are sent or told when to come again; who comes then, again and again, gets through.
func TestAFloodIsRefusedTruly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, im := flooded(t)
		var callers sync.WaitGroup
		var mu sync.Mutex
		refusals := 0
		for i := range flood {
			callers.Go(func() {
				for {
					_, err := s.Send(t.Context(), nth(i))
					if err == nil {
						return
					}
					e, ok := err.(*outbound.Error) //nolint:errorlint // it is one, or the test fails
					if !ok || e.Code != outbound.CodeRateLimited || e.RetryAfter < time.Second {
						t.Errorf("send %d: got %v, want rate_limited with a time", i, err)
						return
					}
					mu.Lock()
					refusals++
					mu.Unlock()
					// Who comes later than all before him comes alone.
					pass(e.RetryAfter + time.Duration(i)*2*time.Second)
				}
			})
			pass(time.Millisecond)
		}
		callers.Wait()
		if n := im.Punished(); n != 0 || !im.Online() || len(im.Sent()) != flood {
			t.Errorf("punished %d times, online %t, delivered %d; want never, true, %d", n, im.Online(), len(im.Sent()), flood)
		}
		if refusals < flood-10 {
			t.Errorf("got only %d refusals: this proves nothing", refusals)
		}
	})
}
