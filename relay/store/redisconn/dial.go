package redisconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The times add up to the bound of a call. go-redis repeats nothing here (MaxRetries, DialerRetries): the lanes do, which
// know how long each of their calls may still take; repeats of both would multiply.
const (
	// tcpWithin bounds one connect. A lost SYN is sent again after a second, which is too late anyway.
	tcpWithin = 300 * time.Millisecond
	// tlsWithin bounds connect and handshake.
	tlsWithin = 500 * time.Millisecond
	// connectWithin bounds all that it takes to have a connection, asking the Sentinels included. It has room for two
	// questions that nobody answers and a third that is answered: go-redis asks the Sentinel that it knows twice before it
	// asks the others.
	connectWithin = 750 * time.Millisecond
	// sentinelWithin bounds one question to a Sentinel.
	sentinelWithin = 200 * time.Millisecond
	// replyWithin bounds one pipeline. It is not repeated while it may still be answered: a Redis that is slow because it
	// has much to do would get more.
	replyWithin = 800 * time.Millisecond
	// redialAfter is the pause after a connect that failed. One at a time is tried, whoever else wants a connection gets
	// the last one's error at once: a Redis that comes back meets a few connects a second of each relay, not one of each
	// call.
	redialAfter = 50 * time.Millisecond
	// poolSize bounds the connections to one server: the lanes', and those of single commands.
	poolSize = 32
	// maxSaid is how much of an error is kept.
	maxSaid = 512
	// bufferSize is for a pipeline's commands and replies.
	bufferSize = 64 << 10
)

// connect makes the client. It does not wait for a connection.
func connect(t Target, d *dials) redis.UniversalClient {
	// The library's own logger writes lines of its own form to stderr, with addresses and reasons that the lanes log once.
	logging.Disable()
	switch t.Mode {
	case Sentinel:
		return connectSentinel(t, d)
	case Cluster:
		return connectCluster(t, d)
	}
	c := redis.NewClient(&redis.Options{
		Network: t.network, Addr: t.addrs[0], DB: t.db, Username: t.username, Password: t.password.Reveal(),
		Dialer: dialer(t), Protocol: 2, MaxRetries: -1, DialerRetries: 1, DialTimeout: connectWithin,
		ReadTimeout: replyWithin, WriteTimeout: replyWithin, ContextTimeoutEnabled: true, PoolTimeout: sentinelWithin,
		PoolSize: poolSize, PipelinePoolSize: -1, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		DisableIdentity: true, MaintNotificationsConfig: quiet(),
	})
	c.AddHook(d)
	return c
}

// connectSentinel gives the Sentinels less time than the master: go-redis has one setting for both.
func connectSentinel(t Target, d *dials) redis.UniversalClient {
	c := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: t.master, SentinelAddrs: t.addrs, SentinelUsername: t.sentinelUsername,
		SentinelPassword: t.sentinelPassword.Reveal(), DB: t.db, Username: t.username, Password: t.password.Reveal(),
		Dialer: dialer(t), Protocol: 2, MaxRetries: -1, DialerRetries: 1, DialTimeout: connectWithin,
		ReadTimeout: sentinelWithin, WriteTimeout: sentinelWithin, ContextTimeoutEnabled: true, PoolTimeout: sentinelWithin,
		PoolSize: poolSize, PipelinePoolSize: -1, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		DisableIdentity: true,
	})
	c.AddHook(d)
	return c.WithTimeout(replyWithin)
}

// connectCluster lets each node's client have the hook as well: that of the Cluster dials nothing.
func connectCluster(t Target, d *dials) redis.UniversalClient {
	c := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: t.addrs, Username: t.username, Password: t.password.Reveal(),
		NewClient: func(o *redis.Options) *redis.Client {
			c := redis.NewClient(o)
			c.AddHook(d)
			return c
		},
		Dialer: dialer(t), Protocol: 2, MaxRetries: -1, DialerRetries: 1, DialTimeout: connectWithin,
		ReadTimeout: replyWithin, WriteTimeout: replyWithin, ContextTimeoutEnabled: true, PoolTimeout: sentinelWithin,
		MinRetryBackoff: 10 * time.Millisecond, MaxRetryBackoff: 100 * time.Millisecond,
		PoolSize: poolSize, PipelinePoolSize: -1, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		DisableIdentity: true, MaintNotificationsConfig: quiet(), ClusterStateReloadInterval: 10 * time.Second,
	})
	// For the commands of all nodes together.
	c.AddHook(d)
	return c
}

// quiet spares a question that Redis 7 does not know.
func quiet() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

func dialer(t Target) func(context.Context, string, string) (net.Conn, error) {
	if t.tls != nil {
		return (&tls.Dialer{NetDialer: &net.Dialer{Timeout: tlsWithin}, Config: t.tls}).DialContext
	}
	return (&net.Dialer{Timeout: tcpWithin}).DialContext
}

// dials is the hook through which every connection to a server is made, whatever the mode. It paces connects, and it
// knows what is open, so that all of it can be dropped.
type dials struct {
	mu    sync.Mutex
	peers map[string]*peer
}

// peer is one server, or the master behind the Sentinels.
type peer struct {
	open map[*socket]struct{}
	// failed is why the last connect failed, or that its connection ended before the server said anything good. Until one
	// does, one at a time is tried.
	failed error
	again  time.Time
	trying bool
	// drops counts how often all connections were dropped.
	drops int
}

