package fleettest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// Call is one send that reached the IM.
type Call struct {
	To, Text string
	At       time.Time
}

// Manners are how the IM behaves.
type Manners struct {
	// Hold, if set, keeps answers back until it is closed.
	Hold chan struct{}
	// HangUp breaks the connection in place of an answer.
	HangUp bool
	// Slow is how long an answer takes.
	Slow time.Duration
}

// IM remembers what it was sent, and fails as it is told to.
type IM struct {
	// URL is where messages go.
	URL string

	mu      sync.Mutex
	calls   []Call
	manners Manners
}

// NewIM starts an IM that takes 20 ms for a message.
func NewIM(tb testing.TB) *IM {
	tb.Helper()
	im := &IM{manners: Manners{Slow: 20 * time.Millisecond}}
	s := httptest.NewServer(im)
	tb.Cleanup(s.Close)
	im.URL = s.URL + "/send"
	return im
}

// ServeHTTP takes a send.
func (im *IM) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	im.mu.Lock()
	im.calls = append(im.calls, Call{
		To: gjson.GetBytes(body, "to").Str, Text: gjson.GetBytes(body, "text").Str, At: time.Now(),
	})
	id, m := len(im.calls), im.manners
	im.mu.Unlock()
	if m.HangUp {
		panic(http.ErrAbortHandler)
	}
	if m.Hold != nil {
		<-m.Hold
	}
	<-time.After(m.Slow)
	fmt.Fprintf(w, `{"messageId":"72654190388123%05d"}`, id)
}

// Behave changes how the IM behaves.
func (im *IM) Behave(f func(m *Manners)) {
	im.mu.Lock()
	defer im.mu.Unlock()
	f(&im.manners)
}

// Calls are all sends so far.
func (im *IM) Calls() []Call {
	im.mu.Lock()
	defer im.mu.Unlock()
	return slices.Clone(im.calls)
}

// Texts are the texts of all sends so far.
func (im *IM) Texts() []string {
	var texts []string
	for _, c := range im.Calls() {
		texts = append(texts, c.Text)
	}
	return texts
}

// Count is how often a text was sent.
func (im *IM) Count(text string) int {
	n := 0
	for _, got := range im.Texts() {
		if got == text {
			n++
		}
	}
	return n
}
