package fleettest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Sent is a send whose outcome is known.
type Sent struct {
	Text string
	// Status is 200, or 504 where nobody knows whether the IM got it.
	Status int
	At     time.Time
}

// Sends are clients that send one message after the other, each with a key and over the relays in turn, and the same one
// again until its outcome is known.
type Sends struct {
	// Clients is how many there are, Pause what each waits between two messages.
	Clients int
	Pause   time.Duration
	// Within is how long an answer may take before the message goes again; 0: Patience.
	Within time.Duration

	cancel  context.CancelFunc
	clients sync.WaitGroup
	mu      sync.Mutex
	sent    []Sent
	refused []Refused
}

// Start sends over the relays until Stop.
func (s *Sends) Start(ctx context.Context, relays ...*Relay) {
	ctx, s.cancel = context.WithCancel(ctx)
	for n := range s.Clients {
		s.clients.Go(func() {
			for i, turn := 1, n; ctx.Err() == nil; i++ {
				s.insist(ctx, Message{
					Key: fmt.Sprintf("key %d of client %d", i, n), To: fmt.Sprint("wxid_friend", n),
					Text: fmt.Sprintf("text %d of client %d", i, n),
				}, relays, &turn)
				wait(ctx, s.Pause)
			}
		})
	}
}

// Stop ends it and returns the sends whose outcome is known.
func (s *Sends) Stop() []Sent {
	s.cancel()
	s.clients.Wait()
	return s.sent
}

// Refused are the answers that told no outcome, so far.
func (s *Sends) Refused() []Refused {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Refused(nil), s.refused...)
}

// insist sends a message until its outcome is known.
func (s *Sends) insist(ctx context.Context, m Message, relays []*Relay, turn *int) {
	for ctx.Err() == nil {
		r := relays[*turn%len(relays)]
		*turn++
		a := s.send(ctx, r, m)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		known := a.Status == http.StatusOK || a.Status == http.StatusGatewayTimeout
		if known {
			s.sent = append(s.sent, Sent{Text: m.Text, Status: a.Status, At: time.Now()})
		} else {
			s.refused = append(s.refused, Refused{Answer: a, By: r.Name, At: time.Now()})
		}
		s.mu.Unlock()
		if known {
			return
		}
		wait(ctx, 20*time.Millisecond)
	}
}

func (s *Sends) send(ctx context.Context, r *Relay, m Message) Answer {
	if s.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Within)
		defer cancel()
	}
	return r.Send(ctx, m)
}

// wait waits, unless ctx ends before.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
