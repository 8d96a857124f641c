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
// turns within a window is paused. Its counts are in memory, unless the queue is a [queue.Braker] and counts for all
// relays; the pause is durable.
type Brake struct {
	pauser queue.Pauser
	shared queue.Braker // nil: this relay has the queue for itself, and counts
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
	b := &Brake{pauser: pauser, log: log, now: time.Now, opts: opts, talks: map[talk]*turns{}}
	b.shared, _ = pauser.(queue.Braker)
	return b
}

// Configure takes over new bounds; turns counted so far stay.
func (b *Brake) Configure(opts BrakeOptions) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opts = opts
}

// Turn is what became of an event that Hold was asked about.
type Turn struct {
	// Fresh says that it was accepted: it was no repeat and no echo.
	Fresh bool
	// Held is what Hold returned.
	Held bool
	// Braked says that the queue itself has paused the conversation.
	Braked bool
}

// Hold is asked before an event is queued. If the conversation has had all its turns it is paused, so that the event
// waits, and Hold returns true.
func (b *Brake) Hold(ctx context.Context, account, conversation string) bool {
	opts, full := b.full(talk{account, conversation})
	if !full {
		return false
	}
	scope := queue.Scope{Account: account, Conversation: conversation}
	if err := b.pauser.Pause(ctx, scope, opts.Pause, opts.reason()); err != nil {
		b.log.Error("conversation looks like a loop and could not be paused",
			append(pauseFields(scope, opts), zap.Error(err))...)
		return false
	}
	return true
}

// Event is told what became of the event: a fresh one begins a turn, and makes a pause stand; for any other the pause is
// taken back. It returns true if the conversation is paused now for having had too many turns.
func (b *Brake) Event(ctx context.Context, account, conversation string, t Turn) bool {
	scope := queue.Scope{Account: account, Conversation: conversation}
	switch opts := b.begin(talk{account, conversation}, t); {
	case t.Braked, t.Held && t.Fresh:
		b.log.Warn("conversation looks like a loop and is paused", pauseFields(scope, opts)...)
		return true
	case t.Held:
		if err := b.pauser.Resume(ctx, scope); err != nil {
			b.log.Error("conversation could not be resumed", append(pauseFields(scope, opts), zap.Error(err))...)
		}
	}
	return false
}

func pauseFields(s queue.Scope, opts BrakeOptions) []zap.Field {
	return []zap.Field{
		zap.String("event", "loop.paused"), zap.String("im", s.Account), zap.String("conversationId", s.Conversation),
		zap.Duration("pause", opts.Pause),
	}
}

// reason says why a conversation is paused.
func (o BrakeOptions) reason() string {
	return fmt.Sprintf("loop: more than %d turns within %s", o.Turns, o.Window)
}

// Sent notes that a send reached the conversation.
func (b *Brake) Sent(ctx context.Context, account, conversation string) error {
	if b.shared == nil {
		b.ended(account, conversation)
		return nil
	}
	b.mu.Lock()
	opts := b.opts
	b.mu.Unlock()
	if opts.Turns <= 0 {
		return nil
	}
	err := b.shared.Turn(ctx, queue.Chat{Account: account, Conversation: conversation}, queue.Loop{
		Turns: opts.Turns, Window: opts.Window, Pause: opts.Pause, Reason: opts.reason(),
	})
	if err != nil {
		return fmt.Errorf("count a turn: %w", err)
	}
	return nil
}

// ended ends the conversation's turn, if one had begun.
func (b *Brake) ended(account, conversation string) {
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

// full says that the conversation has had all its turns within the window.
func (b *Brake) full(k talk) (BrakeOptions, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.talks[k]
	if b.opts.Turns <= 0 || t == nil || len(t.at) < b.opts.Turns {
		return b.opts, false
	}
	t.at = t.recent(b.now().Add(-b.opts.Window))
	return b.opts, len(t.at) >= b.opts.Turns
}

// begin notes a fresh event; one that the conversation is paused for starts it anew.
func (b *Brake) begin(k talk, turn Turn) BrakeOptions {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shared != nil || b.opts.Turns <= 0 || !turn.Fresh {
		return b.opts
	}
	now := b.now()
	b.sweep(now)
	t := b.talks[k]
	if t == nil {
		t = &turns{}
		b.talks[k] = t
	}
	t.asked, t.last = true, now
	if turn.Held {
		t.at = nil
	}
	return b.opts
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
