package redisconn

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// waitMost bounds how long replicas are waited for, so that there is time to tell.
const waitMost = 600 * time.Millisecond

// pipeline is one sending of a batch.
type pipeline struct {
	tasks []*task
	cmds  []*redis.Cmd
	wait  *redis.IntCmd
	// err is that of the connection: no command was sent.
	err error
}

// send runs a batch and gives each caller his outcome. What can be tried again goes back into a queue.
func (n *node) send(ctx context.Context, batch []*task) {
	for withSource := false; len(batch) > 0; withSource = true {
		p := n.run(ctx, batch, withSource)
		batch = n.settle(ctx, p)
		if withSource && len(batch) > 0 {
			// Somebody empties the server of scripts faster than we fill it.
			n.retry(ctx, batch, redis.ErrNoScript)
			return
		}
	}
}

// run sends the batch as one pipeline. With the source, the first call of each script brings it; those that follow on the
// same connection find it.
func (n *node) run(ctx context.Context, batch []*task, withSource bool) *pipeline {
	ctx, cancel := context.WithTimeout(ctx, replyWithin)
	defer cancel()
	p := &pipeline{tasks: batch, cmds: make([]*redis.Cmd, len(batch))}
	pipe := n.client.Pipeline()
	sent := map[*Script]bool{}
	sync := false
	for i, t := range batch {
		s := t.call.Script
		p.cmds[i] = redis.NewCmd(ctx, t.arguments(withSource && !sent[s])...)
		sent[s] = withSource
		sync = sync || t.call.Sync
		_ = pipe.Process(ctx, p.cmds[i])
	}
	if wait := n.conn.target.WaitReplicas; wait > 0 && sync {
		p.wait = redis.NewIntCmd(ctx, "wait", wait, p.patience().Milliseconds())
		_ = pipe.Process(ctx, p.wait)
	}
	if _, err := pipe.Exec(ctx); err != nil && p.silent() {
		p.err = err
	}
	return p
}

// arguments are the command, with the source of the script or with its name.
func (t *task) arguments(source bool) []any {
	args := make([]any, 0, 5+len(t.call.Args))
	if source {
		args = append(args, "eval", t.call.Script.source)
	} else {
		args = append(args, "evalsha", t.call.Script.sha)
	}
	args = append(args, 1, t.call.Shard.prefix, t.now)
	return append(args, t.call.Args...)
}

// silent says that no command has an error. When the pipeline has one all the same it is of the connection that could
// not be had: go-redis then tells the commands nothing if the error is one of Redis, such as LOADING.
func (p *pipeline) silent() bool {
	for _, c := range p.cmds {
		if c.Err() != nil {
			return false
		}
	}
	return p.wait == nil || p.wait.Err() == nil
}

// patience is how long the replicas may take.
func (p *pipeline) patience() time.Duration {
	d := waitMost
	for _, t := range p.tasks {
		d = min(d, time.Until(t.group.until)-replyWithin/16)
	}
	return max(d, time.Millisecond)
}

// lagging says that too few replicas have what the pipeline did.
func (p *pipeline) lagging(replicas int) bool {
	return p.wait != nil && (p.wait.Err() != nil || p.wait.Val() < int64(replicas))
}

// settle gives each caller his outcome. It returns the calls whose script the server does not have.
func (n *node) settle(ctx context.Context, p *pipeline) []*task {
	var unknowns, failures []*task
	var failure error
	worst := done
	lagging := p.lagging(n.conn.target.WaitReplicas)
	for i, t := range p.tasks {
		reply, err := p.outcome(i)
		f := fateOf(err)
		switch f {
		case done:
			n.answer(t, reply, err, lagging)
		case unknown:
			unknowns = append(unknowns, t)
		case elsewhere:
			n.conn.later(ctx, t, err)
		case away, replica:
			failures, failure = append(failures, t), heard(server, err)
		}
		worst = max(worst, f)
	}
	if worst == replica {
		// A connection to a former master is good for nothing. The pool drops one only if the first command of its pipeline
		// met READONLY.
		n.conn.dials.drop(n.addr)
	}
	if failure == nil {
		n.worked()
		return unknowns
	}
	n.failed(failure)
	n.retry(ctx, failures, failure)
	return unknowns
}

func (p *pipeline) outcome(i int) (any, error) {
	if p.err != nil {
		return nil, connError{p.err}
	}
	return p.cmds[i].Val(), p.cmds[i].Err()
}

// connError is an error of Redis that is not the reply to a command.
type connError struct{ error }

// answer gives the caller what the script returned.
func (n *node) answer(t *task, reply any, err error, lagging bool) {
	switch {
	case err != nil && err != redis.Nil: //nolint:errorlint // go-redis gives it as it is
		t.finish(nil, &ScriptError{Reply: err.Error()})
	case t.call.Sync && lagging:
		t.finish(nil, unavailable(errReplicas))
	default:
		t.finish(reply, nil)
	}
}

// retry puts calls back in front of those that came after them.
func (n *node) retry(ctx context.Context, tasks []*task, err error) {
	for _, t := range tasks {
		t.last = err
	}
	tasks = living(tasks)
	if len(tasks) == 0 {
		return
	}
	// A batch comes from one queue.
	if !n.queueFor(tasks[0]).push(true, tasks...) {
		for _, t := range tasks {
			n.conn.place(ctx, t)
		}
	}
}

// later looks anew, in a moment, where the call belongs.
func (c *Conn) later(ctx context.Context, t *task, err error) {
	t.last = err
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
	time.AfterFunc(movedAfter, func() {
		if t.dead(time.Now()) {
			t.lapse()
			return
		}
		c.place(ctx, t)
	})
}
