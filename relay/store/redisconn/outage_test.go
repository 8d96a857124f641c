//go:build unix

package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

const (
	// callWithin bounds a call, on a machine that has time for it.
	callWithin = time.Second
	// backWithin is when calls must succeed again.
	backWithin = time.Second
)

// lag is how late a timer may be on this machine, which others use as well.
type lag struct{ worst atomic.Int64 }

func watchLag(tb testing.TB) *lag {
	tb.Helper()
	l, ctx := &lag{}, tb.Context()
	go func() {
		const step = 5 * time.Millisecond
		for ctx.Err() == nil {
			start := time.Now()
			<-time.After(step)
			l.worst.Store(max(l.worst.Load(), int64(time.Since(start)-step)))
		}
	}()
	return l
}

// check fails the test when a call took longer than the machine explains.
func (l *lag) check(tb testing.TB, took time.Duration, err error) {
	tb.Helper()
	if most := callWithin + 4*time.Duration(l.worst.Load()); took > most {
		tb.Errorf("a call took %v (%v), want at most %v", took, err, most)
	}
}

// away calls until a call fails as it should, and checks each one's time.
func away(tb testing.TB, c *redisconn.Conn, call redisconn.Call) {
	tb.Helper()
	busy := watchLag(tb)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		start := time.Now()
		_, err := c.Do(context.Background(), call)
		busy.check(tb, time.Since(start), err)
		if errors.Is(err, redisconn.ErrUnavailable) {
			return
		}
		if err != nil {
			tb.Fatalf("got %v, want ErrUnavailable", err)
		}
	}
	tb.Fatal("no call fails")
}

// back calls until a call succeeds and returns how long it took.
func back(tb testing.TB, c *redisconn.Conn, call redisconn.Call) time.Duration {
	tb.Helper()
	busy := watchLag(tb)
	start := time.Now()
	for {
		_, err := c.Do(context.Background(), call)
		took := time.Since(start)
		if err == nil {
			return took
		}
		if !errors.Is(err, redisconn.ErrUnavailable) {
			tb.Fatalf("got %v, want ErrUnavailable or a reply", err)
		}
		if took > backWithin+10*time.Duration(busy.worst.Load()) {
			tb.Fatalf("no reply %v after Redis is back, want one within %v: %v", took, backWithin, err)
		}
	}
}

