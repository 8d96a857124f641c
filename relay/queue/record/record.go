// Package record is one job as the stores that keep their own time hold it, and its state machine: what each verdict
// and each revival makes of it. The machine is drawn in package queue; here is the one place where it is programmed, so
// that those stores cannot differ in it. It knows nothing of lanes, leases or disks.
package record

import (
	"hash/crc32"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
)

// Corrupt is the reason of a job whose body is not what was put.
const Corrupt = "corrupt"

// Record is a job. The fields mean what those of [queue.Job] mean.
type Record struct {
	ID   string
	Lane queue.Lane
	Meta []byte
	Body []byte
	// Sum is the CRC-32C of the body as it was put.
	Sum uint32

	Seq       uint64
	State     queue.State
	Attempts  int
	Answered  bool
	Status    int
	LastError string

	Accepted, Since, Due, NotBefore, FirstFailure, Updated clock.Time
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum returns the CRC-32C of a body.
func Sum(body []byte) uint32 { return crc32.Checksum(body, castagnoli) }

// New makes the record of a job that was just put. It keeps the job's Meta and Body.
func New(j queue.Job, seq uint64, now clock.Time) *Record {
	return &Record{
		ID: j.ID, Lane: j.Lane, Meta: j.Meta, Body: j.Body, Sum: Sum(j.Body), Seq: seq, State: queue.Queued,
		Accepted: now, Since: now, Due: now, Updated: now,
	}
}

// Intact says whether the body is the one that was put.
func (r *Record) Intact() bool { return Sum(r.Body) == r.Sum }

// Troubled says whether the last attempt was no Ack, as far as the job itself tells.
func (r *Record) Troubled() bool { return r.LastError != "" }

// Settle makes the verdict's transition.
func (r *Record) Settle(v queue.Verdict, now clock.Time) {
	r.Updated, r.Status, r.LastError = now, v.Status, v.Reason
	r.Due, r.NotBefore = 0, 0
	if v.Counted {
		r.Attempts++
	}
	if v.Action == queue.Ack {
		r.State, r.LastError = queue.Delivered, ""
		return
	}
	r.Answered = r.Answered || v.Answered
	if v.Counted && r.FirstFailure == 0 {
		r.FirstFailure = now
	}
	if v.Hold > 0 {
		r.NotBefore = now.Add(v.Hold)
	}
	if v.Action == queue.Bury {
		r.State = queue.Dead
		return
	}
	if v.Action == queue.Park {
		r.State = queue.Parked
	}
	r.Due = now.Add(max(0, v.Delay, v.Hold))
}

// Expire makes a waiting job that nobody has leased a dead one. What the last attempt said stays readable behind the
// reason.
func (r *Record) Expire(reason string, now clock.Time) {
	if r.LastError != "" {
		reason += "; last: " + r.LastError
	}
	r.State, r.LastError, r.Updated, r.Due, r.NotBefore = queue.Dead, reason, now, 0, 0
}

// Revive makes a dead job a parked one with a new age, due after the delay.
func (r *Record) Revive(now clock.Time, delay time.Duration) {
	r.State, r.Attempts, r.Answered = queue.Parked, 0, false
	r.Since, r.Updated, r.Due = now, now, now.Add(delay)
	r.NotBefore, r.FirstFailure = 0, 0
}

// Job returns the record as the queue's callers see it, with Meta and Body shared.
func (r *Record) Job(c *clock.Clock) queue.Job {
	return queue.Job{
		ID: r.ID, Lane: r.Lane, Meta: r.Meta, Body: r.Body, Seq: r.Seq, State: r.State, Attempts: r.Attempts,
		Accepted: c.Wall(r.Accepted), Since: c.Wall(r.Since), Due: c.Wall(r.Due), NotBefore: c.Wall(r.NotBefore),
		FirstFailure: c.Wall(r.FirstFailure), Answered: r.Answered, Status: r.Status, LastError: r.LastError,
		Updated: c.Wall(r.Updated),
	}
}
