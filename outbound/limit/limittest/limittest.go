// Package limittest is the suite that every limiter has to pass, whatever keeps its buckets. It says what
// [outbound.Limiter] promises, in code. Its rates are so slow that the time a test takes does not matter; what time does to
// a bucket each limiter's own tests say.
package limittest

import (
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

// slack is what a delay may be wrong by: the test's own time, and a machine that is busy.
const slack = 20 * time.Second

// Open makes a limiter that has seen none of the test's accounts, or makes one do for several tests: no two use the same
// account.
type Open func(t *testing.T) outbound.Limiter

// Run runs the suite. name is part of the accounts' names.
func Run(t *testing.T, name string, open Open) {
	t.Helper()
	for _, tt := range []struct {
		name string
		run  func(f *fixture)
	}{
		{"rates", rates},
		{"what is ahead counts", ahead},
		{"no limit", unlimited},
		{"a place is given back", givenBack},
		{"only the last place is given back", notGivenBack},
		{"a place whose time has come is not given back", come},
		{"both places are given back", bothGivenBack},
		{"names are kept apart", apart},
		{"changed limits hold at once", changed},
		{"reserves at one time spread out", spread},
		{"a cost is a pause behind", cost},
		{"a cost goes beyond the burst", costBeyond},
		{"a dear place is given back", costGivenBack},
		{"a dear place that others stand behind is not", costNotGivenBack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(&fixture{T: t, l: open(t), account: name + "-" + tt.name})
		})
	}
}

// fixture is a limiter and an account of its own. Its methods end the test when the limiter fails.
type fixture struct {
	*testing.T
	l       outbound.Limiter
	account string
}

// minutely is a rate of n a minute.
func minutely(n, burst int) outbound.Rate {
	return outbound.Rate{N: n, Per: time.Duration(n) * time.Minute, Burst: burst}
}

func (f *fixture) slot(account, recipient outbound.Rate) outbound.Slot {
	return outbound.Slot{
		Account: f.account, Recipient: "wxid_alice", Limits: outbound.Limits{Account: account, Recipient: recipient},
	}
}

func (f *fixture) take(s outbound.Slot) outbound.Place {
	f.Helper()
	p, err := f.l.Reserve(f.Context(), s)
	if err != nil {
		f.Fatalf("reserve: %v", err)
	}
	return p
}

// reserve takes a place and wants it in so many minutes.
func (f *fixture) reserve(s outbound.Slot, minutes int) outbound.Place {
	f.Helper()
	p := f.take(s)
	f.near("reserved delay", p.Delay, minutes)
	return p
}

// delay wants a send to wait so many minutes.
func (f *fixture) delay(s outbound.Slot, minutes int) {
	f.Helper()
	d, err := f.l.Delay(f.Context(), s)
	if err != nil {
		f.Fatalf("delay: %v", err)
	}
	f.near("delay", d, minutes)
}

func (f *fixture) near(what string, got time.Duration, minutes int) {
	f.Helper()
	want := time.Duration(minutes) * time.Minute
	if got < 0 || got > want+time.Millisecond || got < want-slack {
		f.Fatalf("%s: got %v, want %v or a little less", what, got, want)
	}
}

func rates(f *fixture) {
	for _, tt := range []struct {
		name               string
		account, recipient outbound.Rate
		want               []int
	}{
		{"N at once, then one each Nth", minutely(3, 0), outbound.Rate{}, []int{0, 0, 0, 1, 2}},
		{"a burst that says otherwise", minutely(60, 2), outbound.Rate{}, []int{0, 0, 1, 2}},
		{"a burst over N", minutely(1, 3), outbound.Rate{}, []int{0, 0, 0, 1, 2}},
		{"a recipient's", outbound.Rate{}, minutely(1, 0), []int{0, 1, 2}},
		{"the recipient's is slower", minutely(1, 0), outbound.Rate{N: 1, Per: 3 * time.Minute}, []int{0, 3, 6}},
		{"the account's is slower", outbound.Rate{N: 1, Per: 2 * time.Minute}, minutely(1, 0), []int{0, 2, 4}},
	} {
		s := f.slot(tt.account, tt.recipient)
		s.Account += "-" + tt.name
		for i, want := range tt.want {
			f.delay(s, want)
			f.delay(s, want)
			f.reserve(s, want)
			if f.Failed() {
				f.Fatalf("%s, send %d", tt.name, i)
			}
		}
	}
}

func ahead(f *fixture) {
	s := f.slot(minutely(2, 0), minutely(1, 0))
	s.AheadAccount = 4
	f.delay(s, 3)
	s.AheadRecipient = 5
	f.delay(s, 5)
	f.reserve(s, 0)
	f.delay(s, 6)
	s.AheadRecipient = 0
	f.delay(s, 4)
}

func unlimited(f *fixture) {
	for range 100 {
		f.delay(f.slot(outbound.Rate{}, outbound.Rate{}), 0)
		p := f.reserve(f.slot(outbound.Rate{N: 1}, outbound.Rate{Per: time.Minute}), 0)
		p.Cancel()
	}
}

func givenBack(f *fixture) {
	s := f.slot(minutely(2, 0), outbound.Rate{})
	f.reserve(s, 0)
	f.reserve(s, 0)
	f.reserve(s, 1)
	f.reserve(s, 2).Cancel()
	f.delay(s, 2)
	f.reserve(s, 2).Cancel()
	f.reserve(s, 2)
	f.reserve(s, 3)
}

