//go:build unix

package agents_test

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

// door is an address for the relay that stays the same when it is started again, for what the agent tells it. Where there
// is no relay behind it, or one that dies, it hangs up.
type door struct {
	// URL is the address.
	URL string

	mu    sync.Mutex
	relay *fleettest.Relay
	calls []passed
}

// passed is a call that came through.
type passed struct {
	body   []byte
	status int // 0: there was no answer
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{}
	s := httptest.NewServer(d)
	t.Cleanup(s.Close)
	d.URL = s.URL
	return d
}

// lead makes the door that of a relay.
func (d *door) lead(r *fleettest.Relay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.relay = r
}

// ServeHTTP passes a call on, and remembers what became of it.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	d.mu.Lock()
	relay := d.relay
	d.mu.Unlock()
	call := passed{body: body}
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.calls = append(d.calls, call)
	}()
	to, err := url.Parse(relay.URL())
	if err != nil {
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { p.SetURL(to) },
		ModifyResponse: func(a *http.Response) error { call.status = a.StatusCode; return nil },
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       log.New(io.Discard, "", 0), //nolint:forbidigo // of answers that break off, as they must
	}
	proxy.ServeHTTP(w, r)
}

// passed are the calls so far.
func (d *door) passed() []passed {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]passed(nil), d.calls...)
}
