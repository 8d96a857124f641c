package redisqueue

import (
	"context"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// channel is where relays tell each other of work: "<who tells> <agent> <shard>,<shard>…".
const channel = "imrelay:wake"

const (
	// tellAfter is how long we may take ourselves before the others hear of it.
	tellAfter = 10 * time.Millisecond
	// tellFor bounds one telling.
	tellFor = time.Second
	// lookEvery is how often every shard is looked into, told or not.
	lookEvery = time.Second
)

// look makes those who take look into every shard now and then, and where a lease may have lapsed.
func (q *Queue) look() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	lapse := time.NewTimer(lookEvery)
	defer lapse.Stop()
	for {
		all := false
		select {
		case <-q.quit:
			return
		case <-tick.C:
			all = true
		case <-lapse.C:
		}
		now := q.clock()
		var next time.Time
		for _, d := range q.allDesks() {
			if all && d.isServed() {
				d.lookAt(now)
			}
			next = earlier(next, d.lapsed(now))
		}
		if !next.IsZero() {
			lapse.Reset(next.Sub(now))
		}
	}
}

// tellOthers tells the other relays of what is not taken here.
func (q *Queue) tellOthers() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-q.quit:
			return
		case <-q.tell:
		}
		for more := true; more; {
			timer.Reset(tellAfter)
			select {
			case <-q.quit:
				return
			case <-timer.C:
			}
			more = q.tellNow(ctx)
		}
	}
}

// tellNow tells of all that has waited long enough, and says whether there is something that has not.
func (q *Queue) tellNow(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, tellFor)
	defer cancel()
	before, more := time.Now().Add(-tellAfter/2), false
	for _, d := range q.allDesks() {
		shards, young := d.untold(before)
		more = more || young
		if len(shards) == 0 {
			continue
		}
		names := make([]string, len(shards))
		for i, n := range shards {
			names[i] = strconv.Itoa(n)
		}
		if err := q.conn.Publish(ctx, channel, q.id+" "+escape(d.agent)+" "+strings.Join(names, ",")); err != nil {
			// They look by themselves once a second.
			q.log.Debug("other relays not told of work", zap.Error(err))
		}
	}
	return more
}

// hear is told what another relay told, or we.
func (q *Queue) hear(message string) {
	who, rest, _ := strings.Cut(message, " ")
	i := strings.LastIndexByte(rest, ' ')
	if who == q.id || i < 0 || q.closed.Load() {
		return
	}
	q.mu.Lock()
	d := q.desks[unescape(rest[:i])]
	q.mu.Unlock()
	if d == nil {
		return
	}
	var shards []int
	for name := range strings.SplitSeq(rest[i+1:], ",") {
		if n, err := strconv.Atoi(name); err == nil {
			shards = append(shards, n)
		}
	}
	if len(shards) > 0 {
		d.lookAt(q.clock(), shards...)
	}
}
