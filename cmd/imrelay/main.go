// Command imrelay takes in what IM servers push, delivers it to agents, and sends their answers. Its commands are in
// package cli; here signals become a context and an outcome becomes an exit code, and nothing is decided.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // quiet hours may name a zone, and a small image has none of its own

	"github.com/imrelay/imrelay/cmd/imrelay/cli"
)

// version is set when a release is linked: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	ctx, stop := untilSignal()
	code := cli.Run(ctx, cli.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Version: version, Hangups: hangups,
	})
	stop()
	os.Exit(code)
}

// untilSignal is a context that ends at the first SIGINT or SIGTERM. After that the signals have their usual effect, so
// that a second one ends the process at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// hangups is the channel of SIGHUPs for a command that reloads. The others are ended by one, as by default.
func hangups() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}
