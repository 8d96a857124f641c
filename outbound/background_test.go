package outbound_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/outbound"
)

func TestQueuedSendsGoInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: 100 * time.Millisecond}
		r := newRig(t, im).running()
		var ids, want []string
		for i := range 10 {
			rep := r.enqueue(request(fmt.Sprintf("m%d", i)))
			if rep.Status != outbound.StatusQueued || !strings.HasPrefix(rep.ID, "msg_") || rep.Replayed {
				t.Fatalf("got %+v, want queued with an id", rep)
			}
			ids, want = append(ids, rep.ID), append(want, fmt.Sprintf("m%d", i))
		}
		r.lookup(ids[9], outbound.StatusQueued)
		pass(2 * time.Second)
		wantTexts(t, im.texts(), want...)
		if im.mixed {
			t.Error("two calls to one recipient at one time")
		}
		if rep := r.lookup(ids[3], outbound.StatusSent); len(rep.MessageIDs) != 1 || rep.MessageIDs[0] != "90071992547409933" {
			t.Errorf("got %+v, want the IM's id", rep)
		}
	})
}

// TestQueuedRecipientsDoNotWaitForEachOther: one that is slow holds up nobody else.
func TestQueuedRecipientsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: time.Second}
		r := newRig(t, im).running()
		for i := range 30 {
			req := request("hello")
			req.To = fmt.Sprint(i % 10)
			r.enqueue(req)
		}
		pass(3100 * time.Millisecond)
		r.wantCalls(30)
	})
}

// TestSyncAmongQueued: callers' sends keep their place among the queued ones.
func TestSyncAmongQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: 200 * time.Millisecond}
		r := newRig(t, im).running()
		r.enqueue(request("q0"))
		r.enqueue(request("q1"))
		go func() { r.mustSend(request("s2")) }()
		synctest.Wait()
		r.enqueue(request("q3"))
		r.mustSend(request("s4"))
		wantTexts(t, im.texts(), "q0", "q1", "s2", "q3", "s4")
	})
}

// TestQueuedSendsWaitForThePace without a bound, and a caller behind them hears that it would be too long.
func TestQueuedSendsWaitForThePace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{Recipient: oneASecond})).running()
		for i := range 10 {
			r.enqueue(request(fmt.Sprint(i)))
		}
		synctest.Wait()
		e := r.refused(request("over"), outbound.CodeRateLimited)
		if e.RetryAfter < 9*time.Second || e.RetryAfter > 10*time.Second {
			t.Errorf("retry after: got %v, want that of ten ahead", e.RetryAfter)
		}
		pass(9100 * time.Millisecond)
		r.wantCalls(10)
	})
}

// TestQueuedSendsLeaveRoomForCallers: they take no places of the account far ahead.
func TestQueuedSendsLeaveRoomForCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{}, withLimits(outbound.Limits{Account: oneASecond})).running()
		for i := range 30 {
			req := request("queued")
			req.To = fmt.Sprint(i)
			r.enqueue(req)
		}
		pass(time.Second)
		r.mustSend(request("now"))
		pass(time.Minute)
		r.wantCalls(31)
	})
}

func TestQueuedKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: time.Second, answer: script(nil, failing(outbound.Uncertain))}
		r := newRig(t, im).running()
		first := r.enqueue(keyed("r-1", "hello"))
		again := r.enqueue(keyed("r-1", "hello"))
		if again.ID != first.ID || !again.Replayed || again.Status != outbound.StatusQueued {
			t.Errorf("repeat: got %+v, want %s again", again, first.ID)
		}
		_, err := r.Enqueue(t.Context(), keyed("r-1", "other"))
		wantCode(t, nil, err, outbound.CodeKeyReused)
		// A caller with the key gets the queued one's outcome.
		if res := r.mustSend(keyed("r-1", "hello")); !res.Replayed {
			t.Errorf("got %+v, want a replay", res)
		}
		if done := r.enqueue(keyed("r-1", "hello")); done.Status != outbound.StatusSent || !done.Replayed {
			t.Errorf("after it was sent: got %+v, want sent", done)
		}
		r.wantCalls(1)
		lost := r.enqueue(keyed("r-2", "hello"))
		pass(2 * time.Second)
		if rep := r.lookup(lost.ID, outbound.StatusUnknown); rep.Err == nil || rep.Err.Code != outbound.CodeDeliveryUnknown {
			t.Errorf("got %+v, want delivery_unknown", rep)
		}
		_, err = r.Enqueue(t.Context(), keyed("r-2", "hello"))
		wantCode(t, nil, err, outbound.CodeDeliveryUnknown)
		resend := keyed("r-2", "hello")
		resend.Resend = true
		r.enqueue(resend)
		pass(2 * time.Second)
		r.lookup(lost.ID, outbound.StatusSent)
		r.wantCalls(3)
	})
}

func TestLookupIsForTheClientThatSentIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{}).running()
		id := r.enqueue(request("hello")).ID
		rep, err := r.Lookup(t.Context(), "astrbot", id)
		wantCode(t, rep, err, outbound.CodeNotFound)
		rep, err = r.Lookup(t.Context(), "openclaw", "msg_none")
		wantCode(t, rep, err, outbound.CodeNotFound)
	})
}

// TestQueuedSendsOutliveAnOutage: they are tried again for a day, in order, and then have failed.
func TestQueuedSendsOutliveAnOutage(t *testing.T) {
	t.Parallel()
	down := func(until time.Duration) (*fakeIM, time.Time) {
		began := time.Now()
		return &fakeIM{answer: func(int, outbound.Message) error {
			if time.Since(began) < until {
				return failing(outbound.NotSent)
			}
			return nil
		}}, began
	}
	t.Run("an hour", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			im, _ := down(time.Hour)
			r := newRig(t, im).running()
			r.enqueue(request("one"))
			last := r.enqueue(request("two"))
			pass(70 * time.Minute)
			texts := im.texts()
			wantTexts(t, texts[len(texts)-2:], "one", "two")
			r.lookup(last.ID, outbound.StatusSent)
			if n := len(texts); n > 60 {
				t.Errorf("calls in an hour: got %d, want a few", n)
			}
		})
	})
	t.Run("two days", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			im, _ := down(48 * time.Hour)
			r := newRig(t, im).running()
			id := r.enqueue(request("one")).ID
			pass(25 * time.Hour)
			if rep := r.lookup(id, outbound.StatusFailed); rep.Err == nil || rep.Err.Code != outbound.CodeUpstreamUnavailable {
				t.Errorf("got %+v, want upstream_unavailable", rep)
			}
		})
	})
}

// TestACallerBehindAnOutageHearsItAtOnce instead of waiting for the day to end.
func TestACallerBehindAnOutageHearsItAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: func(int, outbound.Message) error { return failing(outbound.NotSent) }}
		r := newRig(t, im).running()
		r.enqueue(request("queued"))
		pass(time.Minute)
		began := time.Now()
		r.refused(request("now"), outbound.CodeUpstreamUnavailable)
		if took := time.Since(began); took > testHold {
			t.Errorf("refused after %v, want within the hold", took)
		}
	})
}

// TestACallerInTheLineHearsOfAnOutage when the one before him will not be tried again in time.
func TestACallerInTheLineHearsOfAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: func(int, outbound.Message) error { return failing(outbound.NotSent) }}
		r := newRig(t, im).running()
		r.enqueue(request("queued"))
		synctest.Wait()
		began := time.Now()
		r.refused(request("now"), outbound.CodeUpstreamUnavailable)
		if took := time.Since(began); took == 0 || took > testHold {
			t.Errorf("refused after %v, want some time within the hold", took)
		}
	})
}

// TestACallerInTheLineHearsOfAThrottle that the queued one before him waits for.
func TestACallerInTheLineHearsOfAThrottle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: time.Second, answer: script(&outbound.SendError{Reason: outbound.Throttled, After: time.Minute})}
		r := newRig(t, im).running()
		r.enqueue(request("queued"))
		synctest.Wait()
		began := time.Now()
		r.refused(request("now"), outbound.CodeUpstreamRateLimited)
		wantAfter(t, "refused", began, time.Second)
	})
}

// lateStore is a ledger that takes its time to say that a claim is done.
type lateStore struct{ dedupe.Store }

func (l lateStore) Claim(ctx context.Context, c dedupe.Claim) (dedupe.Entry, error) {
	e, err := l.Store.Claim(ctx, c)
	pass(3 * time.Second)
	return e, err
}

// TestLaterSendsStandBehindOneThatIsBeingQueued, however long that takes.
func TestLaterSendsStandBehindOneThatIsBeingQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, func(o *outbound.Options) { o.Store = lateStore{o.Store} }).running()
		synctest.Wait()
		go func() {
			if _, err := r.Enqueue(t.Context(), request("queued")); err != nil {
				t.Errorf("enqueue: %v", err)
			}
		}()
		synctest.Wait()
		r.mustSend(request("now"))
		wantTexts(t, im.texts(), "queued", "now")
		pass(3100 * time.Millisecond)
		began := time.Now()
		r.mustSend(request("later"))
		if took := time.Since(began); took != 0 {
			t.Errorf("sent after %v, want at once", took)
		}
	})
}

