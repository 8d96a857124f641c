// Package doctor looks at a relay's surroundings, whether it runs or not, and says of each thing whether it is well and
// what to do if not. It changes nothing, sends no message and never calls an agent's webhook.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
)

// State is how a thing is.
type State string

// The states. A relay works with what is OK or to be warned of; what failed stops it, or a part of it.
const (
	OK   State = "ok"
	Warn State = "warn"
	Fail State = "fail"
)

// Finding is one thing looked at.
type Finding struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
	// Fix says what to do. Empty for what is OK.
	Fix string `json:"fix,omitempty"`
}

// Worst is the worst state among the findings.
func Worst(findings []Finding) State {
	worst := OK
	for _, f := range findings {
		if f.State == Fail || f.State == Warn && worst == OK {
			worst = f.State
		}
	}
	return worst
}

// Patient is what is looked at.
type Patient struct {
	// Config is a configuration without mistakes.
	Config config.Config
	// Running is what a running relay says of itself; nil: none runs.
	Running *daemon.RunFile
	// Container says that we are inside one.
	Container bool
	// Now is our clock.
	Now time.Time
}

// dialTimeout bounds each look at another machine.
const dialTimeout = 3 * time.Second

// Examine looks at everything, one thing after the other, and calls told with each finding as it comes.
func Examine(ctx context.Context, p Patient, told func(Finding)) []Finding {
	e := examination{Patient: p, told: told, http: &http.Client{
		Timeout:       dialTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	e.clock()
	if p.Config.Redis.IsZero() {
		e.data()
		e.disk()
	} else {
		e.redis(ctx)
	}
	switch {
	case p.Running != nil:
		e.relay(ctx)
	case p.Config.Redis.IsZero():
		e.store(ctx)
		e.port(ctx)
	default:
		e.ok("relay", "does not run on this machine")
		e.port(ctx)
	}
	e.sources()
	e.agents(ctx)
	return e.findings
}

// examination gathers findings.
type examination struct {
	Patient

	told     func(Finding)
	http     *http.Client
	findings []Finding
}

func (e *examination) note(f Finding) {
	e.findings = append(e.findings, f)
	e.told(f)
}

func (e *examination) ok(name, format string, args ...any) {
	e.note(Finding{Name: name, State: OK, Detail: fmt.Sprintf(format, args...)})
}

func (e *examination) warn(name, fix, format string, args ...any) {
	e.note(Finding{Name: name, State: Warn, Detail: fmt.Sprintf(format, args...), Fix: fix})
}

func (e *examination) fail(name, fix, format string, args ...any) {
	e.note(Finding{Name: name, State: Fail, Detail: fmt.Sprintf(format, args...), Fix: fix})
}

// earliest is before any build of this program: a clock that shows less was never set.
var earliest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (e *examination) clock() {
	if e.Now.Before(earliest) {
		e.fail("clock", "set the clock, and keep it with NTP", "it shows %s", e.Now.Format(time.RFC3339))
		return
	}
	e.ok("clock", "%s", e.Now.Format(time.RFC3339))
}
