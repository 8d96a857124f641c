package relay

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
)

// BrakeOptions say when a conversation counts as a loop.
type BrakeOptions struct {
	// Turns is how many turns a conversation may have within Window; 0: the brake is off.
	Turns int
	// Window is what the turns are counted in.
	Window time.Duration
	// Pause is how long a conversation with more turns is held.
	Pause time.Duration
}

// Brake stops loops: a turn is an event and then a send in one conversation, and a conversation with more than so many
// turns within a window is paused. Its counts are in memory; the pause is durable.
type Brake struct {
	pauser queue.Pauser
	log    *zap.Logger
	now    func() time.Time

	mu    sync.Mutex
	opts  BrakeOptions
	talks map[talk]*turns
	swept time.Time
}

// talk is one conversation of one account.
type talk struct{ account, conversation string }

// turns are a conversation's turns.
type turns struct {
	asked bool // an event came after the last send
	last  time.Time
	at    []time.Time // of the turns within the window, at most opts.Turns
}

// NewBrake returns a brake that pauses with pauser.
func NewBrake(pauser queue.Pauser, opts BrakeOptions, log *zap.Logger) *Brake {
	return &Brake{pauser: pauser, log: log, now: time.Now, opts: opts, talks: map[talk]*turns{}}
}

// Configure takes over new bounds; turns counted so far stay.
func (b *Brake) Configure(opts BrakeOptions) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opts = opts
}

// Event notes that an event is about to be accepted. If the conversation has had all its turns it is paused first, so
// that the event waits.
func (b *Brake) Event(ctx context.Context, account, conversation string) {
	opts, trip := b.event(talk{account, conversation})
	if !trip {
		return
	}
	scope := queue.Scope{Account: account, Conversation: conversation}
	reason := fmt.Sprintf("loop: more than %d turns within %s", opts.Turns, opts.Window)
	fields := []zap.Field{
		zap.String("event", "loop.paused"), zap.String("im", account), zap.String("conversationId", conversation),
		zap.Duration("pause", opts.Pause),
	}
	if err := b.pauser.Pause(ctx, scope, opts.Pause, reason); err != nil {
		b.log.Error("conversation looks like a loop and could not be paused", append(fields, zap.Error(err))...)
		return
	}
	b.log.Warn("conversation looks like a loop and is paused", fields...)
}

// Sent notes that a send reached the conversation.
func (b *Brake) Sent(account, conversation string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.talks[talk{account, conversation}]
	if t == nil || !t.asked {
		return
	}
	now := b.now()
	t.asked, t.last = false, now
	t.at = append(t.recent(now.Add(-b.opts.Window)), now)
}

// event counts, and says whether the brake trips; then the conversation starts anew.
func (b *Brake) event(k talk) (BrakeOptions, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opts.Turns <= 0 {
		return b.opts, false
	}
	now := b.now()
	b.sweep(now)
	t := b.talks[k]
	if t == nil {
		t = &turns{}
		b.talks[k] = t
	}
	t.asked, t.last = true, now
	if len(t.at) < b.opts.Turns {
		return b.opts, false
	}
	if t.at = t.recent(now.Add(-b.opts.Window)); len(t.at) < b.opts.Turns {
		return b.opts, false
	}
	t.at = nil
	return b.opts, true
}

// recent returns the turns after since, in place.
func (t *turns) recent(since time.Time) []time.Time {
	for len(t.at) > 0 && !t.at[0].After(since) {
		t.at = t.at[1:]
	}
	return t.at
}

// sweep forgets, once a window, conversations that were silent for one.
func (b *Brake) sweep(now time.Time) {
	if now.Sub(b.swept) < b.opts.Window {
		return
	}
	b.swept = now
	for k, t := range b.talks {
		if now.Sub(t.last) > b.opts.Window {
			delete(b.talks, k)
		}
	}
}
