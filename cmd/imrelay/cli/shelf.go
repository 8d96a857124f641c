package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/secret"
)

// How long a command waits for a relay.
const (
	askTimeout  = 30 * time.Second
	helloWait   = 2 * time.Second
	sendTimeout = 5 * time.Minute
)

// shelf is where events are looked at and mended: a running relay, or the store of a stopped one.
type shelf interface {
	Get(ctx context.Context, id string) (queue.Job, error)
	List(ctx context.Context, f queue.Filter) (queue.Page, error)
	queue.Mender
}

// openShelf finds the relay on the configured data folder, or opens the folder's store. close gives the store back.
func (a *app) openShelf(ctx context.Context, data string) (s shelf, closeShelf func() error, err error) {
	cfg, err := a.load(overrides("data", data)...)
	if err != nil {
		return nil, nil, err
	}
	run, err := running(ctx, cfg)
	if err == nil {
		c := httpapi.NewClient(run.URL, secret.New(run.AdminToken), &http.Client{Timeout: askTimeout})
		return c, func() error { return nil }, nil
	}
	if !errors.Is(err, daemon.ErrNotRunning) {
		return nil, nil, err
	}
	if _, err := os.Stat(cfg.Data); cfg.Redis.IsZero() && errors.Is(err, os.ErrNotExist) {
		return nil, nil, notRunning(cfg)
	}
	store, err := daemon.OpenStore(ctx, cfg, zap.NewNop())
	if err != nil {
		if f := lockedFailure(err); f != nil {
			return nil, nil, f
		}
		err = fmt.Errorf("open the store of a stopped relay: %w", err)
		if _, mistake := errors.AsType[*config.Error](err); !mistake && !cfg.Redis.IsZero() {
			return nil, nil, failed(err, "start Redis, or let imrelay doctor look at it")
		}
		return nil, nil, err
	}
	return store, store.Close, nil
}

// running returns what the relay on the data folder says of itself, after asking whether it is there: a run file may
// have been left behind, and its pid be somebody else's by now.
func running(ctx context.Context, cfg config.Config) (daemon.RunFile, error) {
	run, err := daemon.ReadRunFile(cfg.Data)
	if err != nil {
		return run, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, run.URL+"/healthz", nil)
	if err != nil {
		return run, fmt.Errorf("read run file: %w", err)
	}
	resp, err := (&http.Client{Timeout: helloWait}).Do(req)
	if err != nil {
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return run, fmt.Errorf("the relay (process %d) does not answer", run.PID)
		}
		return run, daemon.ErrNotRunning
	}
	resp.Body.Close()
	return run, nil
}

// notRunning is the failure of a command that needs a relay.
func notRunning(cfg config.Config) *failure {
	return &failure{
		code: codeNotRunning, what: "no relay is running on " + cfg.Data,
		hint: "start it with imrelay serve, or name its folder with --data or --config", err: daemon.ErrNotRunning,
	}
}

// lockedFailure is the failure for a store that another process holds, or nil.
func lockedFailure(err error) *failure {
	locked, ok := errors.AsType[*daemon.LockedError](err)
	if !ok {
		return nil
	}
	hint := "stop that process first, or use another folder with --data"
	return &failure{code: codeLocked, what: locked.Error(), hint: hint, err: err}
}

// recent lists events of the running relay.
func (a *app) recent(ctx context.Context, data string, f queue.Filter) (queue.Page, error) {
	cfg, err := a.load(overrides("data", data)...)
	if err != nil {
		return queue.Page{}, err
	}
	run, err := running(ctx, cfg)
	if err != nil {
		return queue.Page{}, err
	}
	return httpapi.NewClient(run.URL, secret.New(run.AdminToken), &http.Client{Timeout: helloWait}).List(ctx, f)
}
