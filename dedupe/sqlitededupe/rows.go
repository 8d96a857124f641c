package sqlitededupe

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// schema is the table. A key is found by a hash of it and its owner, so that the index stays small whatever keys look
// like. The status is a word, for people who look into the file.
var schema = sqlitefile.Schema{Name: "ledger", Steps: []string{createTable, createClock}}

const createTable = `
	CREATE TABLE sends (
		seq      INTEGER PRIMARY KEY,
		hash     INTEGER NOT NULL,
		owner    TEXT NOT NULL,
		key      TEXT NOT NULL,
		id       TEXT NOT NULL,
		lane     TEXT NOT NULL,
		digest   BLOB NOT NULL,
		status   TEXT NOT NULL,
		accepted INTEGER NOT NULL,
		over     INTEGER NOT NULL,
		record   BLOB,
		payload  BLOB
	);
	CREATE INDEX sends_hash ON sends (hash);
	CREATE INDEX sends_id ON sends (id);
	CREATE INDEX sends_payload ON sends (seq) WHERE payload IS NOT NULL;`

const createClock = `
	CREATE TABLE ledger_clock (store INTEGER NOT NULL, lead INTEGER NOT NULL);
	INSERT INTO ledger_clock (store, lead) VALUES (0, 0);`

const (
	insertRow = `INSERT INTO sends (seq, hash, owner, key, id, lane, digest, status, accepted, over, record, payload)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateRow = `UPDATE sends SET status = ?, over = ?, record = ? WHERE seq = ?`
	slimRow   = `UPDATE sends SET status = ?, over = ?, record = ?, payload = NULL WHERE seq = ?`
	deleteRow = `DELETE FROM sends WHERE seq = ?`

	columns  = `SELECT seq, owner, key, id, lane, digest, status, accepted, over, record, payload FROM sends `
	rowOfKey = columns + `WHERE hash = ? AND owner = ? AND key = ?`
	rowOfSeq = columns + `WHERE seq = ?`
	keyOfID  = `SELECT key FROM sends WHERE id = ? AND owner = ?`
	backlogs = `SELECT seq, lane FROM sends WHERE payload IS NOT NULL AND status = 'waiting' ORDER BY seq`
	lastSeq  = `SELECT max(seq) FROM sends`
	hashes   = `SELECT hash FROM sends`
)

// found is what is known of a key: its row, or that it is held.
type found struct {
	// entry's Status is 0 when there is no row, Running when it is held, else where it stands.
	entry dedupe.Entry
	hash  int64
	over  int64 // when its window ends; 0: never
	fat   bool  // the row on disk has a payload
	stale int64 // the row of this key that is over; 0: none
}

// hash is what the index has of a key. Two keys may share one.
func (n name) hash() int64 {
	b := make([]byte, 0, 128)
	b = append(append(append(b, n.owner...), 0), n.key...)
	sum := sha256.Sum256(b)
	return int64(binary.LittleEndian.Uint64(sum[:])) //nolint:gosec // any 64 bits will do, negative ones too
}

// look finds out where the key stands. When it returns without an error l.mu is locked, so that what it found is still
// true: the row is read without the lock, and read again if it changed meanwhile. A row is made only by who holds its
// key, and so never behind the back of the filter.
func (l *Ledger) look(ctx context.Context, n name, now time.Time) (found, error) {
	hash := n.hash()
	change := &l.changes[uint8(hash)] //nolint:gosec // the low bits
	for {
		l.mu.Lock()
		if h := l.held[n]; h != nil && !h.lapsed(now) {
			return found{entry: show(h.entry, dedupe.Running)}, nil
		}
		if !l.known.has(hash) {
			return found{hash: hash}, nil
		}
		before := *change
		l.mu.Unlock()
		f, err := l.read(ctx, n, hash)
		if err != nil {
			return found{}, err
		}
		l.mu.Lock()
		if h := l.held[n]; h != nil && !h.lapsed(now) {
			return found{entry: show(h.entry, dedupe.Running)}, nil
		}
		if *change == before {
			return f.asOf(now), nil
		}
		l.mu.Unlock()
	}
}

// asOf takes a row whose window is over for none.
func (f found) asOf(now time.Time) found {
	if f.over == 0 || now.UnixNano() < f.over {
		return f
	}
	return found{hash: f.hash, stale: f.seq()}
}

func (f found) seq() int64 { return int64(f.entry.Seq) } //nolint:gosec // it came from the file

// read reads the key's row.
func (l *Ledger) read(ctx context.Context, n name, hash int64) (found, error) {
	f := found{hash: hash}
	err := l.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		_, err := tx.One(rowOfKey, func(r sqlitefile.Row) (err error) {
			f, err = decode(r, hash)
			return err
		}, hash, n.owner, n.key)
		return err
	})
	return f, err
}

// decode reads a row of columns.
func decode(r sqlitefile.Row, hash int64) (found, error) {
	s, ok := statuses[r.Text(6)]
	digest := r.Bytes(5)
	f := found{hash: hash, over: r.Int(8), fat: !r.Null(10), entry: dedupe.Entry{
		Seq:   uint64(r.Int(0)), //nolint:gosec // never negative
		Owner: r.Text(1), Key: r.Text(2), ID: r.Text(3), Lane: r.Text(4),
		Status: s, Accepted: time.Unix(0, r.Int(7)), Record: r.Bytes(9),
	}}
	if copy(f.entry.Digest[:], digest) != len(f.entry.Digest) || !ok {
		return found{}, fmt.Errorf("row %d is damaged", f.entry.Seq)
	}
	if s == dedupe.Waiting {
		f.entry.Payload = r.Bytes(10)
	}
	return f, nil
}

// statuses are those that a row on disk can have.
var statuses = map[string]dedupe.Status{
	dedupe.Waiting.String(): dedupe.Waiting,
	dedupe.Done.String():    dedupe.Done,
	dedupe.Unknown.String(): dedupe.Unknown,
	dedupe.Failed.String():  dedupe.Failed,
}

// load finds what time it is, what waits, which keys there are, and the last number given.
func (l *Ledger) load(tx *sqlitefile.Tx) error {
	_, err := tx.One(readMark, func(r sqlitefile.Row) error {
		l.clock = newLedgerClock(l.o.Clock, r.Int(0), r.Int(1))
		return nil
	})
	if err != nil {
		return err
	}
	_, err = tx.One(lastSeq, func(r sqlitefile.Row) error {
		l.seq.Store(r.Int(0))
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Each(hashes, func(r sqlitefile.Row) error {
		l.known.add(r.Int(0))
		return nil
	})
	if err != nil {
		return err
	}
	return tx.Each(backlogs, func(r sqlitefile.Row) error {
		l.waiting.add(r.Text(1), uint64(r.Int(0))) //nolint:gosec // never negative
		return nil
	})
}
