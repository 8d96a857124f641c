package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/metrics"
	"github.com/imrelay/imrelay/relay/queue"
)

// overview tells how things stand: for readyz, the admin API and the metrics.
type overview struct {
	d    *Daemon
	seen *activity
}

var (
	_ httpapi.Overview = (*overview)(nil)
	_ httpapi.Health   = (*overview)(nil)
)

// Agents implements httpapi.Overview.
func (o *overview) Agents(context.Context) ([]httpapi.AgentState, error) {
	out := o.d.plan.Load().agentStates()
	for i := range out {
		out[i].Alarms = o.d.alarms.of(alarm{agent: out[i].Name})
	}
	for _, s := range o.d.disp.Agents() {
		for i := range out {
			if out[i].Name != s.Name {
				continue
			}
			out[i].Circuit = "closed"
			if s.Open {
				out[i].Circuit = "open"
			}
			out[i].LastSuccess, out[i].LastFailure = httpapi.Time{Time: s.LastTaken}, httpapi.Time{Time: s.LastFailed}
			out[i].LastError = s.LastError
		}
	}
	return out, nil
}

// Accounts implements httpapi.Overview.
func (o *overview) Accounts(context.Context) ([]httpapi.AccountState, error) {
	out := o.d.plan.Load().accountStates()
	for i := range out {
		x := o.seen.of(out[i].Name)
		out[i].LastReceived, out[i].LastSent = httpapi.Time{Time: x.received}, httpapi.Time{Time: x.sent}
		out[i].LastError, out[i].Alarms = x.failed, o.d.alarms.of(alarm{im: out[i].Name})
		switch {
		case len(out[i].Alarms) > 0:
			out[i].State = httpapi.StateDegraded
		case x.failed != "":
			out[i].State = httpapi.StateDegraded
		case !x.sent.IsZero():
			out[i].State = httpapi.StateOK
		}
	}
	return out, nil
}

// Health implements httpapi.Health: a store that takes nothing makes the relay unready, an agent that is down makes it
// degraded.
func (o *overview) Health(ctx context.Context) []httpapi.HealthLine {
	store := httpapi.HealthLine{Name: "store", State: httpapi.StateOK}
	unready := o.d.store.ready(ctx)
	if unready != nil {
		store.State, store.Detail = httpapi.StateFailed, "it takes no messages; see the log"
	}
	lines := []httpapi.HealthLine{store}
	for _, s := range o.d.disp.Agents() {
		line := httpapi.HealthLine{Name: "agent " + s.Name, State: httpapi.StateOK}
		if s.Open {
			line.State, line.Detail = httpapi.StateDegraded, "down: "+s.LastError
		}
		if alarms := o.d.alarms.of(alarm{agent: s.Name}); len(alarms) > 0 {
			line.State = httpapi.StateDegraded
			line.Detail = strings.Join(append([]string{line.Detail}, slices.Sorted(maps.Values(alarms))...), "; ")
			line.Detail = strings.TrimPrefix(line.Detail, "; ")
		}
		lines = append(lines, line)
	}
	lines = append(lines, o.troubled()...)
	if unready != nil {
		return lines
	}
	return append(lines, o.orphans(ctx)...)
}

// troubled are the IM accounts with an alarm. Of the others nothing is known before they are used.
func (o *overview) troubled() []httpapi.HealthLine {
	var lines []httpapi.HealthLine
	for _, name := range names(o.d.plan.Load().lines) {
		if alarms := o.d.alarms.of(alarm{im: name}); len(alarms) > 0 {
			lines = append(lines, httpapi.HealthLine{
				Name: "im " + name, State: httpapi.StateDegraded, Detail: strings.Join(slices.Sorted(maps.Values(alarms)), "; "),
			})
		}
	}
	return lines
}

// orphans are the agents that have events waiting and are configured no more: nobody attempts these.
func (o *overview) orphans(ctx context.Context) []httpapi.HealthLine {
	stats, err := o.d.store.queue.Stats(ctx)
	if err != nil {
		return nil // the store's line says it
	}
	var lines []httpapi.HealthLine
	for _, name := range names(stats) {
		waiting := stats[name].Queued + stats[name].Parked
		if _, ok := o.d.cfg.Agents[name]; ok || waiting == 0 {
			continue
		}
		lines = append(lines, httpapi.HealthLine{
			Name: "agent " + name, State: httpapi.StateDegraded,
			Detail: fmt.Sprintf("not configured any more, and %d events wait for it", waiting),
		})
	}
	return lines
}

// sample is what the metrics ask for at a scrape.
func (d *Daemon) sample(ctx context.Context) ([]metrics.Sample, error) {
	stats, err := d.store.queue.Stats(ctx)
	if err != nil {
		return nil, err
	}
	var out []metrics.Sample
	for agent, c := range stats {
		out = append(out, queueSamples(agent, c)...)
	}
	for _, s := range d.disp.Agents() {
		up := 1.0
		if s.Open {
			up = 0
		}
		out = append(out, metrics.Sample{
			Name: "imrelay_agent_up", Help: "Whether the agent is taken to be up.",
			Labels: map[string]string{"agent": s.Name}, Value: up,
		})
	}
	out = append(out, d.alarms.samples()...)
	waiting, err := d.store.ledger.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	return append(out, metrics.Sample{
		Name: "imrelay_outbound_waiting", Help: "Background sends that wait.", Value: float64(waiting),
	}), nil
}

// queueSamples are one agent's numbers.
func queueSamples(agent string, c queue.Counts) []metrics.Sample {
	var out []metrics.Sample
	for state, n := range map[string]int{
		"queued": c.Queued, "delivering": c.Leased, "parked": c.Parked, "delivered": c.Delivered, "dead": c.Dead,
	} {
		out = append(out, metrics.Sample{
			Name: "imrelay_queue_events", Help: "Events in the store, by state.",
			Labels: map[string]string{"agent": agent, "state": state}, Value: float64(n),
		})
	}
	oldest := 0.0
	if !c.Oldest.IsZero() {
		oldest = float64(c.Oldest.UnixMilli()) / 1000
	}
	return append(out, metrics.Sample{
		Name: "imrelay_queue_oldest_timestamp_seconds", Help: "When the oldest queued event was accepted; 0: none waits.",
		Labels: map[string]string{"agent": agent}, Value: oldest,
	})
}
