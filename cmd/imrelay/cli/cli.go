// Package cli is the command line of imrelay: what each command is called, which flags it takes, what it prints and
// with which code it exits. It wires nothing and stores nothing: relay/daemon does that, and a relay that runs is asked
// over its admin API.
//
// Data goes to stdout, talk to stderr. An error is one line that says what is wrong and one that says what to do; a bad
// configuration is a line for each mistake. The codes are those of [Run].
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/cmd/imrelay/term"
)

// Env is what a command may touch of the process it runs in.
type Env struct {
	// Args are the arguments without the program's name.
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Version is the release's name; empty: what the build knows of itself.
	Version string
	// Hangups is called by a command that reloads its configuration at each SIGHUP; nil: there are none.
	Hangups func() <-chan os.Signal
}

// Run runs one command until it is done or ctx ends, and returns the exit code: 0 done, 1 failed, 2 misused, 3 not
// running, 4 degraded, 75 locked by another process, 78 bad configuration.
func Run(ctx context.Context, e Env) int {
	a := &app{Env: e, style: term.StyleFor(e.Stdout)}
	root := a.root()
	root.SetArgs(e.Args)
	root.SetIn(e.Stdin)
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return codeDone
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = misuse(cmd, err)
	}
	f.print(e.Stderr, term.StyleFor(e.Stderr))
	return f.code
}

// app is what all commands share.
type app struct {
	Env

	style term.Style
	// path is the value of --config.
	path string
}

// The groups of commands in the help.
const (
	groupRun     = "run"
	groupInspect = "inspect"
	groupRepair  = "repair"
	groupSetup   = "setup"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "imrelay",
		Short: "Relay between IM servers and agents that loses nothing",
		Long: `imrelay takes in what IM servers push, delivers it to agents signed and in order,
and sends their answers. Through crashes and outages: what it accepted is delivered,
or it is there to be looked at.`,
		Example: `  imrelay demo                      see it work, without any account
  imrelay config init imrelay.yaml  write a commented configuration
  imrelay serve --config imrelay.yaml`,
		Version:       describe(a.Version).Version,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetVersionTemplate("imrelay {{.Version}}\n")
	root.PersistentFlags().StringVar(&a.path, "config", "", "configuration `file` (default: $IMRELAY_CONFIG, else the environment)")
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run:"},
		&cobra.Group{ID: groupInspect, Title: "Inspect:"},
		&cobra.Group{ID: groupRepair, Title: "Repair:"},
		&cobra.Group{ID: groupSetup, Title: "Setup:"},
	)
	root.SetHelpCommandGroupID(groupSetup)
	root.SetCompletionCommandGroupID(groupSetup)
	root.SetUsageTemplate(root.UsageTemplate() + environmentHelp)
	a.add(root, groupRun, a.serve(), a.demo())
	a.add(root, groupInspect, a.events(), a.doctor(), a.version())
	a.add(root, groupRepair, a.dead(), a.pauses(), a.send())
	a.add(root, groupSetup, a.config(), a.store(), a.sign(), a.verify())
	return root
}

// environmentHelp follows the help of the program itself.
const environmentHelp = `{{if not .HasParent}}
Environment:
  IMRELAY_CONFIG IMRELAY_DATA IMRELAY_LISTEN IMRELAY_REDIS IMRELAY_LOG_LEVEL IMRELAY_LOG_FORMAT
  Without a file also: OPENCLAW_WEBHOOK_URL OPENCLAW_WEBHOOK_SECRET IM_BOT_TOKEN IM_SEND_URL
  IM_SEND_TOKEN IM_SELF IM_INBOUND_TOKEN IM_ALLOW. NO_COLOR turns colours off.

Exit codes:
  0 done, 1 failed, 2 misused, 3 not running, 4 degraded, 75 locked by another process,
  78 bad configuration
{{end}}`

func (*app) add(root *cobra.Command, group string, cmds ...*cobra.Command) {
	for _, c := range cmds {
		c.GroupID = group
		root.AddCommand(c)
	}
}

// family is a command that only holds others. Without one of them it prints its help; an unknown one is a misuse, which
// cobra knows of the root only.
func family(c *cobra.Command, members ...*cobra.Command) *cobra.Command {
	c.AddCommand(members...)
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// action is the body of a command. What it returns decides the exit code.
type action func(ctx context.Context, args []string) error

// does makes a command run f. Every error that comes out of it is a failure, so that all others are cobra's: misuses.
func does(c *cobra.Command, f action) *cobra.Command {
	c.RunE = func(c *cobra.Command, args []string) error {
		err := f(c.Context(), args)
		if err == nil {
			return nil
		}
		return failureOf(err)
	}
	return c
}

// misuse is what cobra found wrong with the arguments.
func misuse(c *cobra.Command, err error) *failure {
	what, _, _ := strings.Cut(err.Error(), "\n")
	hint := fmt.Sprintf("%s --help", c.CommandPath())
	if given, ok := unknownCommand(what); ok {
		c.SuggestionsMinimumDistance = max(c.SuggestionsMinimumDistance, 2) // cobra sets it for the root only
		if near := c.SuggestionsFor(given); len(near) > 0 {
			hint = fmt.Sprintf("did you mean %s %s? %s", c.CommandPath(), near[0], hint)
		}
	}
	return &failure{code: codeMisused, what: what, hint: hint}
}

// unknownCommand reads the name out of cobra's words, which is the only place where they are kept.
func unknownCommand(what string) (string, bool) {
	rest, ok := strings.CutPrefix(what, `unknown command "`)
	if !ok {
		return "", false
	}
	name, _, ok := strings.Cut(rest, `"`)
	return name, ok
}
