package openclawtest

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"
)

const (
	// maxHook is how much the hook takes.
	maxHook = 256 << 10
	// maxKey is how long an idempotency key may be.
	maxKey = 256
	// mostWrong tokens in wrongFor lock whoever gives a further one out.
	mostWrong = 20
	wrongFor  = time.Minute
	// keptRun is how long a key is known after its run.
	keptRun = 5 * time.Minute
)

// run is what came of a key.
type run struct {
	id       string
	admitted chan struct{}
	ended    chan struct{}
	// What follows is set when it has ended.
	over   time.Time
	status string // ok or error
	said   bool   // all that it came to
}

// hookBody is what the hook reads.
type hookBody struct {
	Message string `json:"message"`
	Channel string `json:"channel"`
	To      string `json:"to"`
	Deliver bool   `json:"deliver"`
	Session string `json:"sessionKey"`
	Wait    bool   `json:"waitForCompletion"`
}

// hook is POST /hooks/agent: it admits a run, or finds that of the same key, and answers then, or when it has ended.
func (f *Fake) hook(up *life, r *http.Request, body []byte, fault Fault) answer {
	if r.URL.Query().Has("token") {
		return answer{status: http.StatusBadRequest, text: "Hook token must be provided in a header"}
	}
	if a, ok := f.known(r.Header); !ok {
		return a
	}
	if len(body) > maxHook {
		return answer{status: http.StatusRequestEntityTooLarge, json: `{"ok":false,"error":"payload too large"}`}
	}
	var b hookBody
	key := r.Header.Get("Idempotency-Key")
	switch {
	case json.Unmarshal(body, &b) != nil:
		return answer{status: http.StatusBadRequest, json: `{"ok":false,"error":"invalid json"}`}
	case strings.TrimSpace(b.Message) == "":
		return answer{status: http.StatusBadRequest, json: `{"ok":false,"error":"message required"}`}
	case (b.Channel == "") != (b.To == ""):
		return answer{status: http.StatusBadRequest, json: `{"ok":false,"error":"channel and to go together"}`}
	case b.Session != "":
		return answer{status: http.StatusBadRequest, json: `{"ok":false,"error":"sessionKey is not allowed"}`}
	case len(key) > maxKey:
		return answer{status: http.StatusBadRequest, json: `{"ok":false,"error":"Idempotency-Key too long"}`}
	case fault == NotAdmitted:
		return answer{status: http.StatusOK, json: `{"ok":false,"error":"the agent could not be run"}`}
	}
	return f.admit(up, key, b, fault).answer(up, b.Wait)
}

// answer waits for the run's admission, or for its end.
func (r *run) answer(up *life, wait bool) answer {
	until := r.admitted
	if wait {
		until = r.ended
	}
	select {
	case <-until:
	case <-up.ctx.Done():
		return answer{}
	}
	said := `{"ok":true,"runId":"` + r.id + `"`
	if wait {
		said += fmt.Sprintf(`,"completion":{"status":%q,"delivered":%t}`, r.status, r.said)
	}
	return answer{status: http.StatusOK, json: said + "}"}
}

// known checks the token, and locks out who guesses.
func (f *Fake) known(h http.Header) (answer, bool) {
	given := h.Get("X-Openclaw-Token")
	if token, ok := strings.CutPrefix(h.Get("Authorization"), "Bearer "); ok {
		given = token
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.o.Token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(f.o.Token)) == 1 {
		f.wrong = nil
		return answer{}, true
	}
	now := time.Now()
	f.wrong = slices.DeleteFunc(f.wrong, func(at time.Time) bool { return now.Sub(at) > wrongFor })
	if f.wrong = append(f.wrong, now); len(f.wrong) > mostWrong {
		return answer{status: http.StatusTooManyRequests, text: "Too Many Requests", retryAfter: "60"}, false
	}
	return answer{status: http.StatusUnauthorized, text: "Unauthorized"}, false
}

// admit begins a run, or finds that of the key.
func (f *Fake) admit(up *life, key string, b hookBody, fault Fault) *run {
	f.mu.Lock()
	defer f.mu.Unlock()
	if had := up.hooks[key]; had != nil && key != "" && (had.over.IsZero() || time.Since(had.over) < keptRun) {
		return had
	}
	if up.ctx.Err() != nil {
		return &run{}
	}
	t := Turn{EventID: key, To: b.To, Message: b.Message, Text: b.Message}
	if _, text, ok := strings.Cut(b.Message, ": "); ok {
		t.Text = text
	}
	f.turns = append(f.turns, t)
	made := &run{id: "run-" + strconv.Itoa(len(f.turns)), admitted: make(chan struct{}), ended: make(chan struct{})}
	up.hooks[key] = made
	var admission time.Duration
	if !up.warm {
		admission = f.takes(up)
	}
	up.work.Go(func() {
		if !agenttest.Wait(up.ctx, admission) {
			return
		}
		close(made.admitted)
		if !agenttest.Wait(up.ctx, f.o.Turn) {
			return
		}
		status, said := "error", false
		if fault != Failed {
			status, said = "ok", b.Deliver && b.To != "" && f.blurt(up, t)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		made.over, made.status, made.said = time.Now(), status, said
		close(made.ended)
	})
	return made
}

// blurt says what the run came to as the gateway's core does: once, without a key, and never again when it fails.
func (f *Fake) blurt(up *life, t Turn) bool {
	for range max(f.o.Replies, 1) {
		if status, _ := f.send(up, Send{To: t.To, Text: t.Text}); status != http.StatusOK {
			return false
		}
	}
	return true
}
