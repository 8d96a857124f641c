package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/cmd/imrelay/term"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/secret"
)

// pauseView is a pause as the commands show it. The names are those of the admin API.
type pauseView struct {
	Agent        string    `json:"agent,omitempty"`
	IM           string    `json:"im,omitempty"`
	Conversation string    `json:"conversation,omitempty"`
	Until        time.Time `json:"until,omitzero"`
	Reason       string    `json:"reason,omitempty"`
}

func (a *app) pauses() *cobra.Command {
	return family(&cobra.Command{
		Use:   "pauses",
		Short: "List, add and remove pauses of agents and conversations",
		Long: `List, add and remove pauses of the running relay. What is held is an agent, or one conversation of an IM
account; its events are accepted, and wait. The relay itself pauses a conversation that looks like a loop.`,
		Example: `  imrelay pauses list
  imrelay pauses add --agent openclaw --for 10m --reason "model is being changed"
  imrelay pauses remove --im wechat --conversation 48213570966@chatroom`,
	}, a.pausesList(), a.pausesAdd(), a.pausesRemove())
}

func (a *app) pausesList() *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List what is paused, until when and why",
		Long: `List what is paused, until when and why. A reason that begins with "loop" is the relay's own:
the conversation had more turns than the configuration's loop allows.`,
		Args: cobra.NoArgs,
		Example: `  imrelay pauses list
  imrelay pauses list --json | jq -r 'select(.reason | startswith("loop")) | .conversation'`,
	}
	dataFlag(c, &data)
	jsonFlag(c, &asJSON, "one JSON object a line")
	return does(c, func(ctx context.Context, _ []string) error {
		p, err := a.openPauser(ctx, data)
		if err != nil {
			return err
		}
		pauses, err := p.Pauses(ctx)
		if err != nil {
			return err
		}
		return a.printPauses(pauses, asJSON)
	})
}

func (a *app) pausesAdd() *cobra.Command {
	var data, lasts, reason string
	var s queue.Scope
	c := &cobra.Command{
		Use:   "add (--agent A | --im I --conversation C)",
		Short: "Pause an agent or a conversation",
		Long: `Pause an agent or a conversation: its events are accepted and wait, and an attempt under way is let
finish. A second pause of the same replaces the first. It holds through a restart.`,
		Args: cobra.NoArgs,
		Example: `  imrelay pauses add --agent openclaw
  imrelay pauses add --im wechat --conversation 48213570966@chatroom --for 10m --reason "two bots at it"`,
	}
	scopeFlags(c, &s)
	c.Flags().StringVar(&lasts, "for", "", "for so long: `10m`, 2h, 3d (default: until it is removed)")
	c.Flags().StringVar(&reason, "reason", "", "why, for whoever looks")
	dataFlag(c, &data)
	return does(c, func(ctx context.Context, _ []string) error {
		if err := checkScope(s); err != nil {
			return err
		}
		d, err := pauseLength(lasts)
		if err != nil {
			return err
		}
		p, err := a.openPauser(ctx, data)
		if err != nil {
			return err
		}
		if err := p.Pause(ctx, s, d, reason); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "paused %s\n", term.Clean(scopeName(s)))
		return nil
	})
}

func (a *app) pausesRemove() *cobra.Command {
	var data string
	var s queue.Scope
	c := &cobra.Command{
		Use:     "remove (--agent A | --im I --conversation C)",
		Aliases: []string{"resume"},
		Short:   "End a pause before its time",
		Long: `End a pause before its time: what waited is delivered, in its order. A conversation that looked like a
loop has all its turns again.`,
		Args: cobra.NoArgs,
		Example: `  imrelay pauses remove --agent openclaw
  imrelay pauses remove --im wechat --conversation 48213570966@chatroom`,
	}
	scopeFlags(c, &s)
	dataFlag(c, &data)
	return does(c, func(ctx context.Context, _ []string) error {
		if err := checkScope(s); err != nil {
			return err
		}
		p, err := a.openPauser(ctx, data)
		if err != nil {
			return err
		}
		pauses, err := p.Pauses(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(pauses, func(p queue.Pause) bool { return p.Scope == s }) {
			return failed(fmt.Errorf("%s is not paused", scopeName(s)), "imrelay pauses list shows what is")
		}
		if err := p.Resume(ctx, s); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "resumed %s\n", term.Clean(scopeName(s)))
		return nil
	})
}

// scopeFlags adds the flags that name what a pause holds.
func scopeFlags(c *cobra.Command, s *queue.Scope) {
	c.Flags().StringVar(&s.Agent, "agent", "", "this `agent`")
	c.Flags().StringVar(&s.Account, "im", "", "this IM `account`, with --conversation")
	c.Flags().StringVar(&s.Conversation, "conversation", "", "this `conversation` of --im")
}

// checkScope wants one thing named, and wholly.
func checkScope(s queue.Scope) error {
	switch {
	case s.Agent != "" && s.Account == "" && s.Conversation == "":
		return nil
	case s.Agent == "" && s.Account != "" && s.Conversation != "":
		return nil
	}
	return misused("give --agent, or --im and --conversation", "what is meant is not named, or more than one thing is")
}

// scopeName names what a pause holds in a sentence.
func scopeName(s queue.Scope) string {
	if s.Agent != "" {
		return "agent " + s.Agent
	}
	return fmt.Sprintf("conversation %s of %s", s.Conversation, s.Account)
}

// pauseLength reads --for; 0: until it is removed.
func pauseLength(v string) (time.Duration, error) {
	if v == "" {
		return 0, nil
	}
	d, err := config.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, misused("write it as 10m, 2h or 3d", "--for: %q is no duration", v)
	}
	return d, nil
}

// openPauser finds the relay on the configured data folder. A stopped one holds nothing that one could pause.
func (a *app) openPauser(ctx context.Context, data string) (queue.Pauser, error) {
	cfg, err := a.load(overrides("data", data)...)
	if err != nil {
		return nil, err
	}
	run, err := running(ctx, cfg)
	if errors.Is(err, daemon.ErrNotRunning) {
		return nil, notRunning(cfg)
	}
	if err != nil {
		return nil, err
	}
	return httpapi.NewClient(run.URL, secret.New(run.AdminToken), &http.Client{Timeout: askTimeout}), nil
}

func (a *app) printPauses(pauses []queue.Pause, asJSON bool) error {
	if len(pauses) == 0 && !asJSON {
		fmt.Fprintln(a.Stderr, "nothing is paused")
		return nil
	}
	t := term.NewTable("AGENT", "IM", "CONVERSATION", "UNTIL", "REASON")
	for _, p := range pauses {
		s := p.Scope
		if asJSON {
			v := pauseView{Agent: s.Agent, IM: s.Account, Conversation: s.Conversation, Until: p.Until, Reason: p.Reason}
			if err := writeJSON(a.Stdout, v); err != nil {
				return err
			}
			continue
		}
		until := clock(p.Until)
		if p.Until.IsZero() {
			until = "until removed"
		}
		// The conversation is not cut: to end its pause one must name it.
		t.Row(term.Cell{Text: s.Agent}, term.Cell{Text: s.Account}, term.Cell{Text: s.Conversation},
			term.Cell{Text: until}, term.Cell{Text: term.Cut(p.Reason, maxError)})
	}
	if asJSON {
		return nil
	}
	return t.Print(a.Stdout, a.style)
}
