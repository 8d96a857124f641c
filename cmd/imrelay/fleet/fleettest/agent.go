package fleettest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/signer"
)

// Landed is one delivery that reached the agent.
type Landed struct {
	// Lane and Seq say which message it was, Epoch how many faults there had been before.
	Lane, Seq, Epoch int
	Event            string
	// By is the name of the relay that brought it.
	By string
	At time.Time
	// Intact says that it is the message byte for byte, Signed what is wrong with the signature.
	Intact bool
	Signed error
}

// Agent takes deliveries, checks their signatures and bytes, and remembers them in the order in which they came.
type Agent struct {
	// URL is where it is.
	URL string

	verifier signer.Verifier

	mu    sync.Mutex
	all   []Landed
	epoch int
	slow  time.Duration
	hold  func(l Landed) <-chan struct{}
}

// NewAgent starts an agent. It answers a little slowly, so that faults find some deliveries under way.
func NewAgent(tb testing.TB, secret string) *Agent {
	tb.Helper()
	v, err := signer.NewVerifier(signer.KindOpenClaw, secret)
	if err != nil {
		tb.Fatal(err)
	}
	a := &Agent{verifier: v, slow: 4 * time.Millisecond}
	s := httptest.NewServer(a)
	tb.Cleanup(s.Close)
	a.URL = s.URL
	return a
}

// ServeHTTP takes a delivery.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	l := Landed{
		Event: r.Header.Get("X-Relay-Event-Id"), By: path.Base(r.URL.Path), At: time.Now(),
		Signed: a.verifier.Verify(r.Header, body, time.Now()),
	}
	text := gjson.GetBytes(body, "Content.string").Str
	if _, err := fmt.Sscanf(text, "lane %d message %d", &l.Lane, &l.Seq); err == nil {
		l.Intact = bytes.Equal(body, Push(l.Lane, l.Seq))
	}
	a.mu.Lock()
	l.Epoch = a.epoch
	a.all = append(a.all, l)
	slow, hold := a.slow, a.hold
	a.mu.Unlock()
	if hold != nil {
		if c := hold(l); c != nil {
			<-c
		}
	}
	<-time.After(rand.N(slow))
	fmt.Fprintf(w, `{"ok":true,"heard":%q}`, text)
}

// Fault tells the agent that something is broken now.
func (a *Agent) Fault() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch++
	return time.Now()
}

// Slow makes the agent take up to so long from now on.
func (a *Agent) Slow(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slow = d
}

// Hold makes each answer wait for the channel that hold returns; nil: it does not wait.
func (a *Agent) Hold(hold func(l Landed) <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hold = hold
}

// Landed is what came so far.
func (a *Agent) Landed() []Landed {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

// After waits for the first delivery that came after a time and that like finds good, and returns when it came; the zero
// time: none came.
func (a *Agent) After(since time.Time, like func(l Landed) bool) time.Time {
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); {
		all := a.Landed()
		i := slices.IndexFunc(all, func(l Landed) bool { return l.At.After(since) && like(l) })
		if i >= 0 {
			return all[i].At
		}
		<-time.After(2 * time.Millisecond)
	}
	return time.Time{}
}

// Push is what the IM pushes for a message of a lane. The odd space must survive.
func Push(lane, seq int) []byte {
	return fmt.Appendf(nil, `{"NewMsgId":%d, "MsgId":%d,"MsgType":1,"FromUserName":{"string":"wxid_lane%d"},`+
		`"ToUserName":{"string":"wxid_bot"},"Content":{"string":"lane %[3]d message %[2]d"},"Pad":"%[4]s"}`,
		7_000_000_000_000_000_001+lane*1_000_000+seq, seq, lane, bytes.Repeat([]byte("填"), seq%200))
}
