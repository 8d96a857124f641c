//go:build unix

package redisseat_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/seat/redisseat"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

const childURL = "REDISSEAT_TEST_URL"

// TestMain is also the process that is killed or frozen: it sits, and says so.
func TestMain(m *testing.M) {
	url := os.Getenv(childURL)
	if url == "" {
		os.Exit(m.Run())
	}
	conn, err := redisconn.Open(context.Background(), redisconn.Options{URL: secret.New(url)})
	if err != nil {
		os.Exit(2)
	}
	redisseat.New(conn, redisseat.Options{}).Sit(context.Background(), "agent/heron", func(ctx context.Context) {
		say("down")
		<-ctx.Done()
		say("up")
	})
}

func say(word string) {
	if _, err := fmt.Fprintln(os.Stdout, word); err != nil {
		os.Exit(2) // the parent is gone
	}
}

// neighbour is a relay in a process of its own.
type neighbour struct {
	process *os.Process
	down    chan time.Time
	up      chan time.Time
}

func startNeighbour(t *testing.T, url string) neighbour {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childURL+"="+url)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("start the neighbour: %v", err)
	}
	n := neighbour{cmd.Process, make(chan time.Time, 10), make(chan time.Time, 10)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "down" {
				n.down <- time.Now()
			} else {
				n.up <- time.Now()
			}
		}
	}()
	t.Cleanup(func() {
		_ = n.process.Kill()
		<-read
		_ = cmd.Wait()
	})
	return n
}

func (n neighbour) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := n.process.Signal(s); err != nil {
		t.Fatalf("signal the neighbour: %v", err)
	}
}

// TestTakeOver: the seat of a relay that was killed or frozen is another's within 11 s, with the lease that relays have.
// One that goes on after that finds at once that it lost the seat.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "frozen": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := redistest.Start(t).URL("")
			n := startNeighbour(t, url)
			await(t, "neighbour sits down", n.down, 10*time.Second)
			s := sit(t, connect(t, url), redisseat.Options{})
			n.signal(t, sig)
			began := time.Now()
			// It was renewed up to 3 s before, and is looked at once a second.
			if took := await(t, "take over", s.down, 15*time.Second).Sub(began); took < 6*time.Second || took > 11500*time.Millisecond {
				t.Errorf("take over: got it after %v, want 7 s to 11 s", took)
			}
			if sig == syscall.SIGKILL {
				return
			}
			n.signal(t, syscall.SIGCONT)
			began = time.Now()
			if took := await(t, "neighbour finds out", n.up, 5*time.Second).Sub(began); took > time.Second {
				t.Errorf("the frozen one's work ended %v after it went on, want at once", took)
			}
			select {
			case <-n.down:
				t.Error("the frozen one sits beside us")
			case <-s.up:
				t.Error("we lost the seat to the frozen one")
			case <-time.After(2 * time.Second):
			}
		})
	}
}

// TestFrozenRedis: a Redis that does not answer is like one that is not there.
func TestFrozenRedis(t *testing.T) {
	t.Parallel()
	const lease = 3 * time.Second
	server := redistest.Start(t)
	s := sit(t, connect(t, server.URL("")), redisseat.Options{Lease: lease})
	await(t, "sit down", s.down, lease)
	server.Freeze()
	began := time.Now()
	if took := await(t, "end the work", s.up, lease).Sub(began); took < lease*3/10 {
		t.Errorf("work ended after %v, want it to outlast a renewal that fails", took)
	}
	server.Thaw()
	await(t, "sit again", s.down, 2*lease)
}
