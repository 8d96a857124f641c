package queuetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

var putChecks = []check{
	{"put/bodies survive byte for byte", bodiesSurvive},
	{"put/a job comes back as it was put", jobsComeBack},
	{"put/an id that exists fails alone", existingID},
	{"put/an id that exists is named", namedID},
	{"put/a context that is over changes nothing", contextOver},
	{"put/wait tells of the head and of pauses", waits},
	{"put/many at once are all there, in their lanes' order", manyAtOnce},
}

var keyChecks = []check{
	{"keys/a second put is a repeat of the first", putTwice},
	{"keys/repeats within one call", repeatsWithinCall},
	{"keys/a job without a key is never a repeat", noKey},
	{"keys/a storm of one key is one job", keyStorm},
	{"keys/a remembered key or alias is an echo", echoes},
	{"keys/an alias does not make a repeat", aliasOfJob},
	{"keys/they end with the window", windowEnds},
	{"keys/one that was over is known anew", knownAnew},
	{"keys/thousands stay known", manyKeys},
}

func bodiesSurvive(f *fixture) {
	bodies := [][]byte{nil, {}, {0}, []byte("\xff\xfe\x00 no text"), bytes.Repeat([]byte("crane "), 1<<20/6)}
	for i, b := range bodies {
		j := f.job(fmt.Sprint("c", i))
		j.Body = b
		f.place(j)
	}
	f.reopen()
	for i, l := range f.want(all).Leases {
		if !bytes.Equal(l.Job.Body, bodies[i]) {
			f.Errorf("body %d: got %d bytes, want the %d that were put", i, len(l.Job.Body), len(bodies[i]))
		}
	}
}

func jobsComeBack(f *fixture) {
	j := f.job("c")
	f.place(j)
	l := f.take()
	got := l.Job
	f.equal("job", []any{got.ID, got.Lane, string(got.Meta), string(got.Body)}, []any{j.ID, j.Lane, string(j.Meta), string(j.Body)})
	f.equal("state", []any{got.State, got.Leased, got.Attempts, got.Answered, got.Status, got.LastError},
		[]any{queue.Queued, true, 0, false, 0, ""})
	f.equal("times", []any{got.Since, got.Due, got.NotBefore.IsZero(), got.FirstFailure.IsZero(), l.Taken.Equal(got.Accepted)},
		[]any{got.Accepted, got.Accepted, true, true, true})
	f.equal("lease", l.Expires.Sub(l.Taken), usual.Lease)
	if got.Seq == 0 || l.Token == 0 {
		f.Errorf("seq and token: got %d and %d, want both set", got.Seq, l.Token)
	}
}

func existingID(f *fixture) {
	first := f.job("c")
	f.place(first)
	again, other := first, f.job("c")
	again.Key = queue.Key{}
	_, err := f.q().Put(f.Context(), other, again)
	f.is("Put of an existing id", err, queue.ErrState)
	if _, err := f.q().Get(f.Context(), other.ID); err == nil {
		f.Errorf("Get of a job in the same call: got it, want %v", queue.ErrNotFound)
	}
	if p := f.place(other)[0]; !p.Fresh {
		f.Errorf("Put of that job alone: got %+v, want it fresh", p)
	}
}

func namedID(f *fixture) {
	first := f.job("c")
	f.place(first)
	var jobs []queue.Job
	for range 40 {
		jobs = append(jobs, f.job("c"))
	}
	jobs[23].ID = first.ID
	_, err := f.q().Put(f.Context(), jobs...)
	f.is("Put", err, queue.ErrState)
	if err == nil || !strings.Contains(err.Error(), first.ID) {
		f.Errorf("Put: got %v, want %s named", err, first.ID)
	}
	f.equal("queued", f.stats()[agent].Queued, 1)
}

