package daemon

import (
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/config"
)

// Reload takes over tokens, secrets, routes, filters, limits, agents' and accounts' settings and the log level, without
// a dropped request; requests under way end with the old ones. A configuration with a mistake, or one that asks for what
// only a restart can do, changes nothing.
func (d *Daemon) Reload(cfg config.Config) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	if err := d.restartNeeded(cfg); err != nil {
		return err
	}
	p, err := newPlan(cfg, d, d.o.Insecure)
	if err != nil {
		return err
	}
	if p.api.Admin.Token.IsZero() {
		p.api.Admin = d.random
	}
	// Before the sender takes the new connectors: from then on an alarm is theirs.
	for name, in := range d.plan.Load().lines {
		if p.lines[name] != in {
			d.alarms.forget(alarm{im: name})
		}
	}
	// A new account must be known to all before the API lets anything through to it.
	d.acceptor.Reload(p.router)
	d.sender.Reload(p.senders)
	if err := d.api.Reload(p.api); err != nil {
		d.acceptor.Reload(d.plan.Load().router)
		d.sender.Reload(d.plan.Load().senders)
		return fmt.Errorf("reload the API: %w", err)
	}
	for name, in := range p.made {
		if in != d.plan.Load().made[name] {
			d.alarms.forget(alarm{agent: name})
		}
	}
	d.disp.Reload(p.targets)
	d.brake.Configure(brakeOptions(cfg.Loop))
	d.plan.Store(p)
	if d.running != nil {
		d.connect(p)
	}
	if d.o.Level != (zap.AtomicLevel{}) {
		if level, err := zap.ParseAtomicLevel(cfg.Log.Level); err == nil {
			d.o.Level.SetLevel(level.Level())
		}
	}
	d.log.Info("configuration taken over", zap.String("event", "relay.reloaded"))
	return d.runFile(p.api.Admin).write(d.cfg.Data)
}

// restartNeeded names every key that differs from the start's and that a reload does not take over.
func (d *Daemon) restartNeeded(cfg config.Config) error {
	var errs []error
	for key, same := range map[string]bool{
		"listen":               cfg.Listen == d.cfg.Listen,
		"data":                 cfg.Data == d.cfg.Data,
		"redis":                cfg.Redis == d.cfg.Redis,
		"metrics.listen":       cfg.Metrics.Listen == d.cfg.Metrics.Listen,
		"dedupe.window":        cfg.Dedupe == d.cfg.Dedupe,
		"retention":            cfg.Retention == d.cfg.Retention,
		"outbound.hold":        cfg.Outbound.Hold == d.cfg.Outbound.Hold,
		"outbound.media_allow": slices.Equal(cfg.Outbound.MediaAllow, d.cfg.Outbound.MediaAllow),
		"log.file":             cfg.Log.File == d.cfg.Log.File && cfg.Log.Format == d.cfg.Log.Format,
		"agents":               slices.Equal(names(cfg.Agents), names(d.cfg.Agents)),
	} {
		if !same {
			errs = append(errs, cfg.Mistake(key, "was changed, and takes a restart"))
		}
	}
	return config.Merge(errs...)
}

// names are a map's keys in order.
func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
