// Package sqlitefile owns the one database file of the embedded store: the file, its lock, its schema, its only writer
// and its readers. Packages that keep tables in it (the queue, the send ledger) are thin over it. It knows nothing of
// what the tables mean, it never looks into a row, and it is no pool of database/sql connections: statements go straight
// to the driver, because database/sql costs as much again as a small insert.
//
// # Use
//
//	f, err := sqlitefile.Open(ctx, sqlitefile.Options{Dir: dir, Log: log})   // locked, recovered, ready
//	err = f.Migrate(ctx, sqlitefile.Schema{Name: "ledger", Steps: []string{createTables, addColumn}})
//	err = f.Do(ctx, sqlitefile.Accept, op)                                     // one op, durable when it returns
//	err = f.Read(ctx, func(tx *sqlitefile.Tx) error { … })                     // a snapshot, read only, keep it short
//	err = f.Close()                                                            // after every package on it has stopped
//
// Several packages share one File; each calls Migrate with its own Schema.Name before anything else, and whoever opened
// the File closes it, last.
//
// # Ops and batches
//
// Everything that changes the file is an [Op] given to [File.Do] or [File.Submit]. One goroutine, the writer, takes
// whatever waits and commits it as one transaction. There is no artificial delay: a lone op is committed at once, and
// while it is being synced the next batch gathers. Within a batch all [Settle] ops come before all [Accept] ops; within
// a kind they keep the order of their submission. So
//
//   - Exec sees what earlier ops of its own batch wrote, through the transaction;
//   - after the commit, and before any caller of the batch is woken, Committed of every op is called in that same order
//     on the writer's goroutine: what a package mirrors in memory changes there, and so in commit order;
//   - if Exec of any op fails, the transaction is rolled back and every op of the batch is done again in a transaction
//     of its own, so that a bad one fails alone. Exec must therefore be fit to run more than once: it sets what it
//     found out in the op's own fields anew each time, and touches nothing else outside the transaction.
//
// An expected outcome (not found, lost, a duplicate) is no failure: Exec notes it in the op and returns nil, otherwise it
// costs the whole batch a second run. An op whose Exec only reads is fine; it then sees the newest state.
//
//	type finish struct{ id string; record []byte; lost bool }
//
//	func (o *finish) Size() int { return len(o.record) }
//	func (o *finish) Exec(tx *sqlitefile.Tx) error {
//		n, err := tx.Exec(`UPDATE ledger SET record = ? WHERE id = ?`, o.record, o.id)
//		o.lost = n == 0
//		return err
//	}
//	func (o *finish) Committed() {}
//
// # Failures
//
// [ErrFull]: the disk or a quota is full, or, for Accept ops, free space is under the reserve. Nothing was changed, and
// it heals by itself. [ErrFailed]: an I/O error, or a sync that failed. That is final: what the disk holds is no longer
// known, so every later call fails too, [File.Err] tells, and only a restart looks at the disk again. [ErrClosed]: after
// Close. An error that tells of a lock held by somebody else is one of the whole batch: no op of it was tried.
// Any other error of Do is that of the op's own Exec; nothing of the op was changed.
//
// # Contexts
//
// A context that is over before an op was submitted changes nothing. After that Do returns the context's error at once,
// but the op may still be committed, and its Committed called.
//
// # On disk
//
//	<dir>/imrelay.db, -wal, -shm   the database, in WAL mode with synchronous=FULL; all 0600, the folder 0700
//	<dir>/lock                     locked while open; holds the pid of its holder
//	<dir>/imrelay.db.before-…      a copy made before a migration of a file that was in use
//
// The write-ahead log is checkpointed by a goroutine of its own, so that commits do not wait for it, and its space is
// used again. A torn end of the log, as after a power cut, is dropped when the file is opened: it was never promised.
package sqlitefile
