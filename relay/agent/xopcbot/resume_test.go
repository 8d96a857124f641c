package xopcbot_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/xopcbot"
	"github.com/imrelay/imrelay/relay/agent/xopcbot/xopcbottest"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/secret"
)

// Whatever ends an attempt, the next one goes on with the run that it began.
func TestResume(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]xopcbottest.Options{
		"after time-outs":       {FirstTurn: 700 * time.Millisecond},
		"after a hang-up":       {Fault: faults(xopcbottest.HangUpAfter)},
		"after two hang-ups":    {Fault: faults(xopcbottest.HangUpAfter, xopcbottest.HangUpAfter)},
		"refused before it":     {Fault: faults(xopcbottest.HangUp, xopcbottest.HangUpAfter)},
		"refused while resumed": {Fault: faults(xopcbottest.HangUpAfter, xopcbottest.Unavailable)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, w, _ := gateway(t, o)
			w.Wire.Timeout = 250 * time.Millisecond
			e := said("evt_1", "hello")
			for attempt := 1; ; attempt++ {
				// Each attempt is made by a relay that was started anew.
				a := newAgent(t, xopcbot.Config{URL: g.URL(), Token: secret.New(token)}, w.Wire)
				out, err := a.Deliver(t.Context(), e, attempt)
				if err == nil && out.Status == http.StatusOK {
					if d := cmp.Diff(reply(e, "hello"), out.Replies); d != "" {
						t.Errorf("replies (-want +got):\n%s", d)
					}
					break
				}
				if attempt == 10 {
					t.Fatalf("attempt %d: got %d (%s), %v", attempt, out.Status, out.Reason, err)
				}
			}
			if got := g.Runs("hello"); got != 1 {
				t.Errorf("ran %d times, want once; asked %v", got, paths(g))
			}
		})
	}
}

// An event that comes again after it was taken is answered by the same run, and no other event is.
func TestAgain(t *testing.T) {
	t.Parallel()
	g, _, a := gateway(t, xopcbottest.Options{})
	e := said("evt_1", "hello")
	first, second := taken(t, a, e, 1), taken(t, a, e, 1)
	if d := cmp.Diff(first, second); d != "" {
		t.Errorf("the second time (-first +second):\n%s", d)
	}
	taken(t, a, said("evt_2", "hello"), 1)
	if got := g.Runs("hello"); got != 2 {
		t.Errorf("ran %d times for two events", got)
	}
}

// The run is noted as soon as its id came, while the agent is at work.
func TestNotedAtOnce(t *testing.T) {
	t.Parallel()
	w := agenttest.NewWorld(t)
	noted := make(chan bool, 1)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		tells(begun)(rw, r)
		if err := http.NewResponseController(rw).Flush(); err != nil {
			t.Errorf("flush: %v", err)
		}
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			if v, err := w.Load(r.Context(), "run/evt_1"); err == nil && string(v) == "r1" {
				noted <- true
				break
			}
			<-time.After(5 * time.Millisecond)
		}
		tells(lo, well)(rw, r)
	}))
	t.Cleanup(s.Close)
	taken(t, newAgent(t, xopcbot.Config{URL: s.URL}, w.Wire), agenttest.Event("evt_1"), 1)
	select {
	case <-noted:
	default:
		t.Error("the run was not noted before its stream went on")
	}
}

// A run that the gateway has forgotten is made again, in the same attempt.
func TestForgotten(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(*xopcbottest.Fake){
		"restart": func(g *xopcbottest.Fake) { g.Stop(); g.Start() },
		"expired": func(*xopcbottest.Fake) { <-time.After(20 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _, a := gateway(t, xopcbottest.Options{Keep: time.Millisecond, Fault: faults(xopcbottest.HangUpAfter)})
			e := said("evt_1", "hello")
			if ae := broken(t, a, e); ae.Unreachable || ae.Timeout {
				t.Errorf("hang-up: got %+v", ae)
			}
			forget(g)
			out := taken(t, a, e, 2)
			if d := cmp.Diff(reply(e, "hello"), out.Replies); d != "" {
				t.Errorf("replies (-want +got):\n%s", d)
			}
			want := []string{xopcbottest.AgentPath, xopcbottest.ResumePath, xopcbottest.AgentPath}
			if d := cmp.Diff(want, paths(g)); d != "" {
				t.Errorf("asked (-want +got):\n%s", d)
			}
		})
	}
}

// A gateway that stops answers 503, then is not there, and is found again.
func TestRestart(t *testing.T) {
	t.Parallel()
	g, _, a := gateway(t, xopcbottest.Options{Leave: 300 * time.Millisecond})
	e := said("evt_1", "hello")
	taken(t, a, said("evt_0", "before"), 1)
	stopped := make(chan struct{})
	go func() {
		g.Stop()
		close(stopped)
	}()
	for {
		out, err := a.Deliver(t.Context(), e, 1)
		if err != nil {
			t.Fatalf("got %v, want a 503", err)
		}
		if out.Status == http.StatusServiceUnavailable {
			break
		}
		e.ID += "x" // it was not stopping yet
	}
	<-stopped
	if ae := broken(t, a, e); !ae.Unreachable {
		t.Errorf("stopped: got %+v, want unreachable", ae)
	}
	g.Start()
	taken(t, a, e, 3)
}

