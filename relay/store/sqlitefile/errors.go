package sqlitefile

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors that callers branch on. The package comment says what each means for what was asked.
var (
	ErrFull   = errors.New("disk full")
	ErrFailed = errors.New("store failed")
	ErrClosed = errors.New("store closed")
)

// LockedError says that another process has the folder open.
type LockedError struct {
	// PID is the holder's process id; 0: it is not known.
	PID int
}

// Error implements error.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return "store is locked by another process"
	}
	return fmt.Sprintf("store is locked by process %d", e.PID)
}

// NewerError says that the file was written by a newer version of the program.
type NewerError struct {
	// Schema is the name of the schema that is newer.
	Schema string
	// Have is the version in the file, Known the newest that this program knows.
	Have, Known int
}

// Error implements error.
func (e *NewerError) Error() string {
	return fmt.Sprintf("store has schema %s version %d, this program knows up to %d", e.Schema, e.Have, e.Known)
}

// fate is what an error means for the file.
type fate uint8

const (
	fateOp    fate = iota // the op's own failure
	fateFull              // no space; heals
	fateFinal             // the disk cannot be believed any more
)

// fateOf tells errors of the disk from those of an op. A shared-memory file that cannot grow is a full disk too.
func fateOf(err error) fate {
	if errors.Is(err, ErrFull) {
		return fateFull
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return fateOfCode(e.Code())
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fateFull
	case errors.Is(err, syscall.EIO):
		return fateFinal
	}
	return fateOp
}

func fateOfCode(code int) fate {
	if code == sqlite3.SQLITE_IOERR_SHMSIZE {
		return fateFull
	}
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		return fateFull
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_CANTOPEN:
		return fateFinal
	}
	return fateOp
}

// beginError says that a transaction did not begin: no op of it was tried, so none is to blame. Somebody else, such as a
// shell on the file, may have it locked; to ask again for each op would take the busy timeout each time.
type beginError struct{ err error }

// Error implements error.
func (e *beginError) Error() string { return "begin: " + e.err.Error() }

// Unwrap returns what kept it from beginning.
func (e *beginError) Unwrap() error { return e.err }

func notBegun(err error) bool {
	_, ok := errors.AsType[*beginError](err)
	return ok
}