func contextOver(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	j := f.job("c")
	_, err := f.q().Put(ctx, j)
	f.is("Put", err, context.Canceled)
	_, err = f.q().Take(ctx, all)
	f.is("Take", err, context.Canceled)
	f.put("c")
	l := f.take()
	f.is("Settle", f.q().Settle(ctx, l, ack), context.Canceled)
	f.settle(l, ack)
	if p := f.place(j)[0]; !p.Fresh {
		f.Errorf("Put after a cancelled one: got %+v, want it fresh", p)
	}
}

func waits(f *fixture) {
	wait := func(what string, want time.Duration) {
		f.Helper()
		p := f.place(f.job("c"))[0]
		f.equal(what, p.Wait, want)
	}
	wait("empty lane", 0)
	wait("head due", 0)
	f.settle(f.take(), retry(30*time.Second))
	wait("head due in 30 s", 30*time.Second)
	pause(f, queue.Scope{Agent: agent}, time.Minute)
	wait("agent paused for a minute", time.Minute)
	if err := f.q().Resume(f.Context(), queue.Scope{Agent: agent}); err != nil {
		f.Fatalf("Resume: %v", err)
	}
	pause(f, queue.Scope{Account: "stork", Conversation: "c"}, 0)
	if p := f.place(f.job("c"))[0]; p.Wait < time.Hour {
		f.Errorf("conversation paused without an end: got %v, want more than any caller waits", p.Wait)
	}
}

func manyAtOnce(f *fixture) {
	const workers, each = 16, 40
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				j := f.job(fmt.Sprint("c", w%8))
				j.Body = fmt.Appendf(nil, "%d/%d", w, i)
				if _, err := f.q().Put(f.Context(), j); err != nil {
					f.Errorf("Put: %v", err)
				}
			}
		})
	}
	wg.Wait()
	f.reopen()
	last, seqs, n := map[int]int{}, map[queue.Lane]uint64{}, 0
	for ls := f.want(all).Leases; len(ls) > 0; ls = f.want(all).Leases {
		for _, l := range ls {
			var w, i int
			if _, err := fmt.Sscanf(string(l.Job.Body), "%d/%d", &w, &i); err != nil {
				f.Fatalf("body %q: %v", l.Job.Body, err)
			}
			if i != last[w] || l.Job.Seq <= seqs[l.Job.Lane] {
				f.Fatalf("worker %d: got job %d with seq %d after %d, want job %d", w, i, l.Job.Seq, seqs[l.Job.Lane], last[w])
			}
			last[w], seqs[l.Job.Lane] = i+1, l.Job.Seq
			f.settle(l, ack)
			n++
		}
	}
	f.equal("jobs", n, workers*each)
}

func putTwice(f *fixture) {
	j := f.job("c")
	f.place(j)
	for i := range 4 {
		again := f.job("c")
		again.Key = j.Key
		f.equal("Put of a known key", f.place(again)[0], queue.Placed{ID: j.ID})
		switch i {
		case 0:
			f.reopen()
		case 1:
			f.settle(f.take(), ack)
		case 2:
			f.reopen()
		}
	}
	f.idle("after repeats")
}

func repeatsWithinCall(f *fixture) {
	a, b, c := f.job("c"), f.job("c"), f.job("c")
	b.Key = a.Key
	got := f.place(a, b, c)
	f.equal("Put", got, []queue.Placed{{ID: a.ID, Fresh: true}, {ID: a.ID}, {ID: c.ID, Fresh: true}})
	same := f.job("d")
	got = f.place(same, same)
	f.equal("Put of one job twice", got, []queue.Placed{{ID: same.ID, Fresh: true}, {ID: same.ID}})
}

func noKey(f *fixture) {
	a, b := f.job("c"), f.job("c")
	a.Key, b.Key = queue.Key{}, queue.Key{}
	for _, p := range f.place(a, b) {
		if !p.Fresh {
			f.Errorf("Put without a key: got %+v, want it fresh", p)
		}
	}
}