// TestOutages takes Redis away in every way there is, and gives it back.
func TestOutages(t *testing.T) {
	t.Parallel()
	set := func(key, value string) func(*testing.T, *redistest.Server) {
		return func(t *testing.T, s *redistest.Server) {
			if err := s.Client().ConfigSet(t.Context(), key, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	command := func(args ...any) func(*testing.T, *redistest.Server) {
		return func(t *testing.T, s *redistest.Server) {
			if err := s.Client().Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		away, back func(*testing.T, *redistest.Server)
	}{
		"killed": {
			func(_ *testing.T, s *redistest.Server) { s.Kill() },
			func(_ *testing.T, s *redistest.Server) { s.Restart() },
		},
		"frozen": {
			func(_ *testing.T, s *redistest.Server) { s.Freeze() },
			func(_ *testing.T, s *redistest.Server) { s.Thaw() },
		},
		"read-only":                 {command("REPLICAOF", "127.0.0.1", "1"), command("REPLICAOF", "NO", "ONE")},
		"too few replicas":          {set("min-replicas-to-write", "1"), set("min-replicas-to-write", "0")},
		"full":                      {set("maxmemory", "1"), set("maxmemory", "0")},
		"no permission":             {command("ACL", "SETUSER", "default", "-evalsha"), command("ACL", "SETUSER", "default", "+evalsha")},
		"no permission in a script": {command("ACL", "SETUSER", "default", "-time"), command("ACL", "SETUSER", "default", "+time")},
		"another password":          {command("ACL", "SETUSER", "default", "-@all", "+acl"), command("ACL", "SETUSER", "default", "+@all")},
		"its master is off":         {downReplica, command("REPLICAOF", "NO", "ONE")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			conn := open(t, s.URL(""))
			call := redisconn.Call{Script: count, Shard: conn.Shards()[0]}
			do(t, conn, count)
			c.away(t, s)
			away(t, conn, call)
			if err := conn.Ready(t.Context()); !errors.Is(err, redisconn.ErrUnavailable) {
				t.Errorf("ready while it is away: got %v, want ErrUnavailable", err)
			}
			away(t, conn, call)
			c.back(t, s)
			t.Logf("back after %v", back(t, conn, call))
			if err := conn.Ready(t.Context()); err != nil {
				t.Errorf("ready when it is back: %v", err)
			}
		})
	}
}

func downReplica(t *testing.T, s *redistest.Server) {
	t.Helper()
	if err := s.Client().ConfigSet(t.Context(), "replica-serve-stale-data", "no").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
}

// TestLoading restarts a server that takes a while to read what it has.
func TestLoading(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--key-load-delay", "0")
	ctx := t.Context()
	for i := range 1000 {
		if err := s.Client().Set(ctx, fmt.Sprint(i), "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	conn := open(t, s.URL(""))
	if err := s.Client().BgRewriteAOF(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	for rewriting := true; rewriting; {
		text, err := s.Client().Info(ctx, "persistence").Result()
		if err != nil {
			t.Fatal(err)
		}
		rewriting = strings.Contains(text, "aof_rewrite_in_progress:1") || strings.Contains(text, "aof_rewrite_scheduled:1")
	}
	s.Kill()
	s.Slow(time.Millisecond)
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		s.Restart()
	}()
	call := redisconn.Call{Script: count, Shard: conn.Shards()[0]}
	away(t, conn, call)
	<-restarted
	back(t, conn, call)
}

// TestNobodyAnswersAConnect opens where connects get no answer at all: the queue of those that nobody accepts is full.
func TestNobodyAnswersAConnect(t *testing.T) {
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for full := false; !full; {
		c, err := (&net.Dialer{Timeout: 100 * time.Millisecond}).DialContext(t.Context(), "tcp", addr)
		if full = err != nil; !full {
			t.Cleanup(func() { c.Close() })
		}
	}
	for _, url := range []string{"redis://" + addr, "redis+cluster://" + addr, "redis+sentinel://" + addr + "/m"} {
		start := time.Now()
		err = tryOpen(t, optionsOf(url))
		if took := time.Since(start); !errors.Is(err, redisconn.ErrUnavailable) || took > 3*callWithin {
			t.Errorf("open %s: got %v after %v, want ErrUnavailable soon", url, err, took)
		}
	}
}

// TestManyCallersNoStorm takes the server away from many callers: connects are few, calls are bounded, and each one that
// got a reply was done.
func TestManyCallersNoStorm(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	door := newDoor(t, s.Socket)
	conn := open(t, "redis://"+door.addr)
	busy := watchLag(t)
	stop := make(chan struct{})
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				start := time.Now()
				_, err := conn.Do(context.Background(), redisconn.Call{Script: count, Shard: conn.Shards()[0]})
				busy.check(t, time.Since(start), err)
				switch {
				case err == nil:
					done.Add(1)
				case errors.Is(err, redisconn.ErrUnavailable):
					failed.Add(1)
				default:
					t.Errorf("got %v, want ErrUnavailable or a reply", err)
				}
			}
		})
	}
	// Single commands are not the lanes'.
	for range 16 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := conn.Publish(context.Background(), "news", "x"); err != nil && !errors.Is(err, redisconn.ErrUnavailable) {
					t.Errorf("publish: got %v, want ErrUnavailable or nothing", err)
				}
				pause(t, time.Millisecond)
			}
		})
	}
	pause(t, 200*time.Millisecond)
	door.shut()
	before := door.knocks.Load()
	pause(t, 1500*time.Millisecond)
	knocks := door.knocks.Load() - before
	door.open()
	back(t, conn, redisconn.Call{Script: count, Shard: conn.Shards()[0]})
	close(stop)
	wg.Wait()
	t.Logf("%d calls done, %d failed, %d connects in 1.5 s", done.Load(), failed.Load(), knocks)
	if knocks > 60 {
		t.Errorf("%d connects in 1.5 s, want at most 60", knocks)
	}
	if failed.Load() == 0 {
		t.Error("no call failed: the server was not away")
	}
	n, err := s.Client().Get(t.Context(), conn.Shards()[0].Key("n")).Int64()
	if err != nil || n < done.Load() {
		t.Errorf("counted %d (%v), want at least the %d calls that had a reply", n, err, done.Load())
	}
}

