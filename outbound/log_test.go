package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/imrelay/imrelay/outbound"
)

// lines are what was logged, each as its fields.
func (r *rig) lines() []map[string]any {
	var out []map[string]any
	for _, e := range r.logs.All() {
		m := e.ContextMap()
		m["level"] = e.Level
		out = append(out, m)
	}
	return out
}

func (r *rig) wantLines(want ...string) {
	r.t.Helper()
	var got []string
	for _, l := range r.lines() {
		got = append(got, fmt.Sprintf("%v %v %v", l["event"], l["decided"], l["status"]))
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("lines:\n got %q\nwant %q", got, want)
	}
}

// TestLines: each call and each refusal is one line, with what was decided.
func TestLines(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		im   *fakeIM
		do   func(r *rig)
		want []string
	}{
		{"sent", &fakeIM{}, func(r *rig) { r.mustSend(keyed("k", "hello")) }, []string{"outbound.sent sent 200"}},
		{
			"replayed",
			&fakeIM{},
			func(r *rig) { r.mustSend(keyed("k", "hello")); r.mustSend(keyed("k", "hello")) },
			[]string{"outbound.sent sent 200", "outbound.sent replayed 200"},
		},
		{
			"tried again",
			&fakeIM{answer: script(failing(outbound.NotSent))},
			func(r *rig) { r.mustSend(keyed("k", "hello")) },
			[]string{"outbound.failed retry 0", "outbound.sent sent 200"},
		},
		{
			"rejected",
			&fakeIM{answer: script(failing(outbound.Rejected))},
			func(r *rig) { r.refused(keyed("k", "hello"), outbound.CodeUpstreamRejected) },
			[]string{"outbound.failed refused 502"},
		},
		{
			"unknown",
			&fakeIM{answer: script(failing(outbound.Uncertain))},
			func(r *rig) { r.refused(keyed("k", "hello"), outbound.CodeDeliveryUnknown) },
			[]string{"outbound.failed unknown 504"},
		},
		{
			"refused",
			&fakeIM{},
			func(r *rig) {
				req := request("hello")
				req.Account = "signal"
				r.refused(req, outbound.CodeUnknownIM)
			},
			[]string{"outbound.refused refused 400"},
		},
		{
			"queued and failed",
			&fakeIM{answer: script(failing(outbound.Rejected))},
			func(r *rig) {
				r.running().enqueue(request("hello"))
				pass(time.Second)
			},
			[]string{"outbound.failed failed 502"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.im)
				tt.do(r)
				r.wantLines(tt.want...)
				for _, l := range r.lines() {
					for _, key := range []string{"requestId", "im", "client", "conversationId", "id"} {
						if _, ok := l[key]; !ok {
							t.Errorf("line without %s: %v", key, l)
						}
					}
					if id, ok := l["messageId"]; l["event"] == "outbound.sent" && (!ok || id == "") {
						t.Errorf("line without the IM's id: %v", l)
					}
				}
			})
		})
	}
}

// TestNoTextInLogs: text, and what the IM repeats of it, shows as a length.
func TestNoTextInLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const text = "the secret plan"
		r := newRig(t, &fakeIM{answer: script(
			&outbound.SendError{Reason: outbound.NotSent, Detail: text, Err: errors.New(text)},
			&outbound.SendError{Reason: outbound.Rejected, Code: "7", Detail: text, Err: errors.New(text)},
		)})
		r.refused(keyed("k", text), outbound.CodeUpstreamRejected)
		r.mustSend(keyed("k", text))
		if shown := fmt.Sprint(r.lines()); strings.Contains(shown, text) {
			t.Errorf("text in the log: %s", shown)
		}
		last := r.lines()[2]
		if last["textLength"] != int64(len(text)) || last["messageId"] != "90071992547409932" || last["attempt"] != int64(1) {
			t.Errorf("got %v, want the length, the id and the attempt", last)
		}
	})
}

// TestSentIsToldBeforeSendReturns, and an error of who was told changes nothing.
func TestSentIsToldBeforeSendReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{})
		r.mustSend(request("hello"))
		if want := []string{"wechat wxid_alice 90071992547409930"}; !slices.Equal(r.sent, want) {
			t.Errorf("told: got %q, want %q", r.sent, want)
		}
		deaf := newRig(t, &fakeIM{}, func(o *outbound.Options) {
			o.Sent = func(context.Context, string, string, string) error { return errors.New("disk full") }
		})
		deaf.mustSend(keyed("k", "hello"))
		if l := deaf.lines()[0]; l["level"] != zapcore.ErrorLevel {
			t.Errorf("first line: got %v, want the error", l)
		}
	})
}

// counter is an Observer that writes down what it was told.
type counter struct {
	mu   sync.Mutex
	seen []string
}

func (c *counter) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, fmt.Sprintf(format, args...))
}

func (c *counter) Ended(a, o string, _ time.Duration)  { c.add("ended %s %s", a, o) }
func (c *counter) Called(a, o string, _ time.Duration) { c.add("called %s %s", a, o) }
func (c *counter) Held(a string, waited time.Duration) {
	c.add("held %s %v", a, waited.Round(time.Second))
}

func TestObserver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &counter{}
		r := newRig(t, &fakeIM{answer: script(failing(outbound.NotSent))}, withLimits(outbound.Limits{Recipient: oneASecond}),
			func(o *outbound.Options) { o.Observer = c })
		r.mustSend(keyed("k", "hello"))
		r.mustSend(keyed("k", "hello"))
		r.refused(keyed("k", "other"), outbound.CodeKeyReused)
		want := []string{
			"held wechat 0s", "called wechat not_sent", "held wechat 1s", "called wechat sent", "ended wechat sent",
			"ended wechat replayed", "ended wechat idempotency_key_reused",
		}
		if !slices.Equal(c.seen, want) {
			t.Errorf("observed:\n got %q\nwant %q", c.seen, want)
		}
	})
}

func TestNewWantsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := outbound.New(outbound.Options{}); err == nil {
		t.Error("got a Sender of nothing, want an error")
	}
}

func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	want := map[outbound.Code]int{
		outbound.CodeInProgress: 409, outbound.CodeKeyReused: 422, outbound.CodeForbidden: 403, outbound.CodeAmbiguous: 400,
		outbound.CodeUnknownIM: 400, outbound.CodeCannotSend: 501, outbound.CodeInvalid: 400, outbound.CodeRateLimited: 429,
		outbound.CodeUpstreamRateLimited: 429, outbound.CodeUpstreamRejected: 502, outbound.CodeUpstreamUnavailable: 503,
		outbound.CodeDeliveryUnknown: 504, outbound.CodeStoreUnavailable: 503, outbound.CodeShuttingDown: 503,
		outbound.CodeNotFound: 404, outbound.CodeUnsupportedMedia: 400, "nonsense": 500,
	}
	for code, status := range want {
		if got := code.Status(); got != status {
			t.Errorf("%s: got %d, want %d", code, got, status)
		}
	}
}
