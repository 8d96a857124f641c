package astrbot_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/astrbot"
	"github.com/imrelay/imrelay/relay/agent/astrbot/astrbottest"
	"github.com/imrelay/imrelay/relay/secret"
)

// keyUsed is the key of the fake's last request.
func keyUsed(f *astrbottest.Fake) string {
	asks := f.Asks()
	return asks[len(asks)-1].Key
}

// A key is refreshed when it is low, and only then.
func TestKeyLow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		seen  time.Duration
		left  time.Duration
		fresh int
	}{
		{"new", 0, 7 * 24 * time.Hour, 0},
		{"within a day of many", 7 * 24 * time.Hour, 23 * time.Hour, 1},
		{"over a day of many", 7 * 24 * time.Hour, 25 * time.Hour, 0},
		{"a fifth of hours", 5 * time.Hour, 59 * time.Minute, 1},
		{"over a fifth of hours", 5 * time.Hour, 62 * time.Minute, 0},
		{"minutes of an hour", time.Hour, 11 * time.Minute, 1},
		{"minutes of minutes", 20 * time.Minute, 11 * time.Minute, 0},
		{"few minutes", 0, 9 * time.Minute, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := astrbottest.New(t, astrbottest.Options{Token: token, Refreshes: true})
			a := newAgent(t, astrbot.Config{URL: f.URL(), Mode: "callback"}, newWorld(t).Wire)
			for _, left := range []time.Duration{tc.seen, tc.left} {
				if left > 0 {
					f.Expire(token, left)
					deliver(t, a, event("evt_"+left.String(), "hi"))
				}
			}
			if got := f.Refreshed(); got != tc.fresh {
				t.Errorf("refreshed %d times, want %d", got, tc.fresh)
			}
		})
	}
}

// A new key is used from then on, by every relay that shares the memory and after a restart, until another is configured.
func TestKeyRefreshed(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Refreshes: true, TTL: time.Minute * 5, Hold: hold})
	f.Expire("other-token", time.Hour)
	w := newWorld(t)
	a, other := newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire), newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire)
	deliver(t, a, event("evt_1", "hi"))
	if keyUsed(f) != token || f.Refreshed() != 1 {
		t.Fatalf("used %q, refreshed %d times", keyUsed(f), f.Refreshed())
	}
	f.Expire(token, -1)
	for i, b := range []*astrbot.Agent{a, other, newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire)} {
		if out := deliver(t, b, event("evt_2", "hi")); out.Status != http.StatusOK || !strings.HasPrefix(keyUsed(f), "key-") {
			t.Errorf("relay %d: got %d with %q", i, out.Status, keyUsed(f))
		}
	}
	b, err := astrbot.New(astrbot.Config{URL: f.URL(), Token: secret.New("other-token")}, w.Wire)
	if err != nil {
		t.Fatal(err)
	}
	b.Hasten(haste)
	if out := deliver(t, b, event("evt_3", "hi")); out.Status != http.StatusOK || keyUsed(f) != "other-token" {
		t.Errorf("got %d with %q", out.Status, keyUsed(f))
	}
	if logged := w.Logged(); strings.Contains(logged, "key-1") || strings.Contains(logged, token) {
		t.Errorf("a key was logged: %s", logged)
	}
}

// A refresh that fails keeps the old key, is told to operators, and is not made again for a while.
func TestKeyRefreshFails(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, TTL: 5 * time.Minute})
	w := newWorld(t)
	a := newAgent(t, astrbot.Config{URL: f.URL(), Mode: "callback"}, w.Wire)
	for _, id := range []string{"evt_1", "evt_2"} {
		if out := deliver(t, a, event(id, "hi")); out.Status != http.StatusOK || keyUsed(f) != token {
			t.Errorf("got %d with %q", out.Status, keyUsed(f))
		}
	}
	if got := f.Refreshed(); got != 1 {
		t.Errorf("refreshed %d times, want 1", got)
	}
	raised := w.Raised()["key_refresh"]
	if raised == "" || strings.Contains(raised+w.Logged(), token) || f.NewestKey() == token {
		t.Errorf("raised %q, newest key %q", raised, f.NewestKey())
	}
	a.Again(0)
	deliver(t, a, event("evt_3", "hi"))
	if got := f.Refreshed(); got != 2 {
		t.Errorf("refreshed %d times, want 2", got)
	}
	f.Expire(token, 24*7*time.Hour)
	deliver(t, a, event("evt_4", "hi"))
	if got := w.Raised(); len(got) > 0 {
		t.Errorf("still raised: %v", got)
	}
}

// What is no key in the answer to a refresh is none.
func TestKeyNone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"object": `{"code":0,"data":{"k":1}}`, "list": `{"code":0,"data":[]}`, "empty": `{"code":0,"data":""}`,
		"header": `{"code":0,"data":"a\r\nX-Evil: 1"}`, "failure": `{"code":500,"data":"key"}`, "no JSON": `key`,
		"long": `{"code":0,"data":"` + strings.Repeat("k", 5000) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := agenttest.NewWorld(t)
			mux := http.NewServeMux()
			mux.HandleFunc("/api/plug/v1/chat", plugin(200, `{"api_key_ttl":60,"code":0,"data":[],"msg_id":"%s"}`))
			mux.HandleFunc("POST /api/plug/hep/refresh_token", plugin(200, answer+"%.0s"))
			a := newAgent(t, astrbot.Config{URL: serve(t, mux) + "/api/plug/v1/chat"}, w.Wire)
			deliver(t, a, event("evt_1", "hi"))
			if w.Raised()["key_refresh"] == "" {
				t.Error("nothing was raised")
			}
			if value, _ := w.Load(t.Context(), "key"); value != nil {
				t.Errorf("kept %q", value)
			}
		})
	}
}

// A key that is refused is told to operators until one is taken.
func TestKeyRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"poll", "callback", "api"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold})
			w := newWorld(t)
			url := f.URL()
			if mode == "api" {
				url = f.Base()
			}
			a := newAgent(t, astrbot.Config{URL: url, Mode: mode}, w.Wire)
			f.Expire(token, -1)
			if out := deliver(t, a, event("evt_1", "hi")); out.Status != http.StatusUnauthorized || w.Raised()["key_refused"] == "" {
				t.Errorf("got %d, raised %v", out.Status, w.Raised())
			}
			f.Expire(token, 7*24*time.Hour)
			if out := deliver(t, a, event("evt_1", "hi")); out.Status != http.StatusOK || len(w.Raised()) > 0 {
				t.Errorf("got %d, raised %v", out.Status, w.Raised())
			}
		})
	}
}
