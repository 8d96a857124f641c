package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/cmd/imrelay/doctor"
	"github.com/imrelay/imrelay/cmd/imrelay/term"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
)

// diagnosis is what doctor says as JSON.
type diagnosis struct {
	State    doctor.State     `json:"state"`
	Findings []doctor.Finding `json:"findings"`
}

func (a *app) doctor() *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at configuration, disk, store, port and agents, and say what to do",
		Long: `Look at everything that a relay needs, running or not, and say of each thing whether it is well and what
to do if not. It changes nothing and sends nothing. Exit 4 when something failed; warnings do not count.`,
		Args: cobra.NoArgs,
		Example: `  imrelay doctor
  imrelay doctor --config imrelay.yaml --json | jq '.findings[] | select(.state != "ok")'`,
	}
	dataFlag(c, &data)
	jsonFlag(c, &asJSON, "one JSON object")
	return does(c, func(ctx context.Context, _ []string) error {
		told := a.tellFinding
		if asJSON {
			told = func(doctor.Finding) {}
		}
		findings := a.examine(ctx, data, told)
		d := diagnosis{State: doctor.Worst(findings), Findings: findings}
		if asJSON {
			if err := writeJSON(a.Stdout, d); err != nil {
				return err
			}
		}
		if d.State == doctor.Fail {
			return silent(codeDegraded)
		}
		return nil
	})
}

// examine looks at the configuration first: nothing else can be found without it.
func (a *app) examine(ctx context.Context, data string, told func(doctor.Finding)) []doctor.Finding {
	cfg, err := a.loadAll(daemon.Options{Insecure: true}, overrides("data", data)...)
	if err != nil {
		findings := badConfig(err)
		for _, f := range findings {
			told(f)
		}
		return findings
	}
	first := doctor.Finding{Name: "configuration", State: doctor.OK, Detail: "no mistakes"}
	told(first)
	p := doctor.Patient{Config: cfg, Container: doctor.InContainer(), Now: time.Now()}
	run, err := running(ctx, cfg)
	switch {
	case err == nil:
		p.Running = &run
	case !errors.Is(err, daemon.ErrNotRunning):
		stuck := doctor.Finding{Name: "relay", State: doctor.Fail, Detail: err.Error(), Fix: "look at its log, or restart it"}
		told(stuck)
		return []doctor.Finding{first, stuck}
	}
	return append([]doctor.Finding{first}, doctor.Examine(ctx, p, told)...)
}

// badConfig makes a finding of each mistake.
func badConfig(err error) []doctor.Finding {
	e, ok := errors.AsType[*config.Error](err)
	if !ok {
		return []doctor.Finding{{Name: "configuration", State: doctor.Fail, Detail: err.Error()}}
	}
	var findings []doctor.Finding
	for _, m := range e.Mistakes {
		one := config.Error{Path: e.Path, Mistakes: []config.Mistake{m}}
		findings = append(findings, doctor.Finding{
			Name: "configuration", State: doctor.Fail, Detail: one.Error(), Fix: e.Hint,
		})
	}
	return findings
}

// tellFinding prints one finding as it comes.
func (a *app) tellFinding(f doctor.Finding) {
	dress := map[doctor.State]func(string) string{
		doctor.OK: a.style.Green, doctor.Warn: a.style.Yellow, doctor.Fail: a.style.Red,
	}[f.State]
	fmt.Fprintf(a.Stdout, "%s  %s  %s\n", dress(term.Pad(string(f.State), 4)), term.Pad(f.Name, 16), term.Clean(f.Detail))
	if f.Fix != "" {
		fmt.Fprintf(a.Stdout, "      %s %s\n", a.style.Dim("fix:"), term.Clean(f.Fix))
	}
}
