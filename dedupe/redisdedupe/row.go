package redisdedupe

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// statuses are what the scripts call where a row stands.
var statuses = map[string]dedupe.Status{
	"claimed": dedupe.Claimed, "queued": dedupe.Waiting, "conflict": dedupe.Conflict, "running": dedupe.Running,
	"w": dedupe.Waiting, "d": dedupe.Done, "u": dedupe.Unknown, "f": dedupe.Failed,
}

// letters is statuses the other way round, of those that are stored.
var letters = map[dedupe.Status]string{
	dedupe.Waiting: "w", dedupe.Done: "d", dedupe.Unknown: "u", dedupe.Failed: "f",
}

var errReply = errors.New("reply of a script cannot be read")

// stored is a row as a script returns it.
type stored struct {
	dedupe.Entry
	status string
	over   time.Time
	queued bool
}

// read fills in what the fields say. What they do not name stays.
func (r *stored) read(reply any, s redisconn.Shard) error {
	flat, ok := reply.([]any)
	if !ok || len(flat)%2 != 0 {
		return errReply
	}
	for i := 0; i < len(flat); i += 2 {
		name, ok := flat[i].(string)
		value, also := flat[i+1].(string)
		if !ok || !also {
			return errReply
		}
		if err := r.set(name, value, s); err != nil {
			return fmt.Errorf("%w: field %s", err, name)
		}
	}
	if !r.queued {
		r.Payload = nil
	}
	return nil
}

func (r *stored) set(name, value string, s redisconn.Shard) (err error) {
	switch name {
	case "o":
		r.Owner = value
	case "k":
		r.Key = value
	case "i":
		r.ID = value
	case "l":
		r.Lane = value
	case "d":
		if copy(r.Digest[:], value) != len(r.Digest) {
			return errReply
		}
	case "a":
		r.Accepted, err = timeOf(value)
	case "s":
		r.status = value
	case "v":
		r.over, err = timeOf(value)
	case "r":
		r.Record = unmarked(value)
	case "g":
		r.queued = value == "1"
	case "p":
		r.Payload = []byte(value)
	case "q":
		var tick uint64
		tick, err = strconv.ParseUint(value, 10, 64)
		r.Seq = numbered(tick, s)
	}
	return err
}

func timeOf(micros string) (time.Time, error) {
	if micros == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(micros, 10, 64)
	return time.UnixMicro(n), err
}

// marked is a record as it is stored: nil is empty, an empty one is not.
func marked(record []byte) string {
	if record == nil {
		return ""
	}
	return "." + string(record)
}

func unmarked(value string) []byte {
	if value == "" {
		return nil
	}
	return []byte(value[1:])
}
