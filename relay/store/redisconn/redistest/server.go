// Package redistest runs real Redis servers for tests, alone, with Sentinels or as a Cluster: each in a folder of its own,
// gone when the test ends. It knows nothing of relays.
package redistest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// upWithin is how long servers may take to answer, or to agree.
	upWithin = 20 * time.Second
	// lookEvery is how often they are asked.
	lookEvery = 5 * time.Millisecond
	// firstPort and lastPort are below those that the system gives to connections, which would take one between our look
	// and the server's start.
	firstPort, lastPort = 20000, 32000
)

// Server is one redis-server.
type Server struct {
	tb   testing.TB
	dir  string
	addr string
	args []string
	cmd  *exec.Cmd
	out  *bytes.Buffer

	mu     sync.Mutex
	client *redis.Client
}

// Start starts a server on a unix socket that loses nothing it has answered for: appendonly yes, appendfsync always. args
// are further ones, and win.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := place(tb)
	s.args = append([]string{"--port", "0"}, args...)
	s.Restart()
	return s
}

// StartTCP starts a server as Start does, which listens on a port of the loopback network as well.
func StartTCP(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := place(tb)
	port := Port(tb)
	s.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.args = append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1"}, args...)
	s.Restart()
	return s
}

// place makes a server's folder and sees to its end.
func place(tb testing.TB) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "redis") //nolint:usetesting // a socket's path must be short, and a test's own folder is not
	if err != nil {
		tb.Fatalf("make a folder for redis-server: %v", err)
	}
	s := &Server{tb: tb, dir: dir}
	tb.Cleanup(func() {
		if err := s.Client().Close(); err != nil {
			tb.Errorf("close the client of redis-server: %v", err)
		}
		s.Kill()
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("remove the folder of redis-server: %v", err)
		}
	})
	return s
}

// Port finds a port of the loopback network on which nobody listens.
func Port(tb testing.TB) int {
	tb.Helper()
	for range 100 {
		port := firstPort + rand.N(lastPort-firstPort)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // it does not wait
		if err == nil {
			l.Close()
			return port
		}
	}
	tb.Fatal("no port is free")
	return 0
}

// Socket is the path of the server's socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, "s") }

// Addr is host:port of a server that listens on one.
func (s *Server) Addr() string { return s.addr }

// URL is how the server is named in a configuration: by its socket. options are what follows the ?, such as "shards=4".
func (s *Server) URL(options string) string { return with("unix://"+s.Socket(), options) }

func with(url, options string) string {
	if options != "" {
		url += "?" + options
	}
	return url
}

// Client is a client of the server, for what a test looks at and sets. It repeats nothing.
func (s *Server) Client() *redis.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		s.client = redis.NewClient(&redis.Options{
			Network: "unix", Addr: s.Socket(), Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
			DialTimeout: time.Second, ReadTimeout: time.Second,
		})
	}
	return s.client
}

// Slow makes the server take a while for each key that it loads, from the next Restart on.
func (s *Server) Slow(key time.Duration) {
	s.args = append(s.args, "--key-load-delay", strconv.FormatInt(key.Microseconds(), 10))
}

// Restart starts the server on what its folder holds.
func (s *Server) Restart() {
	s.tb.Helper()
	s.run(append([]string{
		"--unixsocket", s.Socket(), "--dir", s.dir, "--save", "", "--appendonly", "yes",
		"--appendfsync", "always", "--daemonize", "no", "--loglevel", "warning",
	}, s.args...))
}

func (s *Server) run(args []string) {
	s.tb.Helper()
	s.out = new(bytes.Buffer)
	s.cmd = exec.Command("redis-server", args...) //nolint:noctx // Kill ends it
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatalf("start redis-server: %v; make test installs it", err)
	}
	s.until("redis-server does not answer", s.answers)
}

// until asks again and again.
func (s *Server) until(failure string, ok func() bool) {
	s.tb.Helper()
	for end := time.Now().Add(upWithin); time.Now().Before(end); {
		if ok() {
			return
		}
		<-time.After(lookEvery)
	}
	s.tb.Fatalf("%s: %s", failure, s.out)
}

// answers says whether the server answers anything, were it that it wants a password.
func (s *Server) answers() bool {
	c, err := net.DialTimeout("unix", s.Socket(), time.Second) //nolint:noctx // bounded by its time-out
	if err != nil {
		return false
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	reply := make([]byte, 5)
	_, err = c.Read(reply)
	return err == nil && (reply[0] == '+' || bytes.HasPrefix(reply, []byte("-NOAU")))
}

// Kill ends the server at once, as a crash of it would.
func (s *Server) Kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// field is one field of what the server says of its replication.
func (s *Server) field(name string) string {
	text, err := s.Client().Info(context.Background(), "replication").Result()
	if err != nil {
		return ""
	}
	return line(text, name)
}

// line is what follows "name:" in a text of lines.
func line(text, name string) string {
	for l := range bytes.Lines([]byte(text)) {
		if rest, ok := bytes.CutPrefix(l, []byte(name+":")); ok {
			return string(bytes.TrimSpace(rest))
		}
	}
	return ""
}
