package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// load is one run of requests.
type load struct {
	// addr takes the requests; batch says which.
	addr  string
	batch *batch
	// conns is how many requests are under way at a time.
	conns int
	// It ends after so long a time, or so many messages, whichever is not 0.
	length time.Duration
	count  int
	// from is the batch's first message that is sent, a multiple of conns.
	from int
	// rate is how many requests a second are due, whatever becomes of those before; 0: each connection sends the next
	// one when it has the answer.
	rate float64
	// want is the status of every answer, and wantText is in it.
	want     int
	wantText string
}

// outcome is what a run came to.
type outcome struct {
	sent  int64
	took  time.Duration
	waits []time.Duration // from when a request was due to its answer, sorted; of runs with a rate only
}

// perSecond is the throughput.
func (o *outcome) perSecond() float64 { return float64(o.sent) / o.took.Seconds() }

// grace is how long after its end a run may still wait for answers.
const grace = 20 * time.Second

// run makes the requests. An answer that is not as wanted ends it with an error.
func (l *load) run() (outcome, error) {
	workers := make([]*worker, l.conns)
	for i := range workers {
		w, err := l.dial(i)
		if err != nil {
			return outcome{}, err
		}
		defer w.conn.Close()
		workers[i] = w
	}
	var group sync.WaitGroup
	start := time.Now()
	for _, w := range workers {
		group.Go(func() { w.err = w.work(start) })
	}
	group.Wait()
	o := outcome{took: time.Since(start)}
	for _, w := range workers {
		if w.err != nil {
			return outcome{}, w.err
		}
		o.sent += w.sent
		o.waits = append(o.waits, w.waits...)
	}
	slices.Sort(o.waits)
	return o, nil
}

// worker is one connection.
type worker struct {
	*load
	index int
	conn  net.Conn
	wire  *wire
	raw   []byte
	at    places
	sent  int64
	waits []time.Duration
	err   error
}

func (l *load) dial(index int) (*worker, error) {
	c, err := dial(l.addr)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(l.length + grace + time.Duration(l.count)*time.Millisecond)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	w := &worker{load: l, index: index, conn: c, wire: newWire(c)}
	w.raw, w.at = l.batch.shape.request(l.addr)
	return w, nil
}

// work sends the messages index, index + conns, index + 2 conns and so on.
func (w *worker) work(start time.Time) error {
	end := uint64(maxBatch)
	if w.count > 0 {
		end = uint64(w.from + w.count)
	}
	for n := uint64(w.from + w.index); n < end; n += uint64(w.conns) {
		now := time.Now()
		if w.rate > 0 {
			now = w.wait(start.Add(time.Duration(float64(n) / w.rate * 1e9)))
		}
		if w.length > 0 && now.Sub(start) >= w.length {
			return nil
		}
		w.at.write(w.raw, w.batch.first+n, uint64(now.UnixNano()), n%w.batch.convs)
		if err := w.exchange(); err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
		if w.rate > 0 {
			w.waits = append(w.waits, time.Since(now))
		}
		w.sent++
	}
	return nil
}

// wait waits until a request is due, and returns when its time began. What the timer is late by is not the relay's; what
// earlier requests are late by is.
func (w *worker) wait(due time.Time) time.Time {
	d := time.Until(due)
	if d <= 0 {
		return due
	}
	<-time.After(d)
	return time.Now()
}

func (w *worker) exchange() error {
	if _, err := w.conn.Write(w.raw); err != nil {
		return err
	}
	head, body, err := w.wire.next()
	if err != nil {
		return err
	}
	if got := status(head); got != w.want {
		return fmt.Errorf("got status %d, want %d: %.300s", got, w.want, body)
	}
	if !bytes.Contains(body, []byte(w.wantText)) {
		return fmt.Errorf("got the answer %.300s, want %s in it", body, w.wantText)
	}
	return nil
}
