package outbound_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"github.com/imrelay/imrelay/outbound"
)

const fiveWords = "alpha bravo charl delta echoo"

func TestALongTextGoesInParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{MaxText: 5}))
		req := keyed("r-1", fiveWords)
		req.ReplyTo, req.Media = "42", []outbound.Media{{Type: "image", URL: "https://x.example/a.png"}}
		res := r.mustSend(req)
		wantTexts(t, im.texts(), strings.Fields(fiveWords)...)
		for i, m := range im.sent() {
			if (m.ReplyTo != "") != (i == 0) || (m.Media != nil) != (i == 0) {
				t.Errorf("part %d: got reply %q and media %v, want both with the first only", i+1, m.ReplyTo, m.Media)
			}
		}
		if len(res.MessageIDs) != 5 || len(r.sent) != 5 {
			t.Errorf("ids: got %v, told %v; want five of each", res.MessageIDs, r.sent)
		}
		again := r.mustSend(req)
		if !again.Replayed || !slices.Equal(again.MessageIDs, res.MessageIDs) {
			t.Errorf("repeat: got %+v, want %v replayed", again, res.MessageIDs)
		}
	})
}

func TestMediaAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{MaxText: 5}))
		req := request("")
		req.Media = []outbound.Media{{Type: "image", URL: "https://x.example/a.png"}}
		r.mustSend(req)
		r.wantCalls(1)
	})
}

// measured is an IM that counts UTF-16 units.
type measured struct {
	*fakeIM
	limit int
}

func (m measured) MaxText() int            { return m.limit }
func (m measured) Measure(text string) int { return len(utf16.Encode([]rune(text))) }

func TestTheSmallerBoundCounts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		chars, units int
		want         []string
	}{
		{"the IM's unit", 0, 4, []string{"😀😀", "😀😀"}},
		{"the account's characters", 3, 100, []string{"😀😀😀", "😀"}},
		{"both", 3, 4, []string{"😀😀", "😀😀"}},
		{"none", 0, 0, []string{"😀😀😀😀"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := &fakeIM{}
				r := newRig(t, im, withAccounts(outbound.Table{"wechat": {
					Connector: measured{im, tt.units}, Limits: outbound.Limits{MaxText: tt.chars},
				}}))
				r.mustSend(request("😀😀😀😀"))
				wantTexts(t, im.texts(), tt.want...)
			})
		})
	}
}

func TestTwentyPartsAndNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{}, withLimits(outbound.Limits{MaxText: 1}))
		r.mustSend(request(strings.Repeat("x", 20)))
		r.wantCalls(20)
		r.refused(request(strings.Repeat("x", 21)), outbound.CodeInvalid)
		_, err := r.Enqueue(t.Context(), request(strings.Repeat("x", 21)))
		wantCode(t, nil, err, outbound.CodeInvalid)
		r.wantCalls(20)
	})
}

// TestTheRestFollowsAtThePace: only the first part is judged by the hold.
func TestTheRestFollowsAtThePace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{MaxText: 5, Recipient: outbound.Rate{N: 1, Per: 10 * time.Second}}))
		began := time.Now()
		r.mustSend(request(fiveWords))
		wantAfter(t, "five parts", began, 40*time.Second)
	})
}

// TestPartsAheadCount: a message behind a long one is judged by all of its parts.
func TestPartsAheadCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{}, withLimits(outbound.Limits{MaxText: 5, Recipient: oneASecond}))
		go func() { _, _ = r.Send(t.Context(), request(fiveWords)) }()
		synctest.Wait()
		e := r.refused(request("over"), outbound.CodeRateLimited)
		if e.RetryAfter != 5*time.Second {
			t.Errorf("retry after: got %v, want 5s", e.RetryAfter)
		}
		pass(2 * time.Second)
		began := time.Now()
		r.mustSend(request("fits"))
		wantAfter(t, "sent behind the parts", began, 3*time.Second)
		pass(time.Minute)
	})
}

// TestAFailedPart: its error tells the part and what was sent, and the same key goes on from there.
func TestAFailedPart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    *outbound.SendError
		want   outbound.Code
		resend bool
	}{
		{"rejected", failing(outbound.Rejected), outbound.CodeUpstreamRejected, false},
		{"throttled", &outbound.SendError{Reason: outbound.Throttled, After: 10 * time.Second}, outbound.CodeUpstreamRateLimited, false},
		{"not sent", &outbound.SendError{Reason: outbound.NotSent, After: 10 * time.Second}, outbound.CodeUpstreamUnavailable, false},
		{"unknown", failing(outbound.Uncertain), outbound.CodeDeliveryUnknown, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := &fakeIM{answer: script(nil, nil, tt.err)}
				r := newRig(t, im, withLimits(outbound.Limits{MaxText: 5}))
				req := keyed("r-1", fiveWords)
				e := r.refused(req, tt.want)
				if e.Part != 3 || len(e.MessageIDs) != 2 {
					t.Errorf("got part %d and ids %v, want part 3 and two ids", e.Part, e.MessageIDs)
				}
				pass(10 * time.Second)
				if tt.resend {
					e = r.refused(req, tt.want)
					if e.Part != 3 || len(e.MessageIDs) != 2 {
						t.Errorf("again: got part %d and ids %v, want part 3 and two ids", e.Part, e.MessageIDs)
					}
					req.Resend = true
				}
				res := r.mustSend(req)
				wantTexts(t, im.texts(), "alpha", "bravo", "charl", "charl", "delta", "echoo")
				if len(res.MessageIDs) != 5 || res.Replayed {
					t.Errorf("got %+v, want five ids", res)
				}
				req.Resend = false
				if again := r.mustSend(req); !again.Replayed || !slices.Equal(again.MessageIDs, res.MessageIDs) {
					t.Errorf("repeat: got %+v, want %v replayed", again, res.MessageIDs)
				}
			})
		})
	}
}

