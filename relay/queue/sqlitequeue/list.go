package sqlitequeue

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// stretch bounds the rows that one read looks at, so that a listing of few among many keeps no snapshot open for long.
const stretch = 5000

// List implements queue.Inspector.
func (q *Queue) List(ctx context.Context, f queue.Filter) (queue.Page, error) {
	if err := q.check(ctx); err != nil {
		return queue.Page{}, err
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	l := newLister(q, f)
	for !l.over && len(l.records) <= f.Limit {
		if err := q.check(ctx); err != nil {
			return queue.Page{}, err
		}
		if err := q.file.Read(ctx, l.read); err != nil {
			return queue.Page{}, explain("list jobs", err)
		}
	}
	var page queue.Page
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, r := range l.records {
		if i == f.Limit {
			page.Next = page.Jobs[i-1].Seq
			break
		}
		page.Jobs = append(page.Jobs, q.job(r))
	}
	return page, nil
}

// lister goes down the jobs, the newest first.
type lister struct {
	where   string
	args    []any
	limit   int
	since   clock.Time
	before  uint64
	records []*record.Record
	over    bool
	// aside says that only parked and dead jobs are wanted, which have an index.
	aside bool
	// only are the jobs to look at, where they are known; nil: all.
	only []uint64
}

func newLister(q *Queue, f queue.Filter) *lister {
	l := &lister{limit: f.Limit + 1, since: q.clock.Store(f.Since), before: math.MaxInt64}
	if f.Before != 0 {
		l.before = f.Before
	}
	var where []string
	for _, c := range []struct{ column, value string }{
		{"l.agent", f.Agent}, {"l.account", f.Account}, {"l.conversation", f.Conversation},
	} {
		if c.value != "" {
			where, l.args = append(where, c.column+" = ?"), append(l.args, c.value)
		}
	}
	if l.since != 0 {
		where, l.args = append(where, "j.accepted >= ?"), append(l.args, int64(l.since))
	}
	if len(f.States) > 0 {
		l.aside = true
		var states []string
		for _, s := range f.States {
			states = append(states, strconv.Itoa(int(s)))
			l.aside = l.aside && (s == queue.Parked || s == queue.Dead)
		}
		slices.Sort(states)
		where = append(where, "j.state IN ("+strings.Join(slices.Compact(states), ", ")+")")
	}
	for _, w := range where {
		l.where += " AND " + w
	}
	if f.Leased {
		q.mu.Lock()
		l.only = append([]uint64{}, q.set.LeasedSeqs()...)
		q.mu.Unlock()
	}
	return l
}

// read looks at one stretch.
func (l *lister) read(tx *sqlitefile.Tx) error {
	if l.only != nil {
		return l.readOnly(tx)
	}
	bottom, n := uint64(0), 0
	find := `SELECT seq, accepted FROM jobs WHERE seq < ? ORDER BY seq DESC LIMIT ?`
	if l.aside {
		find = `SELECT seq, accepted FROM jobs INDEXED BY jobs_aside WHERE state IN (2, 4) AND seq < ? ORDER BY seq DESC LIMIT ?`
	}
	err := tx.Each(find, func(r sqlitefile.Row) error {
		bottom, n = r.Uint(0), n+1
		l.over = clock.Time(r.Int(1)) < l.since
		return nil
	}, l.before, stretch)
	if err != nil {
		return err
	}
	l.over = l.over || n < stretch
	err = l.collect(tx, ` WHERE j.seq < ? AND j.seq >= ?`, l.before, bottom)
	l.before = bottom
	return err
}

// readOnly looks at the known jobs.
func (l *lister) readOnly(tx *sqlitefile.Tx) error {
	l.over = true
	for _, seq := range l.only {
		if seq >= l.before {
			continue
		}
		if err := l.collect(tx, ` WHERE j.seq = ?`, seq); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) collect(tx *sqlitefile.Tx, where string, args ...any) error {
	if l.aside {
		where += ` AND j.state IN (2, 4)`
	}
	return tx.Each(`SELECT `+recordColumns+fromJobs+where+l.where+` ORDER BY j.seq DESC LIMIT ?`,
		func(r sqlitefile.Row) error {
			l.records = append(l.records, readRecord(r))
			return nil
		}, append(append(args, l.args...), l.limit)...)
}