// A run that ended in an error counts as 500, and is not resumed: the next attempt makes another one.
func TestFailed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options xopcbottest.Options
		breaks  int // attempts without an answer before the 500
	}{
		"at once":             {xopcbottest.Options{Fault: faults(xopcbottest.Failed)}, 0},
		"with a good end":     {xopcbottest.Options{Fault: faults(xopcbottest.FailedOK)}, 0},
		"while nobody hears":  {xopcbottest.Options{FirstTurn: 600 * time.Millisecond, Fault: faults(xopcbottest.FailedOK)}, 1},
		"page":                {xopcbottest.Options{Page: true, Fault: faults(xopcbottest.FailedOK)}, 0},
		"page, by its status": {xopcbottest.Options{Page: true, Fault: faults(xopcbottest.Failed)}, 0},
		"JSON":                {xopcbottest.Options{JSON: true, Fault: faults(xopcbottest.Failed)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, w, _ := gateway(t, tc.options)
			w.Wire.Timeout = 400 * time.Millisecond
			c := xopcbot.Config{URL: g.URL(), Token: secret.New(token)}
			if tc.options.Page {
				c.API = "page"
			}
			a, e := newAgent(t, c, w.Wire), said("evt_1", "hello")
			for range tc.breaks {
				if ae := broken(t, a, e); !ae.Timeout {
					t.Errorf("got %+v, want a time-out", ae)
				}
			}
			out, err := a.Deliver(t.Context(), e, 1)
			if err != nil || out.Status != http.StatusInternalServerError || len(out.Replies) > 0 {
				t.Fatalf("got %d, %v, %d replies, want 500", out.Status, err, len(out.Replies))
			}
			if d := cmp.Diff(reply(e, "hello"), taken(t, a, e, 2).Replies); d != "" {
				t.Errorf("replies (-want +got):\n%s", d)
			}
			if got := g.Runs("hello"); got != 2 {
				t.Errorf("ran %d times, want 2; asked %v", got, paths(g))
			}
		})
	}
}

// Without the memory nothing is begun; a run that cannot be noted goes on.
func TestMemory(t *testing.T) {
	t.Parallel()
	g, w, a := gateway(t, xopcbottest.Options{FirstTurn: 300 * time.Millisecond})
	w.Fail(fmt.Errorf("%w: away", memo.ErrUnavailable))
	if ae := broken(t, a, said("evt_1", "hello")); !ae.Ours || len(g.Requests()) > 0 {
		t.Errorf("got %+v, and %v was asked", ae, paths(g))
	}
	w.Fail(nil)
	e := said("evt_1", "hello")
	e.Ready = func() error { // after the look for a run, before the call
		w.Fail(fmt.Errorf("%w: away", memo.ErrUnavailable))
		return nil
	}
	if d := cmp.Diff(reply(e, "hello"), taken(t, a, e, 1).Replies); d != "" {
		t.Errorf("replies (-want +got):\n%s", d)
	}
	if !strings.Contains(w.Logged(), "evt_1") {
		t.Errorf("logged %q, want a line about the event", w.Logged())
	}
}

// strict is a memory that does nothing when the caller's time is over, as stores do.
type strict struct{ agent.Memory }

func (s strict) Save(ctx context.Context, name string, value []byte, keep time.Duration) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", memo.ErrUnavailable, err)
	}
	return s.Memory.Save(ctx, name, value, keep)
}

// A run that failed is forgotten, though the gateway tells no end and the attempt's time is over.
func TestForgetsInAnyCase(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tells(begun, failed)(w, r)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("flush: %v", err)
		}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	w := agenttest.NewWorld(t)
	w.Wire.Memory, w.Wire.Timeout = strict{w}, 200*time.Millisecond
	out, err := newAgent(t, xopcbot.Config{URL: s.URL}, w.Wire).Deliver(t.Context(), agenttest.Event("evt_1"), 1)
	if err != nil || out.Status != http.StatusInternalServerError {
		t.Errorf("got %d, %v, want 500", out.Status, err)
	}
	if run, err := w.Load(t.Context(), "run/evt_1"); err != nil || run != nil {
		t.Errorf("run: got %q, %v, want none", run, err)
	}
}

// A relay that loses the right to the event while the gateway looks for its run begins no other one.
func TestCalledOffBetween(t *testing.T) {
	t.Parallel()
	g, _, a := gateway(t, xopcbottest.Options{})
	e := said("evt_1", "hello")
	taken(t, a, e, 1)
	g.Stop()
	g.Start()
	lost, asked := errors.New("lost"), 0
	e.Ready = func() error {
		if asked++; asked > 1 {
			return lost
		}
		return nil
	}
	if ae := broken(t, a, e); !ae.Unreachable || !errors.Is(ae, lost) {
		t.Errorf("got %+v, want the error of Ready", ae)
	}
	if got := g.Runs("hello"); got != 1 {
		t.Errorf("ran %d times", got)
	}
}
