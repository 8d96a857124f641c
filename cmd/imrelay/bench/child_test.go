package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/daemon"
)

// The relay's secrets in all runs.
const (
	agentSecret = "bench-agent-secret-4f1c"
	botToken    = "bench-bot-token-93ab"
)

// patience is how long a process may take to start or stop.
const patience = 30 * time.Second

// child is a process of ours.
type child struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// start runs a command in a folder of its own; the process ends with the test at the latest.
func start(tb testing.TB, dir string, cmd *exec.Cmd) *child {
	tb.Helper()
	c := &child{cmd: cmd, log: filepath.Join(dir, "stderr"), ended: make(chan struct{})}
	f, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	cmd.Dir, cmd.Stderr = dir, f
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(c.ended)
	}()
	tb.Cleanup(c.stop)
	return c
}

// stop ends the process, gently if it lets us, and waits for its end.
func (c *child) stop() {
	if runtime.GOOS == "windows" {
		_ = c.cmd.Process.Kill()
	} else {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-c.ended:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
}

// await polls until the process is ready.
func (c *child) await(tb testing.TB, ready func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !ready(); {
		select {
		case <-c.ended:
			tb.Fatalf("%s ended before it was ready: %s", filepath.Base(c.cmd.Path), textOf(c.log))
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s is not ready: %s", filepath.Base(c.cmd.Path), textOf(c.log))
		}
	}
}

// server is what takes the requests: the relay, or what it is compared with.
type server struct {
	name string
	addr string
	pids []int
	// stores are the processes behind it that keep its data.
	stores []int
	// signs says that it signs what it passes on.
	signs bool
}

// relay is a running imrelay.
type relay struct {
	server
	child *child
	token string
	dir   string
	tb    testing.TB
	// command makes the command that starts it.
	command func() *exec.Cmd
	// ready is how long it took from the start of the process to readiness.
	ready time.Duration
}

// program builds imrelay once a process.
var program = sync.OnceValues(func() (string, error) {
	out := filepath.Join(scratch, "imrelay")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build imrelay: %w: %s", err, b)
	}
	return out, nil
})

// startRelay starts the built program on an empty data folder, or on a Redis.
func startRelay(tb testing.TB, s *sink, b *backing) *relay {
	tb.Helper()
	path, err := program()
	if err != nil {
		tb.Fatal(err)
	}
	r := launch(tb, tb.TempDir(), func() *exec.Cmd {
		cmd := exec.CommandContext(context.Background(), path, "serve")
		cmd.Env = b.env()
		return cmd
	}, s)
	r.stores = b.pids
	return r
}

// launch starts a relay on a folder; command makes the command without its environment.
func launch(tb testing.TB, dir string, command func() *exec.Cmd, s *sink) *relay {
	tb.Helper()
	cmd := command()
	cmd.Env = append(cmd.Env,
		"PATH="+os.Getenv("PATH"), "HOME="+dir, "TMPDIR="+dir,
		"IMRELAY_LISTEN=127.0.0.1:0", "IMRELAY_DATA="+filepath.Join(dir, "data"),
		"OPENCLAW_WEBHOOK_URL=http://"+s.addr+"/wechat_abot/webhook", "OPENCLAW_WEBHOOK_SECRET="+agentSecret,
		"IM_BOT_TOKEN="+botToken, "IM_SEND_URL=http://"+s.addr+"/send", "IM_SEND_TOKEN=bench-im-token-07de",
	)
	r := &relay{dir: dir, tb: tb, command: command}
	began := time.Now()
	r.child = start(tb, dir, cmd)
	r.child.await(tb, func() bool {
		run, err := daemon.ReadRunFile(filepath.Join(dir, "data"))
		if err != nil || run.PID != cmd.Process.Pid {
			return false
		}
		r.addr, r.token = strings.TrimPrefix(run.URL, "http://"), run.AdminToken
		return r.ask(http.MethodGet, "/readyz", "") == nil
	})
	r.ready = time.Since(began)
	r.name, r.pids, r.signs = "imrelay", []int{cmd.Process.Pid}, true
	return r
}

// again stops the relay and starts it on the same data.
func (r *relay) again(s *sink) *relay {
	r.tb.Helper()
	r.child.stop()
	next := launch(r.tb, r.dir, r.command, s)
	next.stores = r.stores
	return next
}

// caller is for the few calls that are not measured.
var caller = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// ask makes a call that must be answered with 200.
func (r *relay) ask(method, path, body string) error {
	req, err := http.NewRequestWithContext(context.Background(), method, "http://"+r.addr+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := caller.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: got status %d: %s", method, path, resp.StatusCode, answer)
	}
	return nil
}

// pause holds the agent; resume lets it go on.
func (r *relay) pause()  { r.mustAsk("/api/admin/pause") }
func (r *relay) resume() { r.mustAsk("/api/admin/resume") }

func (r *relay) mustAsk(path string) {
	r.tb.Helper()
	if err := r.ask(http.MethodPost, path, `{"agent":"openclaw"}`); err != nil {
		r.tb.Fatal(err)
	}
}

// startRival starts what the relay is compared with in front of the sink: nginx, or the floor where there is none.
func startRival(tb testing.TB, s *sink) server {
	tb.Helper()
	if path := nginxPath(); path != "" {
		return startNginx(tb, path, s)
	}
	return startFloor(tb, s)
}

// startFloor starts the proxy that stands in for nginx.
func startFloor(tb testing.TB, s *sink) server {
	tb.Helper()
	addr := freeAddr(tb)
	cmd := reexec("floor", addr, s.addr)
	c := start(tb, tb.TempDir(), cmd)
	c.await(tb, func() bool { return reachable(addr) })
	return server{name: "floor", addr: addr, pids: []int{cmd.Process.Pid}}
}

// nginxPath is where nginx is; empty: nowhere.
func nginxPath() string {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

const nginxConfig = `
worker_processes 2;
daemon off;
pid nginx.pid;
error_log stderr;
events { worker_connections 2048; }
http {
  access_log off;
  client_max_body_size 4m;
  client_body_buffer_size 256k;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  keepalive_requests 1000000000;
  upstream sink {
    server SINK;
    keepalive 512;
    keepalive_requests 1000000000;
  }
  server {
    listen LISTEN backlog=1024;
    location / {
      proxy_pass http://sink;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`

// startNginx starts an nginx of our own, which passes everything on to the sink.
func startNginx(tb testing.TB, path string, s *sink) server {
	tb.Helper()
	dir, addr := tb.TempDir(), freeAddr(tb)
	text := strings.NewReplacer("SINK", s.addr, "LISTEN", addr).Replace(nginxConfig)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), path, "-p", dir, "-c", file, "-e", "stderr")
	c := start(tb, dir, cmd)
	c.await(tb, func() bool { return reachable(addr) && len(childrenOf(cmd.Process.Pid)) == 2 })
	return server{name: "nginx", addr: addr, pids: append(childrenOf(cmd.Process.Pid), cmd.Process.Pid)}
}

// freeAddr is an address on which nobody listens.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// dial connects to one of ours.
func dial(addr string) (net.Conn, error) {
	return (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp", addr)
}

func reachable(addr string) bool {
	c, err := dial(addr)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
