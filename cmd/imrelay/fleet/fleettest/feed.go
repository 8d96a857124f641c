package fleettest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Accepted is a message that a relay answered for.
type Accepted struct {
	ID string
	// Asked is when it was pushed, At when the answer came.
	Asked, At time.Time
}

// Refused is an answer that was no 2xx; the zero status: there was none.
type Refused struct {
	Answer

	By string
	At time.Time
}

// Feed pushes messages: those of a conversation over the relays in turn, the next one only when the one before was
// accepted, and many conversations side by side.
type Feed struct {
	// Lanes is the number of conversations.
	Lanes int
	// Pause is the most that a conversation waits between two messages.
	Pause time.Duration
	// Within is how long an answer may take before the message goes again; 0: Patience.
	Within time.Duration
	// Again is how many messages go once more over the next relay after they were accepted: one in so many; 0: none.
	Again int
	// Async says that no push waits for what becomes of its message, so that a delivery that is held up holds no push up;
	// otherwise one in three does.
	Async bool
	// Forgets says that the relays may have forgotten that they know a message.
	Forgets bool

	relays  atomic.Pointer[[]*Relay]
	latest  atomic.Pointer[time.Time] // acceptance
	counts  []atomic.Int64            // acceptances, by lane
	cancel  context.CancelFunc
	lanes   sync.WaitGroup
	book    [][]Accepted
	mu      sync.Mutex
	refused []Refused
	wrong   []string
}

// Start feeds the relays until Stop.
func (f *Feed) Start(ctx context.Context, relays ...*Relay) {
	f.Over(relays...)
	ctx, f.cancel = context.WithCancel(ctx)
	f.book, f.counts = make([][]Accepted, f.Lanes), make([]atomic.Int64, f.Lanes)
	for lane := range f.Lanes {
		f.lanes.Go(func() { f.book[lane] = f.lane(ctx, lane) })
	}
}

// Over makes these the relays that are fed from now on, as a load balancer does that has seen one fail.
func (f *Feed) Over(relays ...*Relay) { f.relays.Store(&relays) }

// Promised waits until a message is accepted after a time, and returns when one was; the zero time: none was.
func (f *Feed) Promised(since time.Time) time.Time {
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); {
		if at := f.latest.Load(); at != nil && at.After(since) {
			return *at
		}
		<-time.After(2 * time.Millisecond)
	}
	return time.Time{}
}

// Reached waits until so many messages of each conversation are accepted, and says whether they were.
func (f *Feed) Reached(ctx context.Context, n int) bool {
	for deadline := time.Now().Add(Patience); ctx.Err() == nil && time.Now().Before(deadline); {
		least := int64(n)
		for i := range f.counts {
			least = min(least, f.counts[i].Load())
		}
		if least >= int64(n) {
			return true
		}
		wait(ctx, 10*time.Millisecond)
	}
	return false
}

// Stop ends it and returns what was accepted, by lane and in order. A message whose answer was under way may be in the
// relays' books and not here.
func (f *Feed) Stop() [][]Accepted {
	f.cancel()
	f.lanes.Wait()
	return f.book
}

// Refused are the answers that were no 2xx, so far.
func (f *Feed) Refused() []Refused {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Refused(nil), f.refused...)
}

// Wrong are the answers to repeats that must not be.
func (f *Feed) Wrong() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.wrong...)
}

// lane pushes the messages of one conversation.
func (f *Feed) lane(ctx context.Context, lane int) (accepted []Accepted) {
	for turn, seq := lane, 1; ctx.Err() == nil; seq++ {
		a := f.insist(ctx, lane, seq, &turn)
		if a.Status == 0 {
			return accepted
		}
		id := a.Get("eventId").Str
		now := time.Now()
		accepted = append(accepted, Accepted{ID: id, Asked: now.Add(-a.Took), At: now})
		f.latest.Store(&now)
		f.counts[lane].Add(1)
		if f.Again > 0 && seq%f.Again == 0 {
			f.again(ctx, f.insist(ctx, lane, seq, &turn), id)
		}
		wait(ctx, rand.N(f.Pause+1))
	}
	return accepted
}

// insist pushes a message until it is accepted, each time over the next relay. An answer that did not come is no answer,
// so the same message goes again, as IM servers do.
func (f *Feed) insist(ctx context.Context, lane, seq int, turn *int) Answer {
	for ctx.Err() == nil {
		relays := *f.relays.Load()
		r := relays[*turn%len(relays)]
		*turn++
		a := f.push(ctx, r, lane, seq)
		if a.Status/100 == 2 && a.Get("eventId").Str != "" {
			return a
		}
		if ctx.Err() != nil {
			break
		}
		f.mu.Lock()
		f.refused = append(f.refused, Refused{Answer: a, By: r.Name, At: time.Now()})
		f.mu.Unlock()
		wait(ctx, 5*time.Millisecond)
	}
	return Answer{}
}

func (f *Feed) push(ctx context.Context, r *Relay, lane, seq int) Answer {
	var headers []string
	if f.Async || seq%3 != 0 {
		headers = []string{"Prefer", "respond-async"}
	}
	if f.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.Within)
		defer cancel()
	}
	return r.Push(ctx, Push(lane, seq), headers...)
}

// again checks the answer to a repeat.
func (f *Feed) again(ctx context.Context, a Answer, id string) {
	if ctx.Err() != nil || f.Forgets {
		return
	}
	if a.Status != http.StatusOK || !a.Get("duplicate").Bool() || a.Get("eventId").Str != id {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.wrong = append(f.wrong, fmt.Sprintf("a repeat of %s was answered with %s", id, a))
	}
}
