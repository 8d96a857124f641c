package redisqueue

import (
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/record"
)

// stored is a job as Redis keeps it.
type stored struct {
	queue.Job
	sum string // CRC of the body
}

// intact says whether the body is the one that was put.
func (s *stored) intact() bool {
	sum, ok := parse(s.sum)
	return ok && sum == int64(record.Sum(s.Body))
}

// newStored makes a job of its fields. Those that are missing are as a put leaves them.
func newStored(id string, shard int, fields func(set func(name, value string))) *stored {
	s := &stored{Job: queue.Job{ID: id, State: queue.Queued}}
	accepted, since, due, updated := int64(0), int64(-1), int64(-1), int64(-1)
	fields(func(name, value string) {
		n, _ := parse(value)
		switch name {
		case "l":
			s.Lane = laneOf(value)
		case "m":
			s.Meta = []byte(value)
		case "b":
			s.Body = []byte(value)
		case "c":
			s.sum = value
		case "q":
			s.Seq = numbered(n, shard)
		case "a":
			accepted = n
		case "i":
			since = n
		case "d":
			due = n
		case "p":
			updated = n
		default:
			s.set(name, value, n)
		}
	})
	or := func(n int64) int64 {
		if n < 0 {
			return accepted
		}
		return n
	}
	s.Accepted, s.Since, s.Due, s.Updated = wall(accepted), wall(or(since)), wall(or(due)), wall(or(updated))
	return s
}

// set sets a field whose default is the zero value.
func (s *stored) set(name, value string, n int64) {
	switch name {
	case "s":
		s.State = queue.State(n) //nolint:gosec // 1 to 4
	case "t":
		s.Attempts = int(n)
	case "h":
		s.NotBefore = wall(n)
	case "f":
		s.FirstFailure = wall(n)
	case "w":
		s.Answered = value == "1"
	case "u":
		s.Status = int(n)
	case "e":
		s.LastError = value
	}
}

// readJob makes a job of what HGETALL returned.
func readJob(id string, shard int, r *reply) *stored {
	return newStored(id, shard, func(set func(name, value string)) {
		for r.more() {
			name := r.text()
			set(name, r.text())
		}
	})
}
