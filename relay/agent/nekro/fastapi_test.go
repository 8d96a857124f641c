package nekro_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/nekro"
	"github.com/imrelay/imrelay/relay/secret"
)

// python is the system's, which has the packages that the Makefile installs.
const python = "/usr/bin/python3"

// receiver starts the sample plugin and returns its base.
func receiver(t *testing.T, key string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, python, "testdata/receiver.py")
	cmd.Env = append(os.Environ(), "RECEIVER_SECRET="+key)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s (make test installs what it needs): %v", python, err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("receiver: %s", &complaints)
		}
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cancel()
		_ = cmd.Wait()
		t.Fatalf("receiver did not listen (make test installs what it needs): %v: %s", err, &complaints)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

// took asks the receiver what it has taken.
func took(t *testing.T, base string) (taken []struct{ Body, Event string }) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/taken", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&taken); err != nil {
		t.Fatal(err)
	}
	return taken
}

// The manual's receiver takes what was signed with its secret, over the bytes as they stand, and nothing else; and what
// FastAPI makes of its answers means what the receiver meant.
func TestFastAPI(t *testing.T) {
	t.Parallel()
	base := receiver(t, "right")
	const body = "{ \"chat\":\t\"wxid_alice\", \"text\": \"<&>\\u4f60好\", \"n\":7265419038812345671}\n"
	for _, tc := range []struct {
		name, path, secret, body string
		want                     int
	}{
		{"endpoint", "/api/webhook/imrelay", "right", body, 200},
		{"plugin", "/api/plugin/acme.chat/webhook/imrelay", "right", body, 200},
		{"wrong secret", "/api/webhook/imrelay", "wrong", body, 403},
		{"no secret", "/api/webhook/imrelay", "", body, 400},
		{"pair of a refusal", "/api/webhook/imrelay", "right", `{"text":"to nobody"}`, 400},
		{"pair of an acceptance", "/api/webhook/imrelay", "right", `{"chat":"a","slow":true}`, 200},
		{"no JSON", "/api/webhook/imrelay", "right", `{"chat":`, 400},
		{"unknown endpoint", "/api/webhook/other", "right", body, 404},
	} {
		e := agenttest.Event("evt_" + tc.name)
		e.Body = []byte(tc.body)
		a := newAgent(t, nekro.Config{
			Endpoint: agent.Endpoint{URL: base + tc.path, Secret: secret.New(tc.secret)},
		}, agenttest.NewWorld(t).Wire)
		before := len(took(t, base))
		out, err := a.Deliver(t.Context(), e, 1)
		if err != nil || out.Status != tc.want {
			t.Errorf("%s: got %d %s, %v, want %d", tc.name, out.Status, out.Body, err, tc.want)
			continue
		}
		checkTaken(t, e, took(t, base)[before:], tc.want == 200)
	}
}

func checkTaken(t *testing.T, e relay.Event, taken []struct{ Body, Event string }, want bool) {
	t.Helper()
	if !want {
		if len(taken) != 0 {
			t.Errorf("%s: taken %+v", e.ID, taken)
		}
		return
	}
	if len(taken) != 1 || taken[0].Body != string(e.Body) || taken[0].Event != e.ID {
		t.Errorf("%s: taken %+v", e.ID, taken)
	}
}
