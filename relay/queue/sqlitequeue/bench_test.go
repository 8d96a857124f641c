package sqlitequeue_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
)

// cpu returns the processor time of the process so far.
func cpu() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

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

// spread runs fn for every n of the benchmark on so many goroutines and reports the CPU time of one.
func spread(b *testing.B, writers int, fn func(n int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	start := cpu()
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
	b.ReportMetric(float64((cpu()-start).Microseconds())/float64(b.N), "cpu-µs/op")
}

func bench(b *testing.B, run func(b *testing.B, q *sqlitequeue.Queue, writers int)) {
	b.Helper()
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			w := newWorld(b)
			w.opts.Clock = nil
			run(b, w.open(b), writers)
			b.StopTimer()
		})
	}
}

func BenchmarkPut(b *testing.B) {
	bench(b, func(b *testing.B, q *sqlitequeue.Queue, writers int) {
		b.Helper()
		spread(b, writers, func(n int) error {
			_, err := q.Put(b.Context(), sample(n, 1000))
			return err
		})
	})
}

// BenchmarkPutThousand is the largest call that callers make: others wait that long behind it.
func BenchmarkPutThousand(b *testing.B) {
	w := newWorld(b)
	w.opts.Clock = nil
	q := w.open(b)
	n := 0
	for b.Loop() {
		jobs := make([]queue.Job, 1000)
		for i := range jobs {
			jobs[i] = sample(n, 500)
			n++
		}
		put(b, q, jobs...)
	}
}

// BenchmarkLifeCycle is a put, a take and an ack: each writer puts a job and then settles one that is due.
func BenchmarkLifeCycle(b *testing.B) {
	bench(b, func(b *testing.B, q *sqlitequeue.Queue, writers int) {
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

func BenchmarkOpen(b *testing.B) {
	const jobs = 100_000
	w := newWorld(b)
	w.opts.Clock = nil
	q := w.open(b)
	for n := 0; n < jobs; n += 100 {
		var batch []queue.Job
		for i := range 100 {
			batch = append(batch, sample(n+i, 10_000))
		}
		if _, err := q.Put(b.Context(), batch...); err != nil {
			b.Fatalf("Put: %v", err)
		}
	}
	w.close(b)
	for b.Loop() {
		w.open(b)
		b.StopTimer()
		w.close(b)
		b.StartTimer()
	}
}