// notGivenBack: else the next one would get the time of the one behind.
func notGivenBack(f *fixture) {
	s := f.slot(minutely(1, 0), outbound.Rate{})
	f.reserve(s, 0)
	p := f.reserve(s, 1)
	f.reserve(s, 2)
	p.Cancel()
	f.reserve(s, 3)
}

func come(f *fixture) {
	const interval = 200 * time.Millisecond
	s := f.slot(outbound.Rate{N: 1, Per: interval, Burst: 2}, outbound.Rate{})
	began := time.Now()
	f.take(s)
	f.take(s)
	p := f.take(s)
	timer := time.NewTimer(p.Delay + 10*time.Millisecond)
	defer timer.Stop()
	<-timer.C
	p.Cancel()
	next := f.take(s)
	if got := time.Since(began) + next.Delay; got < 2*interval-time.Millisecond {
		f.Fatalf("fourth send: got it %v after the first, want at least %v", got, 2*interval)
	}
}

func bothGivenBack(f *fixture) {
	s := f.slot(minutely(1, 0), outbound.Rate{N: 1, Per: 3 * time.Minute})
	f.reserve(s, 0)
	f.reserve(s, 3).Cancel()
	f.reserve(s, 3).Cancel()
	s.Recipient = "wxid_bob"
	f.reserve(s, 1)
}

func apart(f *fixture) {
	alice := f.slot(outbound.Rate{}, minutely(1, 0))
	bob, elsewhere, like := alice, alice, alice
	bob.Recipient = "wxid_bob"
	elsewhere.Account += "-2"
	like.Recipient = "wxid_alice:1"
	f.reserve(alice, 0)
	f.reserve(bob, 0)
	f.reserve(elsewhere, 0)
	f.reserve(like, 0)
	f.reserve(f.slot(minutely(1, 0), outbound.Rate{}), 0)
	f.delay(alice, 1)
}

func changed(f *fixture) {
	slow := f.slot(outbound.Rate{N: 1, Per: 10 * time.Minute}, outbound.Rate{})
	f.reserve(slow, 0)
	f.delay(slow, 10)
	f.delay(f.slot(outbound.Rate{}, outbound.Rate{}), 0)
	fast := f.slot(minutely(1, 0), outbound.Rate{})
	d, err := f.l.Delay(f.Context(), fast)
	if err != nil || d > time.Minute {
		f.Fatalf("delay after the change: got %v, %v; want no more than a minute", d, err)
	}
	f.take(fast)
	f.take(fast)
	if d, err = f.l.Delay(f.Context(), fast); err != nil || d < time.Minute-slack {
		f.Fatalf("delay after two sends: got %v, %v; want at least a minute", d, err)
	}
}

func spread(f *fixture) {
	const callers = 9
	s := f.slot(minutely(1, 0), outbound.Rate{})
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		seen = map[int]int{}
	)
	for range callers {
		wg.Go(func() {
			p, err := f.l.Reserve(f.Context(), s)
			if err != nil {
				f.Errorf("reserve: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[int((p.Delay+slack)/time.Minute)]++
		})
	}
	wg.Wait()
	for i := range callers {
		if seen[i] != 1 {
			f.Fatalf("places in %d minutes: got %d, want 1: %v", i, seen[i], seen)
		}
	}
}

// cost: what is dearer goes as soon as any, and those behind wait for it. The account's cost is nothing to the recipient.
func cost(f *fixture) {
	s := f.slot(minutely(1, 0), outbound.Rate{})
	for _, tt := range []struct {
		cost float64
		want int
	}{{0, 0}, {1, 1}, {3, 2}, {0.25, 5}, {2, 6}, {1, 8}} {
		s.CostAccount = tt.cost
		f.delay(s, tt.want)
		f.reserve(s, tt.want)
	}
	s.Recipient, s.CostRecipient = "wxid_bob", 4
	s.Limits.Account, s.Limits.Recipient = outbound.Rate{}, minutely(1, 0)
	f.reserve(s, 0)
	f.reserve(s, 4)
	s.CostAccount, s.CostRecipient = 9, 1.5
	f.reserve(s, 8)
	s.Limits.Recipient.Per *= 2
	s.Recipient = "wxid_carol"
	f.reserve(s, 0)
	f.reserve(s, 3)
}

// costBeyond: a burst is used up the sooner, and what is over it is waited for.
func costBeyond(f *fixture) {
	s := f.slot(minutely(3, 0), outbound.Rate{})
	s.CostAccount = 2
	f.reserve(s, 0)
	f.reserve(s, 0)
	f.reserve(s, 2)
	s.CostAccount = 1
	f.reserve(s, 4)
	s.AheadAccount = 2
	f.delay(s, 7)
}

func costGivenBack(f *fixture) {
	s := f.slot(minutely(2, 0), minutely(1, 0))
	s.CostAccount, s.CostRecipient = 5, 2
	f.reserve(s, 0)
	p := f.reserve(s, 4)
	f.delay(s, 9)
	p.Cancel()
	f.delay(s, 4)
	f.reserve(s, 4)
	f.delay(s, 9)
}

func costNotGivenBack(f *fixture) {
	s := f.slot(minutely(1, 0), outbound.Rate{})
	f.reserve(s, 0)
	s.CostAccount = 4
	p := f.reserve(s, 1)
	s.CostAccount = 1
	f.reserve(s, 5)
	p.Cancel()
	f.reserve(s, 6)
}
