package redisqueue

import (
	"context"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// oldQuestions ask whether imported keys are those of the jobs. They stand where their sums say.
func (q *Queue) oldQuestions(jobs []queue.Job) []question {
	if !q.imported(q.keep.Window) {
		return nil
	}
	var questions []question
	for i, j := range jobs {
		for n, k := range append([]queue.Key{j.Key}, j.Aliases...) {
			if sum := sumName(k); sum != "" {
				questions = append(questions, question{job: i, alias: n > 0, shard: q.conn.Place(sum), place: "old:", sum: sum})
			}
		}
	}
	return questions
}

// question is a sum that another shard than the job's has to be asked about.
type question struct {
	job   int
	alias bool
	shard redisconn.Shard
	place string
	sum   string
}

// hints are what other shards know the jobs as: an id, an echo, or nothing; nil if none had to be asked.
func (q *Queue) hints(ctx context.Context, jobs []queue.Job) ([]string, error) {
	questions := q.oldQuestions(jobs)
	for i, j := range jobs {
		home := q.conn.Shard(j.Lane.Account, j.Lane.Conversation)
		for _, k := range j.Aliases {
			if shard := q.conn.Shard(k.Account, k.Conversation); !k.IsZero() && shard != home {
				questions = append(questions, question{job: i, alias: true, shard: shard, place: "seen:", sum: sumName(k)})
			}
		}
	}
	if len(questions) == 0 {
		return nil, nil
	}
	calls := make([]redisconn.Call, len(questions))
	for i, w := range questions {
		calls[i] = redisconn.Call{
			Script: sightedScript, Shard: w.shard, Args: []any{w.place, q.keep.Window.Microseconds(), w.sum},
		}
	}
	replies, err := q.conn.All(ctx, calls...)
	if err != nil {
		return nil, err
	}
	hints := make([]string, len(jobs))
	for i, w := range questions {
		r := replyOf(replies[i])
		known := r.text()
		if r.err != nil {
			return nil, r.err
		}
		// An alias tells of echoes only.
		if hints[w.job] == "" && (!w.alias || known == echo) {
			hints[w.job] = known
		}
	}
	return hints, nil
}
