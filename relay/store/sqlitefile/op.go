package sqlitefile

import "context"

// Kind says where an op stands in a batch and what it may do when space is short.
type Kind uint8

// The kinds.
const (
	// Settle is for ops that finish or lessen work: they come first and may use the last of the disk.
	Settle Kind = iota
	// Accept is for ops that take new work in: they are refused while free space is under the reserve.
	Accept
	kinds
)

// Op is one change of the file. The package comment says how batches of them run.
type Op interface {
	// Exec makes the change. It may run again after a rollback. An error undoes this op alone.
	Exec(tx *Tx) error
	// Committed is called on the writer's goroutine once the change is durable, before the caller is woken. It must
	// not block and must not call the File.
	Committed()
	// Size is about how many bytes it holds; waiting ops are bounded by it.
	Size() int
}

// Aborter is an Op that wants to know when it was not done. Of Committed and Aborted exactly one is called for every op
// that Submit took, whether or not its caller still waits, under the same rules.
type Aborter interface {
	Aborted(err error)
}

// Func is an Op made of functions, for what is not worth a type.
type Func struct {
	// Do is Exec.
	Do func(tx *Tx) error
	// Done is Committed; nil: nothing.
	Done func()
	// Bytes is Size.
	Bytes int
}

var _ Op = (*Func)(nil)

// Exec implements Op.
func (o *Func) Exec(tx *Tx) error { return o.Do(tx) }

// Committed implements Op.
func (o *Func) Committed() {
	if o.Done != nil {
		o.Done()
	}
}

// Size implements Op.
func (o *Func) Size() int { return o.Bytes }

// Gatherer lets a package write the rows of many ops with few statements: its ops note in Exec what is to be written,
// and Flush writes it. A file has few of them; they are added before the first op.
type Gatherer interface {
	// Begin drops what is noted: a new transaction begins, the one before was committed or rolled back.
	Begin()
	// Flush writes what is noted, just before the commit. An error of it is one of every op of the batch.
	Flush(tx *Tx) error
}

// Commit is the outcome of a submitted op, to be waited for.
type Commit struct {
	op   Op
	kind Kind
	size int64
	err  error
	done chan struct{}
}

// Wait returns when the op is durable, or when it failed, or when ctx is over: then it may still become durable.
func (c *Commit) Wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	default:
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
