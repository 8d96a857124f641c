package sqlitequeue

import (
	"fmt"
	"strings"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// atOnce is how many rows one statement writes where a batch has so many: to start a statement costs about as much as to
// write a row.
const atOnce = 16

// pile gathers the new jobs and the acks of a batch, which are nearly all that a busy queue writes. It is the writer's.
type pile struct {
	rows []newRow
	acks map[ackKind][]*record.Record
	args []any
}

type newRow struct {
	record *record.Record
	lane   int64
	key    []byte
}

// ackKind is what acks that one statement writes have in common.
type ackKind struct{ attempts, status int }

var _ sqlitefile.Gatherer = (*pile)(nil)

// Begin implements sqlitefile.Gatherer.
func (p *pile) Begin() {
	clear(p.rows)
	p.rows = p.rows[:0]
	for k, rs := range p.acks {
		if len(rs) == 0 {
			delete(p.acks, k)
			continue
		}
		clear(rs)
		p.acks[k] = rs[:0]
	}
}

// Flush implements sqlitefile.Gatherer.
func (p *pile) Flush(tx *sqlitefile.Tx) error {
	for kind, rs := range p.acks {
		for len(rs) > 0 {
			n := step(len(rs))
			if err := p.ack(tx, kind, rs[:n]); err != nil {
				return err
			}
			rs = rs[n:]
		}
	}
	for rows := p.rows; len(rows) > 0; {
		n := step(len(rows))
		if err := p.insert(tx, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// step returns how many of n rows the next statement writes.
func step(n int) int {
	if n >= atOnce {
		return atOnce
	}
	return 1
}

func (p *pile) insert(tx *sqlitefile.Tx, rows []newRow) error {
	jobs, bodies := insertJob, insertBody
	if len(rows) == atOnce {
		jobs, bodies = insertJobs, insertBodies
	}
	p.args = p.args[:0]
	for _, r := range rows {
		var key any
		if r.key != nil {
			key = r.key
		}
		p.args = append(p.args, r.record.Seq, r.record.ID, r.lane, int64(r.record.Accepted), key, r.record.Sum,
			len(r.record.Body), metaValue(r.record.Meta))
	}
	n, err := tx.Exec(jobs, p.args...)
	if err != nil {
		return err
	}
	if n != int64(len(rows)) {
		return existing(tx, rows)
	}
	p.args = p.args[:0]
	for _, r := range rows {
		p.args = append(p.args, r.record.Seq, r.record.Body)
	}
	_, err = tx.Exec(bodies, p.args...)
	return err
}

// existing names the row that was ignored because there is another with its id.
func existing(tx *sqlitefile.Tx, rows []newRow) error {
	for _, r := range rows {
		inserted := false
		if _, err := tx.One(`SELECT seq FROM jobs WHERE id = ?`, func(at sqlitefile.Row) error {
			inserted = at.Uint(0) == r.record.Seq
			return nil
		}, r.record.ID); err != nil {
			return err
		}
		if !inserted {
			return fmt.Errorf("job %s: id exists: %w", r.record.ID, queue.ErrState)
		}
	}
	return fmt.Errorf("one of %d jobs: id exists: %w", len(rows), queue.ErrState)
}

func (p *pile) ack(tx *sqlitefile.Tx, kind ackKind, rs []*record.Record) error {
	query := updateAck
	if len(rs) == atOnce {
		query = updateAcks
	}
	// They were settled within one batch: the time of the last does for all.
	p.args = append(p.args[:0], int64(rs[len(rs)-1].Updated), kind.attempts, kind.status)
	for _, r := range rs {
		p.args = append(p.args, r.Seq)
	}
	_, err := tx.Exec(query, p.args...)
	return err
}

// add notes a new job.
func (p *pile) add(r newRow) { p.rows = append(p.rows, r) }

// write stores what a transition changed, at once or with the rest of the batch.
func (p *pile) write(tx *sqlitefile.Tx, r *record.Record) error {
	if r.State == queue.Delivered {
		k := ackKind{r.Attempts, r.Status}
		p.acks[k] = append(p.acks[k], r)
		return nil
	}
	return writeRecord(tx, r)
}

func many(one string) string { return strings.Repeat(one+", ", atOnce-1) + one }

var (
	insertJobs   = insertJobHead + many(insertJobRow)
	insertBodies = insertBodyHead + many(insertBodyRow)
	updateAcks   = updateAckHead + "(" + many("?") + ")"
)
