package sqlitequeue

import (
	"context"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/lanes"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// Put implements queue.Putter. A job whose ID exists already fails the call with ErrState, and nothing of it is stored.
// A call is one op, and what else there is to commit waits behind it: about 50 µs a job. Callers bound how many they give
// at once; a thousand of 1 KB take about 50 ms.
func (q *Queue) Put(ctx context.Context, jobs ...queue.Job) ([]queue.Placed, error) {
	if err := q.check(ctx); err != nil {
		return nil, err
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	op := &putOp{q: q, rows: make([]putRow, len(jobs)), placed: make([]queue.Placed, len(jobs))}
	for i := range jobs {
		op.rows[i].fill(&jobs[i])
		op.size += len(jobs[i].Body) + len(jobs[i].Meta) + opCost
	}
	if err := q.file.Do(ctx, sqlitefile.Accept, op); err != nil {
		return nil, explain("put job", err)
	}
	return op.placed, nil
}

// opCost is about what a row needs beside its bytes.
const opCost = 300

// putRow is one job on its way in.
type putRow struct {
	job     queue.Job
	keyed   bool
	key     key
	aliases []key
	sum     uint32
	fresh   *record.Record
}

func (r *putRow) fill(j *queue.Job) {
	r.job, r.sum = *j, record.Sum(j.Body)
	if !j.Key.IsZero() {
		r.keyed, r.key = true, hashKey(j.Key)
	}
	for _, a := range j.Aliases {
		if !a.IsZero() {
			r.aliases = append(r.aliases, hashKey(a))
		}
	}
}

// putOp is one call of Put.
type putOp struct {
	q      *Queue
	rows   []putRow
	placed []queue.Placed
	size   int
}

var _ sqlitefile.Op = (*putOp)(nil)

// Size implements sqlitefile.Op.
func (o *putOp) Size() int { return o.size }

// Exec implements sqlitefile.Op.
func (o *putOp) Exec(tx *sqlitefile.Tx) error {
	now := o.q.clock.Now()
	for i := range o.rows {
		r := &o.rows[i]
		r.fresh = nil
		p, repeat, err := o.q.repeat(tx, r, now)
		if err != nil {
			return err
		}
		if !repeat {
			if err := o.add(tx, r, now); err != nil {
				return err
			}
			p = queue.Placed{ID: r.job.ID, Fresh: true}
		}
		o.placed[i] = p
	}
	return nil
}

// repeat says what a job is that is not to be stored. An alias tells of echoes only.
func (q *Queue) repeat(tx *sqlitefile.Tx, r *putRow, now clock.Time) (queue.Placed, bool, error) {
	if r.keyed {
		s, ok, err := q.seen.lookup(tx, r.key, now)
		if err != nil || ok {
			return queue.Placed{ID: s.id, Echo: s.echo()}, ok, err
		}
	}
	for _, k := range r.aliases {
		s, ok, err := q.seen.lookup(tx, k, now)
		if err != nil || ok && s.echo() {
			return queue.Placed{Echo: true}, err == nil, err
		}
	}
	return queue.Placed{}, false, nil
}

func (o *putOp) add(tx *sqlitefile.Tx, r *putRow, now clock.Time) error {
	lane, err := o.q.names.id(tx, r.job.Lane)
	if err != nil {
		return err
	}
	b := o.q.books
	b.next++
	if r.keyed {
		o.q.seen.fresh[r.key] = sighting{id: r.job.ID, at: now, seq: b.next}
	}
	r.fresh = &record.Record{
		ID: r.job.ID, Lane: r.job.Lane, Meta: r.job.Meta, Body: r.job.Body, Sum: r.sum, Seq: b.next,
		State: queue.Queued, Accepted: now, Since: now, Due: now, Updated: now,
	}
	row := newRow{record: r.fresh, lane: lane}
	if r.keyed {
		row.key = r.key.bytes()
	}
	o.q.pile.add(row)
	return nil
}

// Committed implements sqlitefile.Op.
func (o *putOp) Committed() {
	q := o.q
	q.names.committed()
	for i := range o.rows {
		r := &o.rows[i]
		if r.fresh == nil {
			continue
		}
		q.books.took(r.fresh.Seq)
		if r.keyed {
			q.seen.committed(r.key, sighting{id: r.fresh.ID, at: r.fresh.Accepted, seq: r.fresh.Seq})
		}
		q.mu.Lock()
		q.cache.add(r.fresh)
		q.set.Add(r.fresh.Lane, lanes.Waiting{Seq: r.fresh.Seq, Due: r.fresh.Due}, false)
		o.placed[i].Wait = q.set.Wait(r.fresh.Lane, r.fresh.Seq, r.fresh.Due)
		q.mu.Unlock()
	}
}

// Remember implements queue.Putter.
func (q *Queue) Remember(ctx context.Context, keys ...queue.Key) error {
	if err := q.check(ctx); err != nil {
		return err
	}
	var hashed []key
	for _, k := range keys {
		if !k.IsZero() {
			hashed = append(hashed, hashKey(k))
		}
	}
	if len(hashed) == 0 {
		return nil
	}
	if err := q.seen.remember(ctx, hashed, q.clock); err != nil {
		return explain("remember keys", err)
	}
	return nil
}

// laneNames finds the row of a lane. It is the writer's.
type laneNames struct {
	ids   map[queue.Lane]int64
	fresh []queue.Lane // whose rows are of a transaction that is not committed yet
}

// maxNames bounds the rows that are kept in memory.
const maxNames = 1 << 16

var _ sqlitefile.Gatherer = (*laneNames)(nil)

// Begin implements sqlitefile.Gatherer.
func (n *laneNames) Begin() {
	for _, l := range n.fresh {
		delete(n.ids, l)
	}
	n.fresh = n.fresh[:0]
}

// Flush implements sqlitefile.Gatherer.
func (n *laneNames) Flush(*sqlitefile.Tx) error { return nil }

// committed says that the transaction was.
func (n *laneNames) committed() { n.fresh = n.fresh[:0] }

// forgetHalf makes room by chance: better than by age when every lane is as likely to come next.
func (n *laneNames) forgetHalf() {
	for l := range n.ids {
		if len(n.ids) <= maxNames/2 {
			return
		}
		delete(n.ids, l)
	}
}

func (n *laneNames) id(tx *sqlitefile.Tx, l queue.Lane) (int64, error) {
	if id, ok := n.ids[l]; ok {
		return id, nil
	}
	if len(n.ids) >= maxNames {
		n.forgetHalf()
	}
	id := int64(0)
	read := func(r sqlitefile.Row) error {
		id = r.Int(0)
		return nil
	}
	const find = `SELECT id FROM lanes WHERE conversation = ? AND account = ? AND agent = ?`
	there, err := tx.One(find, read, l.Conversation, l.Account, l.Agent)
	if err != nil {
		return 0, err
	}
	if !there {
		n.fresh = append(n.fresh, l)
		if _, err := tx.Exec(`INSERT INTO lanes (agent, account, conversation) VALUES (?, ?, ?)`,
			l.Agent, l.Account, l.Conversation); err != nil {
			return 0, err
		}
		if _, err := tx.One(find, read, l.Conversation, l.Account, l.Agent); err != nil {
			return 0, err
		}
	}
	n.ids[l] = id
	return id, nil
}
