package fleettest

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imrelay/imrelay/cmd/imrelay/cli"
)

// Main runs the tests of a binary that is also the program.
func Main(m testscript.TestingM) { testscript.Main(m, map[string]func(){Program: program}) }

// program is imrelay.
func program() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Hangups: func() <-chan os.Signal { return nil },
	})
	stop()
	os.Exit(code)
}
