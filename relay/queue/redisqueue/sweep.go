package redisqueue

import (
	"context"

	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// sweepStep bounds the jobs that one run of the script removes.
const sweepStep = 500

// Sweep implements queue.Queue. MaxBytes is split over the shards in proportion to what they hold.
func (q *Queue) Sweep(ctx context.Context) error {
	total, held := int64(0), make([]int64, len(q.conn.Shards()))
	for i, shard := range q.conn.Shards() {
		left, err := q.sweep(ctx, shard, -1)
		if err != nil {
			return explain("sweep", err)
		}
		held[i] = left
		total += left
	}
	if total <= q.keep.MaxBytes {
		return nil
	}
	for i, shard := range q.conn.Shards() {
		most := int64(float64(q.keep.MaxBytes) * (float64(held[i]) / float64(total)))
		if _, err := q.sweep(ctx, shard, most); err != nil {
			return explain("sweep", err)
		}
	}
	return nil
}

// sweep removes what is over in a shard, keeps so many bytes of delivered bodies, all if it is below 0, and returns how
// many are left.
func (q *Queue) sweep(ctx context.Context, shard redisconn.Shard, most int64) (int64, error) {
	for {
		answer, err := q.do(ctx, redisconn.Call{Script: sweepScript, Shard: shard, Args: []any{
			q.keep.Delivered.Microseconds(), q.keep.Dead.Microseconds(), most, sweepStep,
		}})
		if err != nil {
			return 0, err
		}
		r := replyOf(answer)
		done, left := r.int(), r.int()
		if done < sweepStep || r.err != nil {
			return left, r.err
		}
	}
}
