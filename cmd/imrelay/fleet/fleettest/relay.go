// Package fleettest is what the tests of whole relays share: the program as a child process that can be killed, frozen and
// started again, a producer that feeds several of them, an agent and an IM that remember, and the checks of what was
// promised. It breaks nothing by itself and knows no store: a test says where Redis is, and does the harm.
package fleettest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/daemon"
)

// Patience is how long a test waits for what must come.
const Patience = 30 * time.Second

// Program is the command that a test binary must be when it is called by that name: [Main] sees to it.
const Program = "imrelay"

// Options say what a relay is like.
type Options struct {
	// Name tells relays apart, in the agent's records and in logs.
	Name string
	// AgentURL is where events go. The agent sees the relay's name after it.
	AgentURL string
	// IMURL is where sends go.
	IMURL string
	// Redis is the URL of the store; empty: the embedded one.
	Redis string
	// Secret is what the agent's secret is; the bot's token is made of it.
	Secret string
	// Config is a configuration file's text; empty: the environment alone. There ${AGENT}, ${SECRET}, ${BOT} and ${IM} are
	// set.
	Config string
	// Env are further variables of its environment.
	Env []string
}

// Relay is a relay in a process of its own. What is done to the process is for one goroutine; asking is for any.
type Relay struct {
	Options

	tb  testing.TB
	dir string
	env []string
	cmd *exec.Cmd
	log *os.File
	// ended is closed when the process is gone.
	ended chan struct{}
	// slowest is the longest time from a start until it was ready.
	slowest time.Duration

	mu  sync.Mutex
	run daemon.RunFile
}

// New prepares a relay with a data folder of its own. It is gone when the test ends, and its log is shown if that failed.
func New(tb testing.TB, o Options) *Relay {
	tb.Helper()
	dir := tb.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	r := &Relay{Options: o, tb: tb, dir: dir, log: log}
	r.env = append(r.env,
		"PATH="+os.Getenv("PATH"), "HOME="+dir, "TMPDIR="+dir, "NO_PROXY=*",
		"IMRELAY_LISTEN=127.0.0.1:0", "IMRELAY_DATA="+r.Data(), "IMRELAY_REDIS="+o.Redis,
	)
	agent := strings.TrimSuffix(o.AgentURL+"/"+o.Name, "/")
	if o.Config == "" {
		r.env = append(r.env, "OPENCLAW_WEBHOOK_URL="+agent, "OPENCLAW_WEBHOOK_SECRET="+o.Secret, "IM_BOT_TOKEN="+r.botToken(),
			"IM_SEND_URL="+o.IMURL)
	} else {
		path := filepath.Join(dir, "config.yaml")
		if err := os.WriteFile(path, []byte(o.Config), 0o600); err != nil {
			tb.Fatal(err)
		}
		r.env = append(r.env, "IMRELAY_CONFIG="+path, "AGENT="+agent, "SECRET="+o.Secret, "BOT="+r.botToken(), "IM="+o.IMURL)
	}
	r.env = append(r.env, o.Env...)
	tb.Cleanup(func() {
		r.Kill()
		log.Close()
		if tb.Failed() {
			r.tail()
		}
	})
	return r
}

// Data is the relay's data folder.
func (r *Relay) Data() string { return filepath.Join(r.dir, "data") }

func (r *Relay) botToken() string { return r.Secret + "-bot" }

// URL is where the relay was when it was last ready; empty: it never was. Each start has an address of its own.
func (r *Relay) URL() string {
	url, _ := r.where()
	return url
}

// Log is what the relay has written to its log, over all its starts.
func (r *Relay) Log() ([]byte, error) { return os.ReadFile(r.log.Name()) }

// tail shows the end of the relay's log.
func (r *Relay) tail() {
	const most = 4000
	b, err := os.ReadFile(r.log.Name())
	if err != nil {
		r.tb.Logf("no log: %v", err)
		return
	}
	r.tb.Logf("end of the log of relay %q:\n%s", r.Name, b[max(0, len(b)-most):])
}

// Start starts the relay and waits until it is ready.
func (r *Relay) Start() {
	r.tb.Helper()
	r.Launch()
	began := time.Now()
	if err := r.AwaitReady(); err != nil {
		r.tb.Fatal(err)
	}
	r.slowest = max(r.slowest, time.Since(began))
}

// Launch starts the relay and does not wait for it.
func (r *Relay) Launch() {
	r.tb.Helper()
	r.cmd = exec.Command(Program, "serve") //nolint:noctx // it is killed by hand: that is the test
	r.cmd.Env, r.cmd.Stderr = r.env, r.log
	if err := r.cmd.Start(); err != nil {
		r.tb.Fatal(err)
	}
	ended := make(chan struct{})
	r.ended = ended
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() // "signal: killed" is what most are asked for
		close(ended)
	}(r.cmd)
}

// AwaitReady waits until the relay is ready.
func (r *Relay) AwaitReady() error {
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); {
		if run, err := daemon.ReadRunFile(r.Data()); err == nil && run.PID == r.cmd.Process.Pid {
			r.mu.Lock()
			r.run = run
			r.mu.Unlock()
			if r.Ready() {
				return nil
			}
		}
		select {
		case <-r.ended:
			return fmt.Errorf("relay %q ended before it was ready", r.Name)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("relay %q never got ready", r.Name)
}

// Kill ends the relay as a power cut would, but for what the system's own caches keep.
func (r *Relay) Kill() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill() // it fails only when the process is gone
	<-r.ended
	r.cmd = nil
}

// Slowest is the longest time from a start until the relay was ready.
func (r *Relay) Slowest() time.Duration { return r.slowest }

// where is where the relay is, and its admin token; both are empty before the first start.
func (r *Relay) where() (url, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.run.URL, r.run.AdminToken
}
