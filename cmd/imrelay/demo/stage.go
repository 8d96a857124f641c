package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

// callTimeout bounds each call of the players.
const callTimeout = 20 * time.Second

// drain is how long the relay may take to end.
const drain = 2 * time.Second

// stage is the relay and the players round it.
type stage struct {
	dir      string
	recorder *recorder
	agent    *echo
	im       *wechat
	daemon   *daemon.Daemon
	http     *http.Client
	next     uint64
	now      int64

	undo []func() error
}

// newStage starts everything, or undoes what it started.
func newStage(ctx context.Context, o Options) (*stage, error) {
	dir, err := os.MkdirTemp("", "imrelay-demo-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	s := &stage{dir: dir, recorder: newRecorder(), http: &http.Client{Timeout: callTimeout}, now: time.Now().Unix()}
	// Ids beyond 2^53, as WeChat's are: who reads them as floating point numbers mixes them up.
	s.next = 7_265_419_038_812_340_000 + uint64(s.now%100_000)*10 //nolint:gosec // the time is positive
	if err := s.build(ctx, o); err != nil {
		return nil, errors.Join(err, s.close(false))
	}
	return s, nil
}

func (s *stage) build(ctx context.Context, o Options) error {
	key := rand.Text()
	verifier, err := signer.NewVerifier(signer.KindOpenClaw, key)
	if err != nil {
		return err
	}
	s.agent = &echo{recorder: s.recorder, verifier: verifier, token: rand.Text(), http: s.http}
	if err := s.agent.start(ctx); err != nil {
		return err
	}
	s.undo = append(s.undo, s.agent.stop)
	s.im = &wechat{recorder: s.recorder, http: s.http, next: s.next + 1_000_000}
	if err := s.im.start(ctx); err != nil {
		return err
	}
	s.undo = append(s.undo, s.im.server.Close)
	if err := os.WriteFile(s.config(), s.yaml(key), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return s.relay(ctx, o)
}

// relay starts the real thing. Nothing of the environment is read: what is set there is meant for another relay.
func (s *stage) relay(ctx context.Context, o Options) error {
	cfg, err := config.Load(s.config(), func(string) (string, bool) { return "", false })
	if err != nil {
		return err
	}
	log, level, closeLog, err := daemon.NewLogger(cfg.Log, io.Discard, false)
	if err != nil {
		return err
	}
	s.undo = append(s.undo, closeLog)
	s.daemon, err = daemon.New(ctx, cfg, daemon.Options{Log: log, Level: level, Version: o.Version, Drain: drain})
	if err != nil {
		return err
	}
	s.agent.relayURL, s.im.relayURL = s.daemon.URL(), s.daemon.URL()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var ended sync.WaitGroup
	var failed error
	ended.Go(func() { failed = s.daemon.Run(running) })
	s.undo = append(s.undo, func() error {
		stop()
		ended.Wait()
		return errors.Join(failed, s.daemon.Close())
	})
	return nil
}

// yaml is the relay's configuration. It waits and retries sooner than by default, so that nobody has to watch it wait.
func (s *stage) yaml(key string) []byte {
	return fmt.Appendf(nil, `listen: 127.0.0.1:0
data: %q
log: {level: debug, format: json, file: %q}
inbound: {wait: 500ms}
ims:
  wechat:
    format: wechat
    self: %s
    filter: '!group || mentioned'
    send: {kind: http, url: %q, timeout: 5s}
agents:
  echo:
    kind: openclaw
    url: %q
    secret: %q
    retry: {base: 250ms, cap: 1s}
clients:
  echo: {token: %q}
`, filepath.Join(s.dir, "data"), s.log(), self, s.im.url(), s.agent.url(), key, s.agent.token)
}

func (s *stage) config() string { return filepath.Join(s.dir, "imrelay.yaml") }

func (s *stage) log() string { return filepath.Join(s.dir, "relay.log") }

// close undoes everything, the last first. The folder stays when keep says so.
func (s *stage) close(keep bool) error {
	var errs []error
	for _, undo := range slices.Backward(s.undo) {
		errs = append(errs, undo())
	}
	if !keep {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// write makes a new message.
func (s *stage) write(from, text string) message {
	s.next++
	return message{id: s.next, from: from, text: text, created: s.now}
}

// settled waits until the relay has nothing on its way: an agent has answered before it says 200, so the relay may still
// be booking what the IM has already seen.
func (s *stage) settled(ctx context.Context) (httpapi.AgentCounts, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		c, err := s.counts(ctx)
		if err != nil || c.Queued+c.Delivering+c.Parked == 0 {
			return c, err
		}
		select {
		case <-ctx.Done():
			return c, fmt.Errorf("settle: %w", ctx.Err())
		case <-look.C:
		}
	}
}

// counts asks the relay how many events it has, by the admin API, as a command would.
func (s *stage) counts(ctx context.Context) (httpapi.AgentCounts, error) {
	run, err := daemon.ReadRunFile(filepath.Join(s.dir, "data"))
	if err != nil {
		return httpapi.AgentCounts{}, err
	}
	agents, err := httpapi.NewClient(run.URL, secret.New(run.AdminToken), s.http).Agents(ctx)
	if err != nil || len(agents) == 0 {
		return httpapi.AgentCounts{}, errors.Join(err, queue.ErrUnavailable)
	}
	return agents[0].Counts, nil
}