func keyStorm(f *fixture) {
	key := f.job("c").Key
	var fresh atomic.Int32
	var got sync.Map
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			j := f.job("c")
			j.Key = key
			ps, err := f.q().Put(f.Context(), j)
			if err != nil {
				f.Errorf("Put: %v", err)
				return
			}
			got.Store(ps[0].ID, true)
			if ps[0].Fresh {
				fresh.Add(1)
			}
		})
	}
	wg.Wait()
	n := 0
	got.Range(func(any, any) bool { n++; return true })
	f.equal("fresh jobs and ids", []int{int(fresh.Load()), n}, []int{1, 1})
}

func echoes(f *fixture) {
	if err := f.q().Remember(f.Context(), key("c", "sent-1"), key("other chat", "sent-2")); err != nil {
		f.Fatalf("Remember: %v", err)
	}
	for range 2 {
		j, k := f.job("c"), f.job("c")
		j.Key, k.Aliases = key("c", "sent-1"), []queue.Key{key("c", "other"), key("other chat", "sent-2")}
		f.equal("Put of our own messages", f.place(j, k), []queue.Placed{{Echo: true}, {Echo: true}})
		f.reopen()
	}
	j := f.job("c")
	f.place(j)
	if err := f.q().Remember(f.Context(), j.Key); err != nil {
		f.Fatalf("Remember: %v", err)
	}
	again := f.job("c")
	again.Key = j.Key
	f.equal("Put of a key that was remembered later", f.place(again), []queue.Placed{{Echo: true}})
	f.expect("besides echoes", j.ID)
}

func aliasOfJob(f *fixture) {
	a, b := f.job("c"), f.job("c")
	b.Aliases = []queue.Key{a.Key}
	for _, p := range f.place(a, b) {
		if !p.Fresh {
			f.Errorf("Put: got %+v, want it fresh", p)
		}
	}
}

func windowEnds(f *fixture) {
	f.with(func(o *Options) { o.Retention.Window = time.Hour })
	j := f.job("c")
	f.place(j)
	if err := f.q().Remember(f.Context(), key("c", "sent")); err != nil {
		f.Fatalf("Remember: %v", err)
	}
	fresh := func() []bool {
		again, echo := f.job("c"), f.job("c")
		again.Key, echo.Key = j.Key, key("c", "sent")
		var got []bool
		for _, p := range f.place(again, echo) {
			got = append(got, p.Fresh)
		}
		return got
	}
	f.h.Advance(59 * time.Minute)
	f.sweep()
	f.equal("fresh within the window", fresh(), []bool{false, false})
	f.h.Advance(time.Minute)
	f.reopen()
	f.equal("fresh after the window", fresh(), []bool{true, true})
	f.h.Advance(5 * time.Hour)
	f.sweep()
	f.equal("fresh long after the window", fresh(), []bool{true, true})
}

// knownAnew lets the key's first job end and go, so that nothing but the memory of keys tells of it.
func knownAnew(f *fixture) {
	f.with(func(o *Options) { o.Retention.Window = time.Hour })
	k := key("c", "again")
	for range 3 {
		j := f.job("c")
		j.Key = k
		f.equal("Put when the key is over", f.place(j)[0], queue.Placed{ID: j.ID, Fresh: true})
		f.settle(f.take(), bury)
		f.equal("removed", f.drop(j.ID), 1)
		f.reopen()
		f.h.Advance(59 * time.Minute)
		again := f.job("c")
		again.Key = k
		f.equal("Put within the window", f.place(again)[0], queue.Placed{ID: j.ID})
		f.h.Advance(time.Minute)
	}
}

func manyKeys(f *fixture) {
	const n = 10_000
	var jobs []queue.Job
	for range n {
		j := f.job("c")
		j.Body = nil
		jobs = append(jobs, j)
		if len(jobs) == 200 {
			f.place(jobs...)
			jobs = jobs[:0]
		}
	}
	for i := range 2 {
		for id := 1; id <= n; id += 97 {
			again := f.job("c")
			first := fmt.Sprintf("evt_%06d", id)
			again.Key = key("c", first)
			if p := f.place(again)[0]; p.ID != first {
				f.Fatalf("round %d, Put of key %d: got %+v, want a repeat of %s", i, id, p, first)
			}
		}
		f.reopen()
	}
}
