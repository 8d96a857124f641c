package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
)

// Run serves until ctx ends or a listener fails, and then stops in order: nothing new is accepted (503), answers under
// way are given, attempts and sends under way finish within the drain time, and what is left stays queued.
func (d *Daemon) Run(ctx context.Context) error {
	d.log.Info("relay started", zap.String("event", "relay.started"), zap.String("url", d.url),
		zap.String("version", d.o.Version), zap.String("data", d.cfg.Data),
		zap.Strings("ims", names(d.cfg.IMs)), zap.Strings("agents", names(d.cfg.Agents)),
		zap.Strings("clients", names(d.cfg.Clients)))
	began := time.Now()
	failed := make(chan error, len(d.servers)+1)
	w := d.begin(ctx, failed)
	defer w.stopSending()
	var serving sync.WaitGroup
	for _, s := range d.servers {
		serving.Go(func() {
			if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", s.name, err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	d.log.Info("relay is stopping", zap.String("event", "relay.stopping"))
	err = errors.Join(err, d.stop(w))
	serving.Wait()
	d.log.Info("relay stopped", zap.String("event", "relay.stopped"), zap.Duration("after", time.Since(began)),
		zap.Error(err))
	return err
}

// work is what goes on beside serving.
type work struct {
	stopDelivering, stopSending context.CancelFunc
	delivering, sending         sync.WaitGroup
}

// begin starts the work.
func (d *Daemon) begin(ctx context.Context, failed chan<- error) *work {
	w := &work{}
	var delivering, sending context.Context
	sending, w.stopSending = context.WithCancel(context.WithoutCancel(ctx))
	delivering, w.stopDelivering = context.WithCancel(sending)
	w.delivering.Go(func() { d.disp.Run(delivering) })
	w.sending.Go(func() {
		if err := d.sender.Run(sending); err != nil && sending.Err() == nil {
			failed <- fmt.Errorf("send in the background: %w", err)
		}
	})
	w.sending.Go(func() { d.sweep(sending) })
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.running = sending
	d.connect(d.plan.Load())
	return w
}

// connect makes the plan's agents and accounts keep their connections. Sends go over an account's to the last.
func (d *Daemon) connect(p *plan) {
	d.residents.settle(d.running, p.residents())
	d.links.settle(context.WithoutCancel(d.running), p.links())
}

// stop ends what Run started, from the outside in: the sender late, since agents that answer late still say something.
// While they drain, new requests get an answer: 503, and nothing was promised.
func (d *Daemon) stop(w *work) error {
	d.api.Stopping()
	w.stopDelivering()
	drained, cancel := context.WithTimeout(context.Background(), d.o.Drain+sendTime)
	defer cancel()
	w.delivering.Wait()
	d.reloading.Lock()
	d.running = nil
	errs := []error{d.residents.close(drained)}
	d.reloading.Unlock()
	w.stopSending()
	if err := d.sender.Close(drained); err != nil {
		errs = append(errs, err)
	}
	closed, cancelLinks := context.WithTimeout(context.Background(), answerTime)
	defer cancelLinks()
	errs = append(errs, d.links.close(closed))
	w.sending.Wait()
	answered, cancelAnswers := context.WithTimeout(context.Background(), answerTime)
	defer cancelAnswers()
	for _, s := range d.servers {
		if err := s.http.Shutdown(answered); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err), s.http.Close())
		}
	}
	return errors.Join(errs...)
}

// sweep removes what is over, and gives up what nobody attempts, at the start and then once a while.
func (d *Daemon) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		for name, sweep := range map[string]func(context.Context) error{
			"queue": d.store.queue.Sweep, "ledger": d.store.ledger.Sweep, "memory": d.store.memos.Sweep, "max_age": d.expire,
		} {
			if err := sweep(ctx); err != nil && ctx.Err() == nil {
				d.log.Error("cannot remove what is over", zap.String("event", "store.failed"), zap.String("sweep", name),
					zap.Error(err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// expire gives up the events that are too old and that nobody attempts: their conversation or agent is paused, or the
// agent is configured no more, and then they are kept for as long as any might be.
func (d *Daemon) expire(ctx context.Context) error {
	stats, err := d.store.queue.Stats(ctx)
	if err != nil {
		return err
	}
	for agent := range stats {
		age := d.cfg.Dedupe.Window
		if target, ok := d.plan.Load().targets[agent]; ok {
			age = target.Policy.MaxAge
		}
		n, err := d.store.queue.Expire(ctx, agent, age, relay.ReasonMaxAge)
		if err != nil {
			return err
		}
		if n > 0 {
			d.log.Error("events are dead that nobody attempted", zap.String("event", "delivery.dead"),
				zap.String("agent", agent), zap.Int("events", n), zap.String("error", relay.ReasonMaxAge))
		}
	}
	return nil
}