// TestEachPartIsHeldUpOnItsOwn: a throttle that is over within the hold is waited for at the last part too.
func TestEachPartIsHeldUpOnItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: script(nil, nil, nil, nil, &outbound.SendError{Reason: outbound.Throttled, After: 2 * time.Second})}
		r := newRig(t, im, withLimits(outbound.Limits{MaxText: 5, Recipient: oneASecond}))
		r.mustSend(request(fiveWords))
		r.wantCalls(6)
	})
}

// TestGoingOnWithOtherLimits: what is left is cut as the limits are now.
func TestGoingOnWithOtherLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: script(nil, failing(outbound.Rejected))}
		r := newRig(t, im, withLimits(outbound.Limits{MaxText: 5}))
		r.refused(keyed("r-1", fiveWords), outbound.CodeUpstreamRejected)
		r.Reload(outbound.Table{"wechat": {Connector: im, Limits: outbound.Limits{MaxText: 11}}})
		r.mustSend(keyed("r-1", fiveWords))
		wantTexts(t, im.texts(), "alpha", "bravo", "bravo charl", "delta echoo")
	})
}

// TestACrashBetweenParts: the parts that went are known, the one under way is not.
func TestACrashBetweenParts(t *testing.T) {
	t.Parallel()
	crash := func(t *testing.T, during time.Duration) *rig {
		t.Helper()
		store := newLedger()
		r := newRigOn(t, store, &fakeIM{takes: 100 * time.Millisecond}, withLimits(outbound.Limits{
			MaxText: 5, Recipient: oneASecond,
		}))
		go func() { _, _ = r.Send(t.Context(), keyed("r-1", fiveWords)) }()
		pass(during)
		im := &fakeIM{}
		after := newRigOn(t, store.Crash(), im, withLimits(outbound.Limits{MaxText: 5}))
		t.Cleanup(func() { pass(time.Minute) })
		return after
	}
	t.Run("during a call", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			after := crash(t, 1050*time.Millisecond)
			if e := after.refused(keyed("r-1", fiveWords), outbound.CodeDeliveryUnknown); e.Part != 2 || len(e.MessageIDs) != 1 {
				t.Errorf("got part %d and ids %v, want part 2 and one id", e.Part, e.MessageIDs)
			}
		})
	})
	t.Run("between two", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			after := crash(t, 1500*time.Millisecond)
			after.mustSend(keyed("r-1", fiveWords))
			wantTexts(t, after.im.texts(), "charl", "delta", "echoo")
		})
	})
}

// TestACallerWhoLeavesBetweenPartsGetsThemAllSent: half a message helps nobody.
func TestACallerWhoLeavesBetweenPartsGetsThemAllSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{MaxText: 5, Recipient: oneASecond}))
		ctx, leave := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer leave()
		if _, err := r.Send(ctx, request(fiveWords)); err != nil {
			t.Errorf("send: %v", err)
		}
		r.wantCalls(5)
	})
}

// A text that would need too many parts is refused, or cut off where the caller asks for that; the same one again is the
// same message.
func TestATextOfTooManyParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{MaxText: 5}))
		req := keyed("r-1", strings.Repeat("words ", 30))
		res, err := r.Send(t.Context(), req)
		wantCode(t, res, err, outbound.CodeInvalid)
		r.wantCalls(0)
		req.Adapt = true
		res = r.mustSend(req)
		got := im.texts()
		if len(got) != 20 || got[0] != "words" || got[18] != "words" || !strings.HasSuffix(got[19], "…") {
			t.Errorf("got %d parts: %q", len(got), got)
		}
		if again := r.mustSend(req); !again.Replayed || !slices.Equal(again.MessageIDs, res.MessageIDs) {
			t.Errorf("repeat: got %+v, want %v replayed", again, res.MessageIDs)
		}
		if n := r.logs.FilterMessage("text is too long and was cut off").Len(); n != 2 {
			t.Errorf("got %d lines, want one for each request", n)
		}
	})
}
