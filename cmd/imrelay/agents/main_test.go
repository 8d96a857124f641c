//go:build unix

package agents_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imrelay/imrelay/cmd/imrelay/cli"
	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

// atOnce is how many tests run beside each other unless -parallel says otherwise: they wait more than they work.
const atOnce = "5"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
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
