package redisqueue_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/queuetest"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// world is a Redis, a clock, and the queues that are open on them.
type world struct {
	server *redistest.Server
	clock  *queuetest.Clock // nil: that of Redis
	url    string
	opts   redisqueue.Options
}

func (w *world) connect(tb testing.TB) *redisconn.Conn {
	tb.Helper()
	o := redisconn.Options{URL: secret.New(w.url)}
	if w.clock != nil {
		o.Clock = w.now
	}
	c, err := redisconn.Open(tb.Context(), o)
	if err != nil {
		tb.Fatalf("open connection: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("close connection: %v", err)
		}
	})
	return c
}

func (w *world) now() time.Time {
	now, _ := w.clock.Read()
	return now
}

func (w *world) open(tb testing.TB) *redisqueue.Queue {
	tb.Helper()
	o := w.opts
	if w.clock != nil {
		o.Clock = w.now
	}
	q, err := redisqueue.Open(tb.Context(), w.connect(tb), o)
	if err != nil {
		tb.Fatalf("open queue: %v", err)
	}
	tb.Cleanup(func() {
		if err := q.Close(); err != nil {
			tb.Errorf("close queue: %v", err)
		}
	})
	return q
}

// databases is how many of them the server of a test has: each world has its own.
const databases = 400

// fleet makes worlds on one server.
type fleet struct {
	server *redistest.Server
	shards int
	next   atomic.Int32
}

func newFleet(tb testing.TB, shards int, args ...string) *fleet {
	tb.Helper()
	args = append([]string{"--databases", strconv.Itoa(databases)}, args...)
	return &fleet{server: redistest.Start(tb, args...), shards: shards}
}

func (f *fleet) world(clock *queuetest.Clock) *world {
	return &world{
		server: f.server, clock: clock, url: f.server.URL(fmt.Sprintf("shards=%d&db=%d", f.shards, f.next.Add(1)-1)),
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 16} {
		t.Run(fmt.Sprint("shards=", shards), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, shards)
			queuetest.Run(t, func(t *testing.T, o queuetest.Options) queuetest.Harness {
				w := f.world(queuetest.NewClock())
				w.opts = redisqueue.Options{Retention: o.Retention, Lease: o.Lease}
				q := w.open(t)
				return queuetest.Harness{
					Queue: q, Advance: w.clock.Advance, Shared: true,
					Reopen: func(t *testing.T) queue.Queue {
						if err := q.Close(); err != nil {
							t.Errorf("close queue: %v", err)
						}
						q = w.open(t)
						return q
					},
				}
			})
		})
	}
}
