package redisqueue_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
)

// sample makes job n of so many conversations, with a body of 1 KB.
func sample(n, conversations int) queue.Job {
	id := fmt.Sprintf("evt_0190b5e1-%04x-7000-8000-%012x", n>>16, n)
	c := "chat" + strconv.Itoa(n%conversations)
	return queue.Job{
		ID: id, Key: queue.Key{Account: "stork", Conversation: c, Identity: strconv.Itoa(n)},
		Lane: queue.Lane{Agent: "crane", Account: "stork", Conversation: c},
		Meta: []byte(`{"messageId":"7265419038812345671","sender":"wxid_bittern","kind":"text"}`),
		Body: make([]byte, 1024),
	}
}

// spread runs fn for every n of the benchmark on so many goroutines.
func spread(b *testing.B, writers int, fn func(n int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for n := int(next.Add(1)); n <= b.N; n = int(next.Add(1)) {
				if err := fn(n); err != nil {
					b.Errorf("job %d: %v", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// bench runs a benchmark with few and many callers, on a Redis that syncs once a second, and reports what the Redis
// thread spent on one, and how many scripts it ran.
func bench(b *testing.B, run func(b *testing.B, q *redisqueue.Queue, writers int)) {
	b.Helper()
	for _, writers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			w := newFleet(b, 16, "--appendfsync", "everysec").world(nil)
			q, raw := w.open(b), newAuditor(b, w)
			busy, scripts := raw.busy(), raw.scripts()
			run(b, q, writers)
			b.StopTimer()
			b.ReportMetric((raw.busy()-busy)*1e6/float64(b.N), "redis-µs/op")
			b.ReportMetric((raw.scripts()-scripts)/float64(b.N), "scripts/op")
		})
	}
}

func BenchmarkPut(b *testing.B) {
	bench(b, func(b *testing.B, q *redisqueue.Queue, writers int) {
		b.Helper()
		spread(b, writers, func(n int) error {
			_, err := q.Put(b.Context(), sample(n, 1000))
			return err
		})
	})
}

// BenchmarkCycle is a put, a take and an ack: each writer puts a job and then settles one that is due.
func BenchmarkCycle(b *testing.B) {
	bench(b, func(b *testing.B, q *redisqueue.Queue, writers int) {
		b.Helper()
		spread(b, writers, func(n int) error {
			if _, err := q.Put(b.Context(), sample(n, 1000)); err != nil {
				return err
			}
			taken, err := q.Take(b.Context(), queue.Want{Agent: "crane", Max: 1, Troubled: 1})
			if err != nil || len(taken.Leases) == 0 {
				return err
			}
			return q.Settle(b.Context(), taken.Leases[0], queue.Verdict{Action: queue.Ack, Counted: true, Status: 200})
		})
	})
}

// BenchmarkDispatch is the whole way of a job as the dispatcher goes it: many are put at once, and one taker fills so many
// slots.
func BenchmarkDispatch(b *testing.B) {
	bench(b, func(b *testing.B, q *redisqueue.Queue, writers int) {
		b.Helper()
		var done atomic.Int64
		slots := make(chan struct{}, writers)
		freed := make(chan struct{}, 1)
		var taking sync.WaitGroup
		wake := q.Wake("crane")
		taking.Go(func() {
			for int(done.Load()) < b.N {
				select {
				case <-wake:
				case <-freed:
				}
				for free := writers - len(slots); free > 0; free = writers - len(slots) {
					taken, err := q.Take(b.Context(), queue.Want{Agent: "crane", Max: free, Troubled: free})
					if err != nil {
						b.Errorf("Take: %v", err)
						return
					}
					for _, l := range taken.Leases {
						slots <- struct{}{}
						taking.Go(func() {
							if err := q.Settle(b.Context(), l, queue.Verdict{Action: queue.Ack, Counted: true, Status: 200}); err != nil {
								b.Errorf("Settle: %v", err)
							}
							<-slots
							done.Add(1)
							select {
							case freed <- struct{}{}:
							default:
							}
						})
					}
					if len(taken.Leases) < free {
						break
					}
				}
			}
		})
		spread(b, writers, func(n int) error {
			_, err := q.Put(b.Context(), sample(n, 1000))
			return err
		})
		taking.Wait()
	})
}
