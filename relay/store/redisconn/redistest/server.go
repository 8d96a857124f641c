// Package redistest runs real Redis servers for tests: each in a folder of its own, gone when the test ends. It knows
// nothing of relays.
package redistest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// upWithin is how long a server may take to answer.
const upWithin = 20 * time.Second

// Server is one redis-server on a unix socket.
type Server struct {
	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
	out  *bytes.Buffer
}

// Start starts a server that loses nothing it has answered for: appendonly yes, appendfsync always. args are further ones,
// and win.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	// A socket's path must be short, and a test's own folder is not.
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatalf("make a folder for redis-server: %v", err)
	}
	s := &Server{t: t, dir: dir, args: args}
	t.Cleanup(func() {
		s.Kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the folder of redis-server: %v", err)
		}
	})
	s.Restart()
	return s
}

// Socket is the path of the server's socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, "s") }

// URL is how the server is named in a configuration. options are what follows the ?, such as "shards=4".
func (s *Server) URL(options string) string {
	u := "unix://" + s.Socket()
	if options != "" {
		u += "?" + options
	}
	return u
}

// Restart starts the server on what its folder holds.
func (s *Server) Restart() {
	s.t.Helper()
	args := append([]string{
		"--port", "0", "--unixsocket", s.Socket(), "--dir", s.dir, "--save", "", "--appendonly", "yes",
		"--appendfsync", "always", "--daemonize", "no", "--loglevel", "warning",
	}, s.args...)
	s.out = new(bytes.Buffer)
	s.cmd = exec.Command("redis-server", args...) //nolint:gosec,noctx // a test's own arguments; Kill ends it
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start redis-server: %v; make test installs it", err)
	}
	s.await()
}

// await returns when the server answers.
func (s *Server) await() {
	s.t.Helper()
	for end := time.Now().Add(upWithin); time.Now().Before(end); {
		if s.ping() {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	s.t.Fatalf("redis-server does not answer: %s", s.out)
}

func (s *Server) ping() bool {
	c, err := net.DialTimeout("unix", s.Socket(), time.Second) //nolint:noctx // bounded by its time-out
	if err != nil {
		return false
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := fmt.Fprint(c, "PING\r\n"); err != nil {
		return false
	}
	reply := make([]byte, 5)
	_, err = c.Read(reply)
	return err == nil && reply[0] == '+'
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

// Freeze stops the server without ending it; Thaw lets it go on.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("signal redis-server: %v", err)
	}
}
