package cli

import (
	"context"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/cmd/imrelay/demo"
)

func (a *app) demo() *cobra.Command {
	var lang string
	var once bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole loop with a pretend IM and an echo agent",
		Long: `Start a relay on a temporary store, a pretend IM and an echo agent, all on this machine; send messages
through them, show each one's way, and check what is claimed. Then go on until Ctrl-C, to be played with.
Nothing is configured, and nothing stays behind.`,
		Args: cobra.NoArgs,
		Example: `  imrelay demo
  imrelay demo --lang zh
  imrelay demo --once`,
	}
	c.Flags().StringVar(&lang, "lang", "", "`language`: en or zh (default: as $LANG says)")
	c.Flags().BoolVar(&once, "once", false, "end after the round: exit 0 when everything held, 1 when not")
	complete(c, "lang", "en", "zh")
	return does(c, func(ctx context.Context, _ []string) error {
		chinese, err := wantsChinese(lang)
		if err != nil {
			return err
		}
		err = demo.Run(ctx, demo.Options{
			Out: a.Stdout, Style: a.style, Chinese: chinese, Once: once,
			Version: describe(a.Version).Version, Program: program(),
		})
		if err == nil || ctx.Err() != nil {
			return err
		}
		return failed(err, "the log named above is kept, and tells what the relay did")
	})
}

// program is what to type to run this program again: its name where the shell finds it, else its path.
func program() string {
	const name = "imrelay"
	if _, err := exec.LookPath(name); err == nil {
		return name
	}
	if path, err := os.Executable(); err == nil {
		return path
	}
	return name
}
