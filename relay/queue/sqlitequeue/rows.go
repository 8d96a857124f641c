package sqlitequeue

import (
	"unicode/utf8"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// columns is how many recordColumns are; the body, where it was asked for, follows them.
const columns = 18

// readRecord makes a record of a row of recordColumns.
func readRecord(r sqlitefile.Row) *record.Record {
	rec := &record.Record{
		Seq: r.Uint(0), ID: r.Text(1),
		Lane:     queue.Lane{Agent: r.Text(2), Account: r.Text(3), Conversation: r.Text(4)},
		State:    queue.State(r.Int(5)), //nolint:gosec // 1 to 4
		Sum:      uint32(r.Int(7)),      //nolint:gosec // it was written as one
		Accepted: clock.Time(r.Int(6)), Meta: r.Bytes(8),
		Since: clock.Time(r.Int(9)), Due: clock.Time(r.Int(10)), NotBefore: clock.Time(r.Int(11)),
		FirstFailure: clock.Time(r.Int(12)), Updated: clock.Time(r.Int(13)),
		Attempts: int(r.Int(14)), Answered: r.Int(15) != 0, Status: int(r.Int(16)), LastError: r.Text(17),
	}
	if r.Null(9) {
		rec.Since = rec.Accepted
	}
	if r.Null(10) && rec.State == queue.Queued {
		rec.Due = rec.Accepted
	}
	if rec.State == queue.Delivered {
		rec.Due, rec.NotBefore = 0, 0
	}
	if r.Null(13) {
		rec.Updated = rec.Accepted
	}
	if len(r) > columns {
		rec.Body = r.Bytes(columns)
	}
	return rec
}

// writeRecord stores what a transition changed, unless it was an ack.
func writeRecord(tx *sqlitefile.Tx, r *record.Record) error {
	_, err := tx.Exec(updateJob, uint8(r.State), int64(r.Since), int64(r.Due), int64(r.NotBefore),
		int64(r.FirstFailure), int64(r.Updated), r.Attempts, r.Answered, r.Status, r.LastError, r.Seq)
	return err
}

// metaValue stores meta as text where it is, so that people who open the file can read it.
func metaValue(meta []byte) any {
	if meta != nil && utf8.Valid(meta) {
		return string(meta)
	}
	return meta
}
