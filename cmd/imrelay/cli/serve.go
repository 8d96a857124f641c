package cli

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/cmd/imrelay/doctor"
	"github.com/imrelay/imrelay/cmd/imrelay/term"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	listen, data, level, format string
	insecure                    bool
}

func (a *app) serve() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the relay until it is told to stop",
		Long: `Run the relay. SIGINT or SIGTERM stops it after what is under way is done, a second one at once;
SIGHUP takes over a changed configuration, or refuses it whole. It prints nothing but its log, on stderr.`,
		Args: cobra.NoArgs,
		Example: `  imrelay serve --config imrelay.yaml
  OPENCLAW_WEBHOOK_SECRET=… IM_BOT_TOKEN=… imrelay serve
  imrelay serve --listen 0.0.0.0:8088 --data /var/lib/imrelay`,
	}
	c.Flags().StringVar(&f.listen, "listen", "", "`address` of the API, port 0 for a free one (default 127.0.0.1:8088)")
	dataFlag(c, &f.data)
	c.Flags().StringVar(&f.level, "log-level", "", "`level`: debug, info, warn or error")
	c.Flags().StringVar(&f.format, "log-format", "", "`format`: json or console (default: console on a terminal)")
	insecureFlag(c, &f.insecure)
	complete(c, "log-level", "debug", "info", "warn", "error")
	complete(c, "log-format", "json", "console")
	return does(c, func(ctx context.Context, _ []string) error { return a.runServe(ctx, f) })
}

func (f serveFlags) overrides() []config.Flag {
	flags := overrides("listen", f.listen, "data", f.data)
	if f.level != "" {
		flags = append(flags, config.Flag{Name: "--log-level", Key: "log.level", Value: f.level})
	}
	if f.format != "" {
		flags = append(flags, config.Flag{Name: "--log-format", Key: "log.format", Value: f.format})
	}
	return flags
}

func (a *app) runServe(ctx context.Context, f serveFlags) error {
	o := daemon.Options{Version: describe(a.Version).Version, Insecure: f.insecure}
	cfg, err := a.loadAll(o, f.overrides()...)
	if err != nil {
		return err
	}
	log, level, closeLog, err := daemon.NewLogger(cfg.Log, a.Stderr, term.IsTerminal(a.Stderr))
	if err != nil {
		return err
	}
	defer func() { _ = closeLog() }() // nothing can be logged about it any more
	o.Log, o.Level = log, level
	d, err := daemon.New(ctx, cfg, o)
	if err != nil && ctx.Err() != nil {
		return nil // it was told to stop before it had begun
	}
	if err != nil {
		return startFailure(cfg, err)
	}
	stop := a.reloads(d, log, func() (config.Config, error) { return a.loadAll(o, f.overrides()...) })
	err = d.Run(ctx)
	stop()
	return errors.Join(err, d.Close())
}

// startFailure says what to do about a start that failed.
func startFailure(cfg config.Config, err error) error {
	if f := lockedFailure(err); f != nil {
		return f
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return failed(fmt.Errorf("%s is taken%s", cfg.Listen, doctor.HolderOf(context.Background(), cfg.Listen)), "stop that process, or choose another address with --listen")
	case errors.Is(err, syscall.EACCES):
		return failed(err, "run as a user who may do that, or choose another --data or --listen")
	}
	return err
}

// reloads takes the configuration over at each SIGHUP until the returned function is called, which waits for one under
// way. A bad one is refused whole: the old one stays.
func (a *app) reloads(d *daemon.Daemon, log *zap.Logger, load func() (config.Config, error)) (stop func()) {
	if a.Hangups == nil {
		return func() {}
	}
	hangups, stopped, done := a.Hangups(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stopped:
				return
			case <-hangups:
			}
			cfg, err := load()
			if err == nil {
				err = d.Reload(cfg)
			}
			if err != nil {
				log.Error("configuration refused, the old one stays", zap.String("event", "relay.reload_refused"),
					zap.Error(err))
			}
		}
	}()
	return func() { close(stopped); <-done }
}
