//go:build unix

package fleet_test

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imrelay/imrelay/cmd/imrelay/cli"
	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){fleettest.Program: program})
}

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
