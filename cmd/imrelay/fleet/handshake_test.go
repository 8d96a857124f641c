//go:build unix

package fleet_test

import (
	"crypto/rand"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// gate is a listener whose connections say nothing until it is opened.
type gate struct {
	net.Listener

	came chan struct{}
	open chan struct{}
}

func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g.came <- struct{}{}
	return &gated{Conn: c, open: g.open}, nil
}

type gated struct {
	net.Conn

	open chan struct{}
}

func (g *gated) Read(b []byte) (int, error) {
	<-g.open
	return g.Conn.Read(b)
}

// behindGate starts a further door to the agent, which opens for nobody before the gate does. It returns a file with its
// certificate.
func behindGate(t *testing.T, agent *fleettest.Agent) (g *gate, url, cert string) {
	t.Helper()
	s := httptest.NewUnstartedServer(agent)
	g = &gate{Listener: s.Listener, came: make(chan struct{}, 100), open: make(chan struct{})}
	s.Listener = g
	s.Config.ErrorLog = log.New(io.Discard, "", 0) //nolint:forbidigo // of handshakes that are given up, as they must be
	s.StartTLS()
	t.Cleanup(s.Close)
	cert = filepath.Join(t.TempDir(), "agent.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(cert, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return g, s.URL, cert
}

// A relay is frozen between taking an event and the first byte to the agent, for longer than its lease: when it goes on it
// must not post what another relay has posted.
func TestFrozenBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	secret, redis := rand.Text(), redistest.Start(t)
	agent, im := fleettest.NewAgent(t, secret), fleettest.NewIM(t)
	g, url, cert := behindGate(t, agent)
	o := fleettest.Options{
		Name: "a", AgentURL: url, IMURL: im.URL, Redis: redis.URL(""), Secret: secret, Env: []string{"SSL_CERT_FILE=" + cert},
		Config: config(unhurried, ""),
	}
	a := fleettest.New(t, o)
	o.Name, o.AgentURL = "b", agent.URL
	b := fleettest.New(t, o)
	a.Start()
	var ids []string
	for lane := range 4 {
		got := a.Push(t.Context(), fleettest.Push(lane, 1), "Prefer", "respond-async")
		if got.Status != 202 {
			t.Fatalf("got %s, want 202", got)
		}
		ids = append(ids, got.Get("eventId").Str)
	}
	for range ids {
		select {
		case <-g.came:
		case <-time.After(fleettest.Patience):
			t.Fatal("the relay never called the agent")
		}
	}
	frozen := time.Now()
	a.Freeze()
	b.Start()
	for _, id := range ids {
		if agent.After(frozen, func(l fleettest.Landed) bool { return l.Event == id }).IsZero() {
			t.Errorf("%s was never taken over", id)
		}
	}
	t.Logf("all were taken over within %s", time.Since(frozen).Round(time.Millisecond))
	// With Redis it would soon hear that its leases are lost. It must know without.
	redis.Freeze()
	close(g.open)
	a.Thaw()
	<-time.After(time.Second)
	redis.Thaw()
	a.Push(t.Context(), fleettest.Push(9, 1))
	<-time.After(time.Second)
	for _, r := range []*fleettest.Relay{a, b} {
		if err := r.Drained(t.Context(), fleettest.Patience); err != nil {
			t.Error(err)
		}
	}
	for _, l := range agent.Landed() {
		if l.Lane != 9 && l.By != "b" {
			t.Errorf("lane %d message %d: relay %s posted it with a stale lease", l.Lane, l.Seq, l.By)
		}
	}
	if got := len(agent.Landed()); got != len(ids)+1 {
		t.Errorf("got %d deliveries, want %d", got, len(ids)+1)
	}
}
