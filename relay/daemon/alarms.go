package daemon

import (
	"maps"
	"sync"

	"github.com/imrelay/imrelay/relay/metrics"
)

// alarm is one thing that an operator has to mend.
type alarm struct{ agent, what string }

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

// forget clears all of an agent's: it is another one now, which raises its own.
func (a *alarms) forget(agent string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.raised, func(x alarm, _ string) bool { return x.agent == agent })
}

// all are those that are raised.
func (a *alarms) all() map[alarm]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.raised)
}

// of are an agent's.
func (a *alarms) of(agent string) map[string]string {
	out := map[string]string{}
	for x, text := range a.all() {
		if x.agent == agent {
			out[x.what] = text
		}
	}
	return out
}

// samples are they as metrics.
func (a *alarms) samples() []metrics.Sample {
	var out []metrics.Sample
	for x := range a.all() {
		out = append(out, metrics.Sample{
			Name: "imrelay_agent_alarm", Help: "Alarms that are raised; the log has their texts.",
			Labels: map[string]string{"agent": x.agent, "alarm": x.what}, Value: 1,
		})
	}
	return out
}
