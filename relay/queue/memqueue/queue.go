// Package memqueue is a queue in memory: for tests of what stands on a queue, and for a demonstration. It keeps every
// promise of package queue but one: nothing outlives the process. It bounds nothing but by [queue.Retention].
package memqueue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/lanes"
	"github.com/imrelay/imrelay/relay/queue/record"
)

// Options says how the queue behaves. The zero value is fit for tests.
type Options struct {
	// Retention says what is kept; a zero Window, Delivered or Dead is 48 h, a zero MaxBytes 64 MiB.
	Retention queue.Retention
	// Lease is how long a lease lasts; 0: 10 s.
	Lease time.Duration
	// Clock is where the time comes from; nil: the system.
	Clock clock.Source
}

// Queue is the queue. Put keeps the Meta and Body of its jobs: they must not be changed afterwards.
type Queue struct {
	clock *clock.Clock
	keep  queue.Retention

	mu     sync.Mutex
	closed bool
	set    *lanes.Set
	seq    uint64
	jobs   map[string]*record.Record
	order  []*record.Record // by seq
	seen   map[queue.KeySum]sighting
	pauses map[queue.Scope]pause
	known  map[string][]string // accounts by conversation, sorted
}

// sighting is when a key was seen; one without a job is an echo.
type sighting struct {
	id string
	at clock.Time
}

type pause struct {
	until  clock.Time // 0: until Resume
	reason string
}

var _ queue.Queue = (*Queue)(nil)

// New returns an empty queue.
func New(o Options) *Queue {
	keep := o.Retention
	for _, d := range []*time.Duration{&keep.Window, &keep.Delivered, &keep.Dead} {
		if *d <= 0 {
			*d = 48 * time.Hour
		}
	}
	if keep.MaxBytes <= 0 {
		keep.MaxBytes = 64 << 20
	}
	if o.Lease <= 0 {
		o.Lease = 10 * time.Second
	}
	return &Queue{
		clock: clock.New(o.Clock, clock.Mark{}), keep: keep, set: lanes.New(o.Lease, 0),
		jobs: map[string]*record.Record{}, seen: map[queue.KeySum]sighting{}, pauses: map[queue.Scope]pause{},
		known: map[string][]string{},
	}
}

// enter locks the queue and returns the time, unless the call is over before it began.
func (q *Queue) enter(ctx context.Context) (clock.Time, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return 0, fmt.Errorf("%w: closed", queue.ErrUnavailable)
	}
	return q.clock.Now(), nil
}

// Put implements queue.Putter. A job whose ID exists already fails the call with ErrState, and nothing of it is stored.
func (q *Queue) Put(ctx context.Context, jobs ...queue.Job) ([]queue.Placed, error) {
	now, err := q.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer q.mu.Unlock()
	if err := q.checkIDs(jobs, now); err != nil {
		return nil, err
	}
	placed := make([]queue.Placed, len(jobs))
	for i, j := range jobs {
		if p, repeat := q.repeat(j, now); repeat {
			placed[i] = p
			continue
		}
		q.seq++
		r := record.New(j, q.seq, now)
		q.jobs[r.ID] = r
		q.order = append(q.order, r)
		if !j.Key.IsZero() {
			q.seen[j.Key.Sum()] = sighting{id: j.ID, at: now}
		}
		q.learn(j.Lane.Account, j.Lane.Conversation)
		q.set.Add(r.Lane, lanes.Waiting{Seq: r.Seq, Due: now}, false)
		placed[i] = queue.Placed{ID: j.ID, Fresh: true, Wait: q.set.Wait(r.Lane, r.Seq, now)}
	}
	return placed, nil
}

func (q *Queue) checkIDs(jobs []queue.Job, now clock.Time) error {
	ids, keys := map[string]bool{}, map[queue.Key]bool{}
	for _, j := range jobs {
		if _, repeat := q.repeat(j, now); repeat || keys[j.Key] {
			continue
		}
		if ids[j.ID] || q.jobs[j.ID] != nil {
			return fmt.Errorf("put job %s: id exists: %w", j.ID, queue.ErrState)
		}
		ids[j.ID], keys[j.Key] = true, !j.Key.IsZero()
	}
	return nil
}

// repeat says what a job is that is not to be stored.
func (q *Queue) repeat(j queue.Job, now clock.Time) (queue.Placed, bool) {
	for i, key := range slices.Concat([]queue.Key{j.Key}, j.Aliases) {
		s, ok := q.seen[key.Sum()]
		switch {
		case key.IsZero() || !ok || now.Sub(s.at) >= q.keep.Window:
		case s.id == "":
			return queue.Placed{Echo: true}, true
		case i == 0:
			return queue.Placed{ID: s.id}, true
		}
	}
	return queue.Placed{}, false
}

func (q *Queue) learn(account, conversation string) {
	accounts := q.known[conversation]
	if i, ok := slices.BinarySearch(accounts, account); !ok {
		q.known[conversation] = slices.Insert(accounts, i, account)
	}
}

// Remember implements queue.Putter.
func (q *Queue) Remember(ctx context.Context, keys ...queue.Key) error {
	now, err := q.enter(ctx)
	if err != nil {
		return err
	}
	defer q.mu.Unlock()
	for _, k := range keys {
		if !k.IsZero() {
			q.seen[k.Sum()] = sighting{at: now}
		}
	}
	return nil
}

// Close implements io.Closer. What is in the queue is gone.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return nil
}

// Sweep implements queue.Queue.
func (q *Queue) Sweep(ctx context.Context) error {
	now, err := q.enter(ctx)
	if err != nil {
		return err
	}
	defer q.mu.Unlock()
	for k, s := range q.seen {
		if now.Sub(s.at) >= q.keep.Window {
			delete(q.seen, k)
		}
	}
	q.order = slices.DeleteFunc(q.order, func(r *record.Record) bool {
		over := r.State == queue.Delivered && now.Sub(r.Updated) >= q.keep.Delivered ||
			r.State == queue.Dead && now.Sub(r.Updated) >= q.keep.Dead
		if over {
			delete(q.jobs, r.ID)
		}
		return over
	})
	room := q.keep.MaxBytes
	for _, r := range slices.Backward(q.order) {
		if r.State != queue.Delivered {
			continue
		}
		if room -= int64(len(r.Body)); room < 0 {
			r.Body = nil
		}
	}
	return nil
}

// bySeq returns the record with the seq, or nil.
func (q *Queue) bySeq(seq uint64) *record.Record {
	i, ok := slices.BinarySearchFunc(q.order, seq, func(r *record.Record, seq uint64) int {
		return cmp.Compare(r.Seq, seq)
	})
	if !ok {
		return nil
	}
	return q.order[i]
}