func TestQueuedSendsWaitForThrottles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: script(&outbound.SendError{Reason: outbound.Throttled, After: 10 * time.Minute})}
		r := newRig(t, im).running()
		id := r.enqueue(request("hello")).ID
		pass(9 * time.Minute)
		r.wantCalls(1)
		pass(2 * time.Minute)
		r.lookup(id, outbound.StatusSent)
	})
}

func TestQueuedRejectionsAreFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: script(nil, &outbound.SendError{Reason: outbound.Rejected, Code: "-44", Detail: "no such friend"})}
		r := newRig(t, im, withLimits(outbound.Limits{MaxText: 5})).running()
		id := r.enqueue(keyed("r-1", fiveWords)).ID
		pass(time.Second)
		rep := r.lookup(id, outbound.StatusFailed)
		if rep.Err == nil || rep.Err.Code != outbound.CodeUpstreamRejected || rep.Err.Upstream == nil ||
			rep.Err.Upstream.Code != "-44" || rep.Err.Part != 2 || len(rep.MessageIDs) != 1 {
			t.Errorf("got %+v (%+v), want upstream_rejected at part 2", rep, rep.Err)
		}
		r.wantCalls(2)
		// A failure is no outcome to keep: the key may be tried again, and goes on.
		r.enqueue(keyed("r-1", fiveWords))
		pass(time.Second)
		r.lookup(id, outbound.StatusSent)
		wantTexts(t, im.texts(), "alpha", "bravo", "bravo", "charl", "delta", "echoo")
	})
}

// TestQueuedSendsSurviveARestart, in order, and before callers' sends that come after it.
func TestQueuedSendsSurviveARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newLedger()
		before := newRigOn(t, store, &fakeIM{})
		for i := range 5 {
			before.enqueue(request(fmt.Sprintf("q%d", i)))
		}
		im := &fakeIM{takes: 100 * time.Millisecond}
		after := newRigOn(t, store.Crash(), im)
		go func() { after.mustSend(request("s5")) }()
		synctest.Wait()
		after.running()
		after.mustSend(request("s6"))
		wantTexts(t, im.texts(), "q0", "q1", "q2", "q3", "q4", "s5", "s6")
	})
}

// TestACrashDuringAQueuedCallIsUnknown and the next one of the recipient goes on.
func TestACrashDuringAQueuedCallIsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newLedger()
		before := newRigOn(t, store, &fakeIM{takes: 30 * time.Second}).running()
		lost, next := before.enqueue(request("lost")).ID, before.enqueue(request("next")).ID
		pass(time.Second)
		after := newRigOn(t, store.Crash(), &fakeIM{}).running()
		pass(time.Second)
		after.lookup(lost, outbound.StatusUnknown)
		after.lookup(next, outbound.StatusSent)
		wantTexts(t, after.im.texts(), "next")
	})
}

// TestTwoRelaysOnOneLedger: each row is sent once, and no line waits for ever for a row that the other one took.
func TestTwoRelaysOnOneLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newLedger()
		one := newRigOn(t, store, &fakeIM{takes: time.Second})
		two := newRigOn(t, store, &fakeIM{takes: time.Second}).running()
		for i := range 5 {
			one.enqueue(request(fmt.Sprint(i)))
		}
		pass(6 * time.Second)
		two.wantCalls(5)
		one.running()
		pass(5 * time.Second)
		one.mustSend(request("now"))
		one.wantCalls(1)
	})
}

// TestAnAccountThatComesBack: queued sends wait while a reload has taken their account away.
func TestAnAccountThatComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im)
		id := r.enqueue(request("hello world")).ID
		r.Reload(outbound.Table{})
		r.running()
		pass(time.Minute)
		r.lookup(id, outbound.StatusQueued)
		r.Reload(outbound.Table{"wechat": {Connector: im, Limits: outbound.Limits{MaxText: 5}}})
		pass(10 * time.Second)
		r.lookup(id, outbound.StatusSent)
		wantTexts(t, im.texts(), "hello", "world")
	})
}

func TestStoppingRefusesAndKeeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: time.Second}
		r := newRig(t, im, withLimits(outbound.Limits{Recipient: oneASecond})).running()
		errs := make(chan error, 2)
		for _, text := range []string{"under way", "in line"} {
			go func() {
				_, err := r.Send(t.Context(), keyed(text, text))
				errs <- err
			}()
			synctest.Wait()
		}
		queued := r.enqueue(request("queued")).ID
		began := time.Now()
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		wantAfter(t, "closed", began, time.Second)
		got := []error{<-errs, <-errs}
		if !slices.Contains(got, nil) {
			t.Errorf("got %v, want the one under way to be sent", got)
		}
		for _, err := range got {
			if err != nil {
				wantCode(t, nil, err, outbound.CodeShuttingDown)
			}
		}
		r.refused(request("late"), outbound.CodeShuttingDown)
		_, err := r.Enqueue(t.Context(), request("late"))
		wantCode(t, nil, err, outbound.CodeShuttingDown)
		wantTexts(t, im.texts(), "under way")
		r.lookup(queued, outbound.StatusQueued)
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("close again: %v", err)
		}

		after := newRigOn(t, r.store, &fakeIM{}).running()
		pass(time.Second)
		after.lookup(queued, outbound.StatusSent)
		after.mustSend(keyed("in line", "in line"))
	})
}

// TestTheEndOfRunStopsTheSender, callers' sends included.
func TestTheEndOfRunStopsTheSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{takes: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		id := r.enqueue(request("under way")).ID
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		r.lookup(id, outbound.StatusSent)
		r.refused(request("late"), outbound.CodeShuttingDown)
	})
}

// TestGoneBeforeItBegan: a caller who has left already is never sent.
func TestGoneBeforeItBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{})
		ctx, leave := context.WithCancel(t.Context())
		leave()
		for range 20 {
			if _, err := r.Send(ctx, keyed("r-1", "hello")); err == nil {
				t.Fatal("got sent, want an error")
			}
		}
		r.wantCalls(0)
		r.mustSend(keyed("r-1", "other content"))
	})
}

// TestCloseIsBounded: a call that hangs is cut off, and its outcome is unknown.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{takes: time.Hour})
		errs := make(chan error, 1)
		go func() {
			_, err := r.Send(t.Context(), keyed("r-1", "hello"))
			errs <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if err := r.Close(ctx); err == nil {
			t.Error("close: got nil, want the end of its time")
		}
		wantAfter(t, "closed", began, 5*time.Second)
		wantCode(t, nil, <-errs, outbound.CodeDeliveryUnknown)
	})
}

// wallStore is a ledger whose messages seem to have been queued an age ago, as they do after the clock was set.
type wallStore struct {
	dedupe.Store
	age time.Duration
}

func (w wallStore) Take(ctx context.Context, limit int) ([]dedupe.Entry, error) {
	es, err := w.Store.Take(ctx, limit)
	for i := range es {
		var m map[string]any
		if err := json.Unmarshal(es[i].Payload, &m); err != nil {
			return nil, err
		}
		m["queued"] = time.Now().Add(-w.age)
		if es[i].Payload, err = json.Marshal(m); err != nil {
			return nil, err
		}
	}
	return es, err
}

// TestAClockThatIsSetFailsNothing: what was queued in this process has a day of elapsed time, and what an earlier one
// left is tried more than once before it is too old.
func TestAClockThatIsSetFailsNothing(t *testing.T) {
	t.Parallel()
	for _, age := range []time.Duration{30 * time.Hour, -30 * time.Hour} {
		t.Run(fmt.Sprint("queued here, by ", age), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				im := &fakeIM{answer: func(int, outbound.Message) error {
					if time.Since(began) < 23*time.Hour {
						return failing(outbound.NotSent)
					}
					return nil
				}}
				r := newRig(t, im, func(o *outbound.Options) { o.Store = wallStore{o.Store, age} }).running()
				id := r.enqueue(request("hello")).ID
				pass(22 * time.Hour)
				r.lookup(id, outbound.StatusQueued)
				pass(90 * time.Minute)
				r.lookup(id, outbound.StatusSent)
			})
		})
	}
	tests := []struct {
		name   string
		answer []error
		want   string
		calls  int
	}{
		{"unavailable once", []error{failing(outbound.NotSent)}, outbound.StatusSent, 2},
		{"unavailable twice", []error{failing(outbound.NotSent), failing(outbound.NotSent)}, outbound.StatusFailed, 2},
		{"throttled once", []error{&outbound.SendError{Reason: outbound.Throttled, After: 50 * time.Second}}, outbound.StatusSent, 2},
	}
	for _, tt := range tests {
		t.Run("left by an earlier run, "+tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newLedger()
				id := newRigOn(t, store, &fakeIM{}).enqueue(request("hello")).ID
				r := newRigOn(t, store.Crash(), &fakeIM{answer: script(tt.answer...)}, func(o *outbound.Options) {
					o.Store = wallStore{o.Store, 30 * time.Hour}
				}).running()
				pass(time.Minute)
				r.lookup(id, tt.want)
				r.wantCalls(tt.calls)
			})
		})
	}
}
