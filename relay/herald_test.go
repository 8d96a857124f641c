package relay_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
)

// square is where heralds meet.
type square struct {
	mu    sync.Mutex
	calls map[string]func([]byte)
	told  int
}

func (s *square) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

// crier is one relay's herald.
type crier struct {
	*square

	name string
}

func (c crier) Name() string { return c.name }

func (c crier) Tell(_ context.Context, to string, news []byte) error {
	c.mu.Lock()
	call := c.calls[to]
	c.told++
	c.mu.Unlock()
	if call != nil {
		call(news)
	}
	return nil
}

func (c crier) Hear(call func([]byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[c.name] = call
}

// Whoever waits at one relay hears what another made of the event.
func TestNewsBetweenRelays(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		status []int
		want   relay.Acceptance
	}{
		{"delivered", []int{200}, relay.Acceptance{Answered: true, Status: 200, Answer: []byte("pong")}},
		{"dead", []int{400}, relay.Acceptance{Answered: true, Dead: true, Attempts: 1, Status: 400, Answer: []byte("pong")}},
		{"failed, and then delivered", []int{500, 200}, relay.Acceptance{Answered: true, Attempts: 1, Status: 200, Answer: []byte("pong")}},
		{"failing", []int{500}, relay.Acceptance{Attempts: 2, LastError: "agent answered 500"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				meet := &square{calls: map[string]func([]byte){}}
				agent := &scriptAgent{}
				agent.answer = func(context.Context, relay.Event, int) (relay.Outcome, error) {
					return relay.Outcome{Status: row.status[min(len(agent.seen()), len(row.status))-1], Body: []byte("pong")}, nil
				}
				here := newRig(t, agent, func(s *setup) { s.idle, s.herald = true, crier{meet, "here"} })
				there := relay.NewDispatcher(relay.DispatcherOptions{
					Source:  here.queue,
					Targets: map[string]relay.Target{"agent": {Agent: agent, Policy: policy(), Concurrency: 8}},
					Herald:  crier{meet, "there"}, Meter: nullMeter{}, Log: zap.NewNop(),
				})
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { there.Run(ctx) })
				defer running.Wait()
				defer cancel()
				got := here.post("c", "1", 2*time.Second)
				if got.Answered != row.want.Answered || got.Dead != row.want.Dead || got.Status != row.want.Status ||
					string(got.Answer) != string(row.want.Answer) || got.LastError != row.want.LastError || got.Attempts != row.want.Attempts {
					t.Errorf("got %+v, want %+v", got, row.want)
				}
				told := meet.count()
				if here.post("d", "2", 0); row.want.Status == 200 && row.want.Attempts == 0 {
					<-time.After(time.Second)
					if n := meet.count() - told; n != 0 {
						t.Errorf("told %d times of an event that nobody waits for, want none", n)
					}
				}
			})
		})
	}
}