func newDials() *dials { return &dials{peers: map[string]*peer{}} }

// DialHook implements redis.Hook. A connect that fails is told as a connection on which nothing works: of errors the pool
// keeps count, and after some it would look only once a second whether the server is back.
func (d *dials) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		held, drops := d.begin(addr)
		if held != nil {
			return held, nil
		}
		conn, err := next(ctx, network, addr)
		return d.end(addr, drops, conn, err), nil
	}
}

// ProcessHook implements redis.Hook. It bounds single commands: all else bounds only the parts of one.
func (d *dials) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook and changes nothing.
func (d *dials) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// begin returns something while it is too early to try again, or somebody else tries: the last error's connection. It
// also returns how often the server's connections were dropped.
func (d *dials) begin(addr string) (net.Conn, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.peers[addr]
	if p == nil {
		p = &peer{open: map[*socket]struct{}{}}
		d.peers[addr] = p
	}
	if p.failed == nil {
		return nil, p.drops
	}
	if p.trying || time.Now().Before(p.again) {
		return dead{p.failed}, p.drops
	}
	p.trying = true
	return nil, p.drops
}

// end notes how it went. A connect that began before the server's connections were dropped may lead where they led.
func (d *dials) end(addr string, drops int, conn net.Conn, err error) net.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.peers[addr]
	if err == nil && p.drops != drops {
		_ = conn.Close()
		err = errDropped
	}
	if err != nil {
		// Only of Sentinels does a dial tell what they said.
		p.fail(dialError{heard(sentinel, err)})
		return dead{p.failed}
	}
	s := &socket{Conn: conn, dials: d, peer: p}
	p.open[s] = struct{}{}
	return s
}

func (p *peer) fail(err error) { p.failed, p.trying, p.again = err, false, time.Now().Add(redialAfter) }

// drop closes all connections to a server, those in use as well.
func (d *dials) drop(addr string) {
	d.mu.Lock()
	var open []*socket
	if p := d.peers[addr]; p != nil {
		p.drops++
		for s := range p.open {
			open = append(open, s)
		}
	}
	d.mu.Unlock()
	for _, s := range open {
		_ = s.Close()
	}
}

// socket is a connection that tells when the server first says something that is no error, such as LOADING or too many
// clients, and when it is closed.
type socket struct {
	net.Conn
	dials *dials
	peer  *peer
	heard atomic.Bool
	// said is the error that the server last said before.
	said atomic.Pointer[string]
}

// Read reads.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if n == 0 || s.heard.Load() {
		return n, err
	}
	if line, isError := bytes.CutPrefix(b[:n], []byte("-")); isError {
		line, _, _ = bytes.Cut(line[:min(len(line), maxSaid)], []byte("\r\n"))
		said := string(line)
		s.said.Store(&said)
	} else {
		s.heard.Store(true)
		s.dials.mu.Lock()
		s.peer.failed, s.peer.trying = nil, false
		s.dials.mu.Unlock()
	}
	return n, err
}

// Close closes it.
func (s *socket) Close() error {
	s.dials.mu.Lock()
	if _, first := s.peer.open[s]; first && !s.heard.Load() {
		s.peer.fail(s.verdict())
	}
	delete(s.peer.open, s)
	s.dials.mu.Unlock()
	return s.Conn.Close()
}

// verdict is why a connection was good for nothing.
func (s *socket) verdict() error {
	said := s.said.Load()
	if said == nil {
		return errMute
	}
	if e := refusalIn(server, *said); e != nil {
		return e
	}
	return saidError{who: server, reply: *said}
}

// SyscallConn lets the pool see whether an idle connection was closed by the other side.
func (s *socket) SyscallConn() (syscall.RawConn, error) {
	if c, ok := s.Conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nothing{}, nil
}

// nothing stands for the socket under TLS, into which one cannot look: it is taken for open.
type nothing struct{}

// Control implements syscall.RawConn.
func (nothing) Control(func(uintptr)) error { return nil }

// Read implements syscall.RawConn.
func (nothing) Read(func(uintptr) bool) error { return nil }

// Write implements syscall.RawConn.
func (nothing) Write(func(uintptr) bool) error { return nil }

var (
	errMute    = errors.New("connect: the server closes connections, or says nothing")
	errDropped = errors.New("the server is no master any more")
)

// dialError hides what an error is made of: that of a Sentinel would be taken for a reply of the server.
type dialError struct{ reason error }

// Error implements error.
func (e dialError) Error() string { return "connect: " + e.reason.Error() }

// Unwrap shows a refusal, which is no reply any more.
func (e dialError) Unwrap() error {
	if refused, ok := e.reason.(*RefusedError); ok { //nolint:errorlint // nothing wraps it here
		return refused
	}
	return nil
}

// dead is a connection that was never made.
type dead struct{ err error }

// Read implements net.Conn.
func (d dead) Read([]byte) (int, error) { return 0, d.err }

// Write implements net.Conn.
func (d dead) Write([]byte) (int, error) { return 0, d.err }

// Close implements net.Conn.
func (d dead) Close() error { return nil }

// LocalAddr implements net.Conn.
func (d dead) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (d dead) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline implements net.Conn.
func (d dead) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (d dead) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (d dead) SetWriteDeadline(time.Time) error { return nil }
