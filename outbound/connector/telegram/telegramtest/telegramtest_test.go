package telegramtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound/connector/telegram/telegramtest"
)

func serve(t *testing.T, o telegramtest.Options) (*telegramtest.Fake, func(method, body string) (int, string)) {
	t.Helper()
	f := telegramtest.New(o)
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	t.Cleanup(f.Close)
	return f, func(method, body string) (int, string) {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost,
			s.URL+"/bot"+telegramtest.Token+"/"+method, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, strings.TrimSpace(string(b))
	}
}

// TestUpdates: they stay until they are confirmed, and go to one poller.
func TestUpdates(t *testing.T) {
	t.Parallel()
	f, call := serve(t, telegramtest.Options{})
	first := f.Push("message", `{ "n":1 }`)
	f.Push("message", `{"n":2}`)
	want := fmt.Sprintf(`{"ok":true,"result":[{"update_id":%d, "message":{ "n":1 }}]}`, first)
	for range 2 {
		if _, got := call("getUpdates", `{"limit":1}`); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if _, got := call("getUpdates", fmt.Sprintf(`{"offset":%d}`, first+2)); got != `{"ok":true,"result":[]}` || f.Waiting() != 0 {
		t.Errorf("got %s, %d waiting; want none", got, f.Waiting())
	}
	var wg sync.WaitGroup
	ended := make(chan int, 1)
	wg.Go(func() {
		status, _ := call("getUpdates", `{"timeout":10,"allowed_updates":["message"]}`)
		ended <- status
	})
	deadline := time.Now().Add(10 * time.Second)
	for len(f.Allowed()) == 0 && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
	wg.Go(func() {
		if _, got := call("getUpdates", `{"timeout":10}`); !strings.Contains(got, `"n":4`) || strings.Contains(got, `"n":3`) {
			t.Errorf("second poll: got %s, want what was asked for", got)
		}
	})
	if status := <-ended; status != http.StatusConflict {
		t.Errorf("first poll: got %d, want 409", status)
	}
	f.Push("poll", `{"n":3}`)
	f.Push("message", `{"n":4}`)
	wg.Wait()
}

// TestWebhook: updates are posted in order with the secret, again when they are not taken, and an answer may be a call.
func TestWebhook(t *testing.T) {
	t.Parallel()
	f, call := serve(t, telegramtest.Options{Again: time.Millisecond})
	var mu sync.Mutex
	var got []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		b, _ := io.ReadAll(r.Body)
		got = append(got, r.Header.Get("X-Telegram-Bot-Api-Secret-Token")+string(b))
		if len(got) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"method":"sendMessage","chat_id":5,"text":"pong"}`)
	}))
	t.Cleanup(hook.Close)
	call("setWebhook", fmt.Sprintf(`{"url":%q,"secret_token":"s3"}`, hook.URL))
	id := f.Push("message", `{"n":1}`)
	f.Push("message", `{"n":2}`)
	deadline := time.Now().Add(10 * time.Second)
	for len(f.Sent()) < 2 && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	one := fmt.Sprintf(`s3{"update_id":%d, "message":{"n":1}}`, id)
	two := fmt.Sprintf(`s3{"update_id":%d, "message":{"n":2}}`, id+1)
	if fmt.Sprint(got) != fmt.Sprint([]string{one, one, two}) {
		t.Errorf("got %q, want the first one twice and the second", got)
	}
	if all := f.Sent(); len(all) != 2 || all[0].Text != "pong" || all[0].Chat != "5" {
		t.Errorf("sent: got %+v, want what the answers said", all)
	}
	if status, _ := call("getUpdates", `{}`); status != http.StatusConflict {
		t.Errorf("poll beside a webhook: got %d, want 409", status)
	}
}

// TestLimits: one message a second in a private chat, twenty a minute in a group, and what Telegram says of more.
func TestLimits(t *testing.T) {
	t.Parallel()
	f, call := serve(t, telegramtest.Options{All: telegramtest.Rate{N: -1}})
	for chat, most := range map[string]int{"5": 3, "-5": 20} {
		accepted := 0
		for range most + 2 {
			status, body := call("sendMessage", fmt.Sprintf(`{"chat_id":%s,"text":"x"}`, chat))
			if status == http.StatusOK {
				accepted++
			} else if status != http.StatusTooManyRequests || !strings.Contains(body, `"retry_after":`) {
				t.Errorf("got %d %s, want 429", status, body)
			}
		}
		if accepted < most || accepted > most+1 {
			t.Errorf("%s: got %d accepted, want about %d", chat, accepted, most)
		}
	}
	if f.Throttled() < 2 {
		t.Errorf("got %d refusals, want some", f.Throttled())
	}
}
