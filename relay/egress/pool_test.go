package egress_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/egress"
)

// TestClosedWhileIdle has counterparts that close a kept connection, or say something on it, before the next call.
func TestClosedWhileIdle(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(p *peer){
		"closes":             func(*peer) {},
		"says a time-out":    func(p *peer) { p.say("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n") },
		"says it and closes": func(p *peer) { p.say("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answered, spoilt := make(chan struct{}), make(chan struct{}, 100)
			f := newFake(t, func(p *peer) {
				p.read()
				p.say(ok200)
				<-answered
				spoil(p)
				if name != "says a time-out" {
					_ = p.Close()
				}
				spoilt <- struct{}{}
				p.hold()
			})
			c := newClient(t, egress.Options{IdleTimeout: time.Minute})
			for range 5 {
				if a := do(t, c, post(f.URL)); a.Status != http.StatusOK {
					t.Errorf("got %d, want the answer to this call", a.Status)
				}
				answered <- struct{}{}
				await(t, spoilt, "the counterpart")
			}
			if conns, requests := f.conns.Load(), f.requests.Load(); conns != 5 || requests != 5 {
				t.Errorf("got %d connections, %d requests, want 5 and 5", conns, requests)
			}
		})
	}
}

func TestClosedWhileIdleTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(srv.Close)
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c := newClient(t, egress.Options{RootCAs: roots, IdleTimeout: time.Minute})
	for range 5 {
		do(t, c, post(srv.URL))
		srv.CloseClientConnections()
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	f := newFake(t, answerOK)
	c := newClient(t, egress.Options{IdleTimeout: 50 * time.Millisecond})
	do(t, c, post(f.URL))
	await(t, f.closed, "the end of an idle connection")
	do(t, c, post(f.URL))
	await(t, f.closed, "the end of another one")
	if n := f.conns.Load(); n != 2 {
		t.Errorf("got %d connections, want 2", n)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	f := newFake(t, func(p *peer) {
		for _, _, ok := p.read(); ok; _, _, ok = p.read() {
			begun <- struct{}{}
			<-finish
			p.say(ok200)
		}
	})
	c := egress.New(egress.Options{IdleTimeout: time.Minute})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { do(t, c, post(f.URL)) })
	}
	<-begun
	<-begun
	finish <- struct{}{} // one is idle from here on, or soon
	c.Close()
	c.Close()
	finish <- struct{}{}
	wg.Wait()
	await(t, f.closed, "the end of a connection")
	await(t, f.closed, "the end of the other one")
	wg.Go(func() { do(t, c, post(f.URL)) })
	<-begun
	finish <- struct{}{}
	wg.Wait()
	await(t, f.closed, "the end of a connection that was opened later")
}

// TestManyAtOnce makes 256 calls at the same time, again and again. The first round's connections serve the others.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const calls = 256
	var mu sync.Mutex
	round, waiting := make(chan struct{}), 0
	f := newFake(t, func(p *peer) {
		for _, _, ok := p.read(); ok; _, _, ok = p.read() {
			mu.Lock()
			gate := round
			if waiting++; waiting == calls {
				round, waiting = make(chan struct{}), 0
				close(gate)
			}
			mu.Unlock()
			<-gate
			p.say(ok200)
		}
	})
	c := newClient(t, egress.Options{IdleTimeout: time.Minute})
	for range 4 {
		var wg sync.WaitGroup
		for range calls {
			wg.Go(func() {
				if _, err := c.Do(t.Context(), post(f.URL)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if n := f.conns.Load(); n != calls {
		t.Errorf("got %d connections, want %d", n, calls)
	}
}

// TestAfterFailureNothingIsKept makes sure that the rest of one call's answer never becomes another's.
func TestAfterFailureNothingIsKept(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	f := newFake(t, func(p *peer) {
		for req, _, ok := p.read(); ok; req, _, ok = p.read() {
			if req.Header.Get("X-Slow") == "" {
				p.say(ok200)
				continue
			}
			<-release
			p.say("HTTP/1.1 500 Late\r\nContent-Length: 0\r\n\r\n")
		}
	})
	c := newClient(t, egress.Options{})
	slow := post(f.URL)
	slow.Header, slow.Timeout = http.Header{"X-Slow": {"1"}}, 50*time.Millisecond
	if _, err := c.Do(t.Context(), slow); err == nil {
		t.Fatal("got an answer, want a time-out")
	}
	close(release)
	for range 3 {
		if a := do(t, c, post(f.URL)); a.Status != http.StatusOK {
			t.Errorf("got %d, want the answer to this call", a.Status)
		}
	}
}
