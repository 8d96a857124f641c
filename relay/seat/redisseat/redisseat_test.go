package redisseat_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/seat/redisseat"
	"github.com/imrelay/imrelay/relay/seat/seattest"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	seattest.Run(t, func(t *testing.T) seattest.Subject {
		t.Helper()
		server := redistest.Start(t)
		return seattest.Subject{
			Join: func() seattest.Relay {
				conn := connect(t, server.URL("shards=4"))
				return seattest.Relay{
					Keeper: redisseat.New(conn, redisseat.Options{Lease: seattest.Lease}),
					Crash: func() {
						if err := conn.Close(); err != nil {
							t.Errorf("close connection: %v", err)
						}
					},
				}
			},
			Away: server.Kill, Back: server.Restart,
		}
	})
}

func connect(t *testing.T, url string) *redisconn.Conn {
	t.Helper()
	conn, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(url)})
	if err != nil {
		t.Fatalf("open connection: %v", err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close connection: %v", err)
		}
	})
	return conn
}

// sat is what one relay tells of its seat.
type sat struct{ down, up chan time.Time }

// sit lets a relay sit until the test ends.
func sit(t *testing.T, conn *redisconn.Conn, o redisseat.Options) sat {
	t.Helper()
	s := sat{make(chan time.Time, 100), make(chan time.Time, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	var sitting sync.WaitGroup
	sitting.Go(func() {
		redisseat.New(conn, o).Sit(ctx, "agent/heron", func(ctx context.Context) {
			s.down <- time.Now()
			<-ctx.Done()
			s.up <- time.Now()
		})
	})
	t.Cleanup(func() { cancel(); sitting.Wait() })
	return s
}

func await(t *testing.T, what string, c <-chan time.Time, within time.Duration) time.Time {
	t.Helper()
	select {
	case at := <-c:
		return at
	case <-time.After(within):
		t.Fatalf("%s: got nothing within %v", what, within)
		return time.Time{}
	}
}

// What Redis frees or gives away is noticed at the next renewal, and what is another's is left alone.
func TestASeatThatIsTakenAway(t *testing.T) {
	t.Parallel()
	const lease = seattest.Lease
	for _, row := range []struct {
		name string
		do   func(t *testing.T, server *redistest.Server, key string)
		// again is when we sit again, at the earliest.
		again time.Duration
	}{
		{"freed", func(t *testing.T, server *redistest.Server, key string) {
			t.Helper()
			if err := server.Client().Del(t.Context(), key).Err(); err != nil {
				t.Fatalf("DEL: %v", err)
			}
		}, 0},
		{"another's", func(t *testing.T, server *redistest.Server, key string) {
			t.Helper()
			if err := server.Client().Set(t.Context(), key, "another", lease).Err(); err != nil {
				t.Fatalf("SET: %v", err)
			}
		}, lease},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			s := sit(t, connect(t, server.URL("")), redisseat.Options{Lease: lease})
			await(t, "sit down", s.down, lease)
			keys, err := server.Client().Keys(t.Context(), "*seat:agent/heron").Result()
			if err != nil || len(keys) != 1 {
				t.Fatalf("keys: got %v, %v, want one", keys, err)
			}
			began := time.Now()
			row.do(t, server, keys[0])
			if up := await(t, "end the work", s.up, lease); up.Sub(began) > lease/2 {
				t.Errorf("work ended after %v, want a renewal's time", up.Sub(began))
			}
			if down := await(t, "sit again", s.down, 2*lease); down.Sub(began) < row.again-time.Millisecond {
				t.Errorf("sat again after %v, want %v at the earliest", down.Sub(began), row.again)
			}
		})
	}
}

// A seat that Redis gives to a relay that is leaving is given back.
func TestWhoLeavesWhileItAsks(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	k := redisseat.New(connect(t, server.URL("shards=1")), redisseat.Options{})
	before, leave := context.WithCancel(t.Context())
	k.Sit(before, "agent/heron", func(context.Context) { leave() }) // Redis knows the scripts now
	if err := server.Client().Do(t.Context(), "CLIENT", "PAUSE", 400, "ALL").Err(); err != nil {
		t.Fatalf("CLIENT PAUSE: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	k.Sit(ctx, "agent/heron", func(context.Context) { t.Error("work was called") })
	keys, err := server.Client().Keys(t.Context(), "*seat:agent/heron").Result() // waits for its turn, as the others did
	if err != nil || len(keys) != 0 {
		t.Errorf("keys: got %v, %v, want none", keys, err)
	}
}

// system is two clocks that the test moves beside the real ones.
type system struct {
	mu            sync.Mutex
	start         time.Time
	wall, elapsed time.Duration
}

func (s *system) read() (time.Time, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	return now.Round(0).Add(s.wall), now.Sub(s.start) + s.elapsed
}

func (s *system) move(wall, elapsed time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wall, s.elapsed = s.wall+wall, s.elapsed+elapsed
}

// A lease ends by whichever clock says so first: one of them stands still while the machine sleeps, the other can be set.
func TestBothClocks(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		wall, elapsed time.Duration
		ends          bool
	}{
		{"asleep", 8 * time.Second, 0, true},
		{"late", 0, 8 * time.Second, true},
		{"set back", -time.Hour, 0, false},
		{"both a little", time.Second, time.Second, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			clock := &system{start: time.Now()}
			server := redistest.Start(t)
			s := sit(t, connect(t, server.URL("")), redisseat.Options{Clock: clock.read})
			await(t, "sit down", s.down, 5*time.Second)
			clock.move(row.wall, row.elapsed)
			if row.ends {
				await(t, "end the work", s.up, 2*time.Second)
				await(t, "sit again", s.down, 2*time.Second)
				return
			}
			select {
			case <-s.up:
				t.Error("work ended, want it to go on")
			case <-time.After(time.Second):
			}
		})
	}
}
