package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// passage stands before a Redis and lets everything through, until a move ends.
type passage struct {
	url    string
	redis  string // the socket
	atEnd  func() // once, when Redis has answered the end and nobody has heard of it
	closed atomic.Bool
	once   sync.Once
}

// stand makes a passage; atEnd may close it.
func stand(t *testing.T, server *redistest.Server, atEnd func(p *passage)) *passage {
	t.Helper()
	dir, err := os.MkdirTemp("", "p") //nolint:usetesting // a socket's path has to be short
	if err != nil {
		t.Fatalf("make a folder: %v", err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	p := &passage{url: "unix://" + filepath.Join(dir, "s"), redis: server.Socket()}
	p.atEnd = func() { p.once.Do(func() { atEnd(p) }) }
	var running sync.WaitGroup
	t.Cleanup(func() {
		closeOf(t, l)
		running.Wait()
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the folder: %v", err)
		}
	})
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(t.Context(), client) })
		}
	})
	return p
}

// serve carries one connection until either side ends it.
func (p *passage) serve(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }() // a test that needs it sees it in what the move says
	redis, err := new(net.Dialer).DialContext(ctx, "unix", p.redis)
	if err != nil {
		return
	}
	defer func() { _ = redis.Close() }()
	var ending atomic.Bool
	var requests sync.WaitGroup
	requests.Go(func() {
		p.carry(redis, client, func(request []byte) {
			if bytes.Contains(request, []byte("\r\nend\r\n")) {
				ending.Store(true)
			}
		})
		_ = redis.Close()
	})
	p.carry(client, redis, func([]byte) {
		if ending.Load() {
			p.atEnd()
		}
	})
	_ = client.Close()
	requests.Wait()
}

// carry copies, unless the passage is closed; look sees each piece before it goes on.
func (p *passage) carry(to io.Writer, from io.Reader, look func([]byte)) {
	piece := make([]byte, 1<<16)
	for {
		n, err := from.Read(piece)
		if err != nil {
			return
		}
		look(piece[:n])
		if p.closed.Load() {
			return
		}
		if _, err := to.Write(piece[:n]); err != nil {
			return
		}
	}
}

// TestMoveOfShardsInterruptedAtItsEnd interrupts a move when Redis has done the last step and the move does not know it
// yet. Whatever is said then, no key is lost, also when the move is begun again.
func TestMoveOfShardsInterruptedAtItsEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		atEnd func(p *passage, cancel func())
		want  func(err error) bool
	}{
		{"by its user", func(_ *passage, cancel func()) { cancel() }, func(err error) bool {
			return errors.Is(err, daemon.ErrMoved) && errors.Is(err, context.Canceled)
		}},
		{"by Redis, which is away for a while", func(p *passage, _ func()) {
			p.closed.Store(true)
			time.AfterFunc(2*time.Second, func() { p.closed.Store(false) })
		}, is(nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			from := config.Default()
			from.Redis, from.Dedupe.Window = secret.New(server.URL("")), window
			inRedis(t, server.URL(""), func(g goods) { g.stock(t) })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reached := make(chan struct{})
			p := stand(t, server, func(p *passage) {
				close(reached)
				tt.atEnd(p, cancel)
			})
			_, err := daemon.Move(ctx, daemon.MoveOptions{From: from, To: secret.New(p.url + "?shards=5")})
			if !tt.want(err) {
				t.Errorf("Move: got %v", err)
			}
			select {
			case <-reached:
			default:
				t.Fatal("the move did not come to its end")
			}
			if _, err := daemon.Move(t.Context(), daemon.MoveOptions{From: from, To: secret.New(server.URL("shards=5"))}); err != nil {
				t.Errorf("Move again: %v", err)
			}
			inRedis(t, server.URL("shards=5"), func(g goods) { g.check(t) })
			left, err := server.Client().Keys(t.Context(), "{imrelay:16.*").Result()
			if err != nil || len(left) > 0 {
				t.Errorf("keys of the old layout: got %v, %v, want none", left, err)
			}
		})
	}
}

// TestMoveKeepsWhatWasNotMoved has a mark that names the target's layout although no move has brought anything there.
func TestMoveKeepsWhatWasNotMoved(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	from := config.Default()
	from.Redis, from.Dedupe.Window = secret.New(server.URL("")), window
	inRedis(t, server.URL(""), func(g goods) { g.stock(t) })
	mark := func(shards int) {
		t.Helper()
		if err := server.Client().HSet(t.Context(), "imrelay:store", "shards", shards).Err(); err != nil {
			t.Fatalf("HSET: %v", err)
		}
	}
	mark(5)
	o := daemon.MoveOptions{From: from, To: secret.New(server.URL("shards=5"))}
	if r, err := daemon.Move(t.Context(), o); !mistaken(err) {
		t.Errorf("Move: got %+v, %v, want it refused", r, err)
	}
	mark(16)
	inRedis(t, server.URL(""), func(g goods) { g.check(t) })
}
