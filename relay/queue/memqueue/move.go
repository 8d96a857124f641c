package memqueue

import (
	"context"
	"slices"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/lanes"
	"github.com/imrelay/imrelay/relay/queue/record"
)

// What a piece of an export has at most: so many of anything, and no further job once it has so many bytes.
const (
	pieceSize  = 200
	pieceBytes = 1 << 20
)

var (
	_ queue.Exporter = (*Queue)(nil)
	_ queue.Importer = (*Queue)(nil)
)

// Export implements queue.Exporter. The pieces share the bodies with the queue.
func (q *Queue) Export(ctx context.Context, yield func(queue.Cargo) error) error {
	all, err := q.cargo(ctx)
	if err != nil {
		return err
	}
	pieces := []queue.Cargo{{Pauses: all.Pauses}}
	for c := range slices.Chunk(all.Chats, pieceSize) {
		pieces = append(pieces, queue.Cargo{Chats: c})
	}
	for jobs := all.Jobs; len(jobs) > 0; {
		n := fitting(jobs)
		pieces = append(pieces, queue.Cargo{Jobs: jobs[:n]})
		jobs = jobs[n:]
	}
	for s := range slices.Chunk(all.Sightings, pieceSize) {
		pieces = append(pieces, queue.Cargo{Sightings: s})
	}
	for _, p := range pieces {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := yield(p); err != nil {
			return err
		}
	}
	return nil
}

// fitting is how many of the jobs one piece has.
func fitting(jobs []queue.Job) int {
	n := 0
	for size := 0; n < min(len(jobs), pieceSize) && size < pieceBytes; n++ {
		size += len(jobs[n].Body)
	}
	return n
}

// cargo is all that the queue holds.
func (q *Queue) cargo(ctx context.Context) (queue.Cargo, error) {
	pauses, err := q.Pauses(ctx)
	if err != nil {
		return queue.Cargo{}, err
	}
	now, err := q.enter(ctx)
	if err != nil {
		return queue.Cargo{}, err
	}
	defer q.mu.Unlock()
	all := queue.Cargo{Pauses: pauses}
	for conversation, accounts := range q.known {
		for _, account := range accounts {
			all.Chats = append(all.Chats, queue.Chat{Account: account, Conversation: conversation})
		}
	}
	for _, r := range q.order {
		all.Jobs = append(all.Jobs, r.Job(q.clock))
	}
	for sum, s := range q.seen {
		if now.Sub(s.at) < q.keep.Window {
			all.Sightings = append(all.Sightings, queue.Sighting{Sum: sum, ID: s.id, At: q.clock.Wall(s.at)})
		}
	}
	return all, nil
}

// Import implements queue.Importer. It keeps the Meta and Body of the jobs.
func (q *Queue) Import(ctx context.Context, c queue.Cargo) error {
	now, err := q.enter(ctx)
	if err != nil {
		return err
	}
	defer q.mu.Unlock()
	for _, p := range c.Pauses {
		q.importPause(p, now)
	}
	for _, chat := range c.Chats {
		q.learn(chat.Account, chat.Conversation)
	}
	for _, j := range c.Jobs {
		if q.jobs[j.ID] == nil {
			q.importJob(j)
		}
	}
	for _, s := range c.Sightings {
		if _, there := q.seen[s.Sum]; !there {
			q.seen[s.Sum] = sighting{id: s.ID, at: q.clock.Store(s.At)}
		}
	}
	return nil
}

func (q *Queue) importPause(p queue.Pause, now clock.Time) {
	until := q.clock.Store(p.Until)
	if _, there := q.pauses[p.Scope]; there || until != 0 && until <= now {
		return
	}
	q.pauses[p.Scope] = pause{until: until, reason: p.Reason}
	q.set.Pause(p.Scope, until)
}

func (q *Queue) importJob(j queue.Job) {
	q.seq++
	at := q.clock.Store
	r := &record.Record{
		ID: j.ID, Lane: j.Lane, Meta: j.Meta, Body: j.Body, Sum: record.Sum(j.Body), Seq: q.seq, State: j.State,
		Attempts: j.Attempts, Answered: j.Answered, Status: j.Status, LastError: j.LastError,
		Accepted: at(j.Accepted), Since: at(j.Since), Due: at(j.Due), NotBefore: at(j.NotBefore),
		FirstFailure: at(j.FirstFailure), Updated: at(j.Updated),
	}
	q.jobs[r.ID] = r
	q.order = append(q.order, r)
	q.learn(r.Lane.Account, r.Lane.Conversation)
	w := lanes.Waiting{Seq: r.Seq, Due: r.Due, NotBefore: r.NotBefore}
	switch r.State {
	case queue.Queued:
		q.set.Add(r.Lane, w, r.Troubled())
	case queue.Parked:
		q.set.AddParked(r.Lane, w, r.Troubled())
	case queue.Delivered, queue.Dead:
	}
}