// TestAReadOnlyConnectionIsDropped moves a name from a server that became a replica to the new master, as a load balancer
// does. The old connections stay open and good for reading.
func TestAReadOnlyConnectionIsDropped(t *testing.T) {
	t.Parallel()
	old, now := redistest.Start(t), redistest.Start(t)
	var target atomic.Pointer[redistest.Server]
	target.Store(old)
	door := newDoor(t, func() string { return target.Load().Socket() })
	conn := open(t, "redis://"+door.addr)
	read := redisconn.NewScript("read", `return redis.call('GET', KEYS[1] .. 'n') or ''`)
	heard := make(chan string, 1000)
	conn.Subscribe("news", func(m string) { heard <- m })
	// Several connections, and pipelines whose first command is no write: go-redis alone would keep those.
	mixed := func() error {
		var wg sync.WaitGroup
		errs := make(chan error, 64)
		for i := range 64 {
			script := read
			if i%2 == 1 {
				script = count
			}
			wg.Go(func() {
				_, err := conn.Do(context.Background(), redisconn.Call{Script: script, Shard: conn.Shards()[0]})
				errs <- err
			})
		}
		wg.Wait()
		close(errs)
		var first error
		for err := range errs {
			first = errors.Join(first, err)
		}
		return first
	}
	if err := mixed(); err != nil {
		t.Fatal(err)
	}
	if err := old.Client().Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	target.Store(now)
	start := time.Now()
	if err := mixed(); err != nil {
		t.Errorf("calls after the name moved: got %v, want replies of the new master within the calls' time", err)
	}
	t.Logf("on the new master after %v", time.Since(start))
	if n, err := now.Client().Get(t.Context(), conn.Shards()[0].Key("n")).Int64(); err != nil || n < 32 {
		t.Errorf("the new master counted %d (%v), want the 32 writes", n, err)
	}
	eventually(t, "only the test's own connection to the old master is left", func() bool {
		list, err := old.Client().ClientList(t.Context()).Result()
		return err == nil && strings.Count(list, "\n") == 1
	})
	eventually(t, "messages come from the new master", func() bool {
		if err := conn.Publish(t.Context(), "news", "x"); err != nil {
			t.Errorf("publish: %v", err)
		}
		select {
		case <-heard:
			return true
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
}

// TestEmptiedUnderLoad removes the scripts and then all data while calls run.
func TestEmptiedUnderLoad(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	conn := open(t, s.URL("shards=4"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := conn.Do(context.Background(), redisconn.Call{Script: count, Shard: conn.Shards()[i%4]}); err != nil {
					t.Errorf("while Redis is emptied: %v", err)
					return
				}
			}
		})
	}
	for range 20 {
		if err := s.Client().ScriptFlush(t.Context()).Err(); err != nil {
			t.Error(err)
		}
		pause(t, 5*time.Millisecond)
	}
	if err := s.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	close(stop)
	wg.Wait()
	eventually(t, "the mark of the store is written again", func() bool {
		got, err := s.Client().HGet(t.Context(), "imrelay:store", "shards").Result()
		return err == nil && got == "4"
	})
}

// TestWaitReplicas has a replica that stops.
func TestWaitReplicas(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	conn := open(t, s.Servers[0].URL("wait_replicas=1"))
	sync := redisconn.Call{Script: count, Shard: conn.Shards()[0], Sync: true}
	busy := watchLag(t)
	back(t, conn, sync) // the replica may be busy at first
	s.Servers[1].Freeze()
	start := time.Now()
	held := make(chan error, 1)
	go func() {
		_, err := conn.Do(context.Background(), sync)
		held <- err
	}()
	for range 20 {
		do(t, conn, count)
	}
	if took := time.Since(start); took > 400*time.Millisecond+20*time.Duration(busy.worst.Load()) {
		t.Errorf("calls that wait for no replica took %v beside one that does, want less", took)
	}
	err := <-held
	busy.check(t, time.Since(start), err)
	if !errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("with a frozen replica: got %v, want ErrUnavailable", err)
	}
	s.Servers[1].Thaw()
	back(t, conn, sync)
}

// TestSubscriptionsComeBack restarts the server.
func TestSubscriptionsComeBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	conn, other := open(t, s.URL("")), open(t, s.URL(""))
	heard := make(chan string, 1000)
	conn.Subscribe("news", func(m string) { heard <- m })
	if err := other.Publish(t.Context(), "news", "first"); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "first" {
		t.Errorf("heard %q, want the first message", got)
	}
	s.Kill()
	if err := other.Publish(t.Context(), "news", "nobody"); !errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("publish while Redis is away: got %v, want ErrUnavailable", err)
	}
	s.Restart()
	eventually(t, "messages are heard again", func() bool {
		_ = other.Publish(context.Background(), "news", "again")
		select {
		case m := <-heard:
			return m == "again"
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
}

// door is a TCP server in front of another one. It can be shut: who knocks then is sent away, and who was inside as well.
type door struct {
	addr   string
	knocks atomic.Int64

	mu     sync.Mutex
	shutIt bool
	inside []net.Conn
}

// newDoor opens one; socket says where whoever knocks is led to.
func newDoor(tb testing.TB, socket func() string) *door {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	d := &door{addr: l.Addr().String()}
	tb.Cleanup(func() {
		l.Close()
		d.shut()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.knocks.Add(1)
			d.let(c, socket())
		}
	}()
	return d
}

func (d *door) let(c net.Conn, socket string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	to, err := new(net.Dialer).DialContext(context.Background(), "unix", socket)
	if d.shutIt || err != nil {
		c.Close()
		if err == nil {
			to.Close()
		}
		return
	}
	d.inside = append(d.inside, c, to)
	go pass(c, to)
	go pass(to, c)
}

func pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shutIt = true
	for _, c := range d.inside {
		c.Close()
	}
	d.inside = nil
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shutIt = false
}
