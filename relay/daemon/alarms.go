package daemon

import (
	"maps"
	"sync"

	"github.com/imrelay/imrelay/relay/metrics"
)

// alarm is one thing that an operator has to mend, at an agent or at an IM account.
type alarm struct{ agent, im, what string }

// alarms are those that are raised, with their texts. The zero alarms has none.
type alarms struct {
	mu     sync.Mutex
	raised map[alarm]string
}

// raise says whether that is news.
func (a *alarms) raise(x alarm, text string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.raised[x] == text {
		return false
	}
	if a.raised == nil {
		a.raised = map[alarm]string{}
	}
	a.raised[x] = text
	return true
}

// clear says whether it was raised.
func (a *alarms) clear(x alarm) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, was := a.raised[x]
	delete(a.raised, x)
	return was
}

// forget clears all of one owner's: it is another one now, which raises its own.
func (a *alarms) forget(owner alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.raised, func(x alarm, _ string) bool { return x.owner() == owner })
}

// owner is the alarm without what it is about.
func (x alarm) owner() alarm { return alarm{agent: x.agent, im: x.im} }

// all are those that are raised.
func (a *alarms) all() map[alarm]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.raised)
}

// of are one owner's.
func (a *alarms) of(owner alarm) map[string]string {
	out := map[string]string{}
	for x, text := range a.all() {
		if x.owner() == owner {
			out[x.what] = text
		}
	}
	return out
}

// samples are they as metrics.
func (a *alarms) samples() []metrics.Sample {
	var out []metrics.Sample
	for x := range a.all() {
		s := metrics.Sample{
			Name: "imrelay_agent_alarm", Help: "Alarms of agents that are raised; the log has their texts.",
			Labels: map[string]string{"agent": x.agent, "alarm": x.what}, Value: 1,
		}
		if x.im != "" {
			s.Name, s.Help = "imrelay_im_alarm", "Alarms of IM accounts that are raised; the log has their texts."
			s.Labels = map[string]string{"im": x.im, "alarm": x.what}
		}
		out = append(out, s)
	}
	return out
}
