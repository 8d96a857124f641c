package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

var (
	count = redisconn.NewScript("count", `return redis.call('INCR', KEYS[1] .. 'n')`)
	echo  = redisconn.NewScript("echo", `return {ARGV[2], #ARGV}`)
)

func open(tb testing.TB, url string) *redisconn.Conn {
	tb.Helper()
	c, err := redisconn.Open(tb.Context(), redisconn.Options{URL: secret.New(url), Log: zaptest.NewLogger(tb)})
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return c
}

// do runs a script on shard 0 and fails the test on an error.
func do(tb testing.TB, c *redisconn.Conn, s *redisconn.Script, args ...any) any {
	tb.Helper()
	reply, err := c.Do(context.Background(), redisconn.Call{Script: s, Shard: c.Shards()[0], Args: args})
	if err != nil {
		tb.Fatalf("%s: %v", s.Name(), err)
	}
	return reply
}

// eventually asks again and again, for some seconds.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if ok() {
			return
		}
		pause(tb, 5*time.Millisecond)
	}
	tb.Fatalf("not within ten seconds: %s", what)
}

// pause lets time pass under what goes on.
func pause(tb testing.TB, d time.Duration) {
	tb.Helper()
	<-time.After(d)
}

// TestEveryCallerGetsHisOwnReply sends many calls at once, some of which fail.
func TestEveryCallerGetsHisOwnReply(t *testing.T) {
	t.Parallel()
	c := open(t, redistest.Start(t).URL("shards=4"))
	fail := redisconn.NewScript("fail", `return redis.error_reply('REFUSED ' .. ARGV[2])`)
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			mine := fmt.Sprint("caller ", i)
			call := redisconn.Call{Script: echo, Shard: c.Shards()[i%4], Args: []any{mine}}
			if i%5 == 0 {
				call.Script = fail
			}
			reply, err := c.Do(t.Context(), call)
			if i%5 == 0 {
				var failed *redisconn.ScriptError
				if !errors.As(err, &failed) || failed.Reply != "REFUSED "+mine || errors.Is(err, redisconn.ErrUnavailable) {
					t.Errorf("failing call %d: got %v, want a *ScriptError of its own and no outage", i, err)
				}
				return
			}
			if got := fmt.Sprint(reply); err != nil || got != fmt.Sprint([]any{mine, int64(2)}) {
				t.Errorf("call %d: got %v, %v, want its own argument", i, got, err)
			}
		})
	}
	wg.Wait()
}

// TestAllKeepsTheOrderOfReplies asks every shard in one go.
func TestAllKeepsTheOrderOfReplies(t *testing.T) {
	t.Parallel()
	c := open(t, redistest.Start(t).URL("shards=16"))
	which := redisconn.NewScript("which", `return KEYS[1] .. ARGV[2]`)
	calls := make([]redisconn.Call, 16)
	for i := range calls {
		calls[i] = redisconn.Call{Script: which, Shard: c.Shards()[i], Args: []any{i}}
	}
	replies, err := c.All(t.Context(), calls...)
	if err != nil {
		t.Fatalf("all: %v", err)
	}
	for i, got := range replies {
		if want := c.Shards()[i].Key(fmt.Sprint(i)); got != want {
			t.Errorf("reply %d: got %v, want %v", i, got, want)
		}
	}
}

// TestABrokenScriptIsNoOutage tells a script's own mistake from Redis being away.
func TestABrokenScriptIsNoOutage(t *testing.T) {
	t.Parallel()
	c := open(t, redistest.Start(t).URL(""))
	do(t, c, redisconn.NewScript("set", `return redis.call('SET', KEYS[1] .. 'text', 'x')`))
	for name, source := range map[string]string{
		"wrong type":     `return redis.call('LPUSH', KEYS[1] .. 'text', 'x')`,
		"runtime error":  `return nil + 1`,
		"does not parse": `return return`,
	} {
		_, err := c.Do(t.Context(), redisconn.Call{Script: redisconn.NewScript(name, source), Shard: c.Shards()[0]})
		var failed *redisconn.ScriptError
		if !errors.As(err, &failed) || errors.Is(err, redisconn.ErrUnavailable) {
			t.Errorf("%s: got %v, want a *ScriptError that is no outage", name, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: the error does not begin with the script's name: %v", name, err)
		}
	}
}

// TestNilAndNothing covers replies that are no value.
func TestNilAndNothing(t *testing.T) {
	t.Parallel()
	c := open(t, redistest.Start(t).URL(""))
	if got := do(t, c, redisconn.NewScript("nil", `return false`)); got != nil {
		t.Errorf("a script that returns nothing: got %v, want nil", got)
	}
	if got, err := c.All(t.Context()); got != nil || err != nil {
		t.Errorf("no calls: got %v, %v, want nothing", got, err)
	}
}

// TestCloseIsFinal closes under load, twice.
func TestCloseIsFinal(t *testing.T) {
	t.Parallel()
	c := open(t, redistest.Start(t).URL(""))
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for {
				_, err := c.Do(context.Background(), redisconn.Call{Script: count, Shard: c.Shards()[0]})
				if errors.Is(err, redisconn.ErrClosed) && errors.Is(err, redisconn.ErrUnavailable) {
					return
				}
				if err != nil {
					t.Errorf("under close: got %v, want a reply or ErrClosed", err)
					return
				}
			}
		})
	}
	do(t, c, count)
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	wg.Wait()
}
