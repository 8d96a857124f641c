package astrbot_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/astrbot"
	"github.com/imrelay/imrelay/relay/agent/astrbot/astrbottest"
	"github.com/imrelay/imrelay/relay/secret"
)

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// A conversation is one session of one user, whoever speaks in it, and every message of the stream is a reply.
func TestAPI(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Says: func(q string, _ int) []astrbottest.Chunk {
		return []astrbottest.Chunk{
			{After: 20 * time.Millisecond, Items: []astrbottest.Item{astrbottest.Text("re: " + q)}},
			{Items: []astrbottest.Item{
				{Type: "image", Content: "[IMAGE]1f3c.jpg"}, {Type: "record", Content: "[RECORD]https://a/b.wav"},
			}},
			{Items: []astrbottest.Item{astrbottest.Text("bye")}},
		}
	}})
	w := newWorld(t)
	a := newAgent(t, astrbot.Config{URL: f.Base(), Mode: "api"}, w.Wire)
	for _, sender := range []string{"Alice", "Bob"} {
		e := event("evt_"+sender, "hi")
		e.Conversation, e.Note.Group, e.Note.Nickname = "8@chatroom", true, sender
		out := deliver(t, a, e)
		if got, want := texts(out.Replies), []string{"re: " + sender + ": hi", "", "bye"}; !slices.Equal(got, want) {
			t.Errorf("said %q, want %q", got, want)
		}
		if want := []relay.Media{{Type: "voice", URL: "https://a/b.wav"}}; !slices.Equal(out.Replies[1].Media, want) {
			t.Errorf("got %+v, want %+v", out.Replies[1].Media, want)
		}
		if got := out.Replies[2]; got.Key != agent.AnswerKey(e.ID, 2) || got.ReplyTo != e.Note.MessageID {
			t.Errorf("got %+v", got)
		}
		if got := string(out.Body); got != "re: "+sender+": hi\nbye" || !strings.HasPrefix(out.ContentType, "text/plain") {
			t.Errorf("answered %q as %s", got, out.ContentType)
		}
		ask := f.Asks()[len(f.Asks())-1]
		if doc := gjson.Parse(ask.Body); doc.Get("username").Str != "wechat.8@chatroom" || doc.Get("enable_streaming").Type != gjson.False {
			t.Errorf("asked %s", ask.Body)
		}
	}
	if !strings.Contains(w.Logged(), "parts of an answer") {
		t.Errorf("logged %s", w.Logged())
	}
}

// A stream that does not come to its end is no answer, and neither is one that ends in an error.
func TestAPIBroken(t *testing.T) {
	t.Parallel()
	for how, status := range map[string]int{"cut": 0, "short": 0, "error": 500} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			f := astrbottest.New(t, astrbottest.Options{Token: token})
			a := newAgent(t, astrbot.Config{URL: f.Base(), Mode: "api"}, newWorld(t).Wire)
			f.Break(how)
			out, err := a.Deliver(t.Context(), event("evt_1", "hi"), 1)
			ae, failed := errors.AsType[*relay.AttemptError](err)
			if failed != (status == 0) || out.Status != status || len(out.Replies) > 0 || failed && ae.Unreachable {
				t.Errorf("got %+v, %v", out, err)
			}
			f.Break("")
			if out := deliver(t, a, event("evt_1", "hi")); len(out.Replies) != 1 || out.Replies[0].Key != "evt_1/1" {
				t.Errorf("got %+v", out)
			}
		})
	}
}

// An agent that falls silent in the middle of a stream is a time-out.
func TestAPISilent(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Says: after(time.Hour)})
	w := newWorld(t)
	w.Wire.Timeout = 200 * time.Millisecond
	_, err := newAgent(t, astrbot.Config{URL: f.Base(), Mode: "api"}, w.Wire).Deliver(t.Context(), event("evt_1", "hi"), 1)
	if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || !ae.Timeout || ae.Unreachable {
		t.Errorf("got %v, want a time-out", err)
	}
}

// What cannot work is refused when the relay starts, all of it at once, without showing it.
func TestNew(t *testing.T) {
	t.Parallel()
	const url, path = "http://127.0.0.1:1/api/plug/v1/chat", "0123456789abcdef"
	for _, tc := range []struct {
		name           string
		url, key, path string
		mode           string
		signed         bool
		want           []string
	}{
		{"poll", url, token, "", "", false, nil},
		{"callback", url, token, path, "callback", false, nil},
		{"api", "https://bot.example/sub/", token, "", "api", false, nil},
		{"nothing", "", "", "", "", false, []string{"url is missing", "token is missing"}},
		{"everything", "ftp://x", "two words", "secret/path", "push", false, []string{"url is no", "token holds", "mode is none", "callback_path"}},
		{"no path", url, token, "", "callback", false, []string{"callback_path"}},
		{"short path", url, token, path[1:], "callback", false, []string{"callback_path"}},
		{"path with a slash", url, token, path + "/", "callback", false, []string{"callback_path"}},
		{"path for nothing", url, token, path, "poll", false, []string{"callback_path"}},
		{"base with a query", "http://a/?b=1", token, "", "api", false, []string{"url has a ?"}},
		{"standard webhooks", url, token, "", "", true, []string{"standard_webhooks"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Wire.StandardWebhooks = tc.signed
			a, err := astrbot.New(astrbot.Config{
				URL: tc.url, Token: secret.New(tc.key), Mode: tc.mode, CallbackPath: secret.New(tc.path),
			}, w.Wire)
			if len(tc.want) == 0 {
				if err != nil || a.Path() != secret.New(tc.path) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("was taken")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "two words") || tc.path != "" && strings.Contains(err.Error(), tc.path) {
				t.Errorf("shows a secret: %v", err)
			}
		})
	}
}

// A mode that is not called back has no callback.
func TestNotCalledBack(t *testing.T) {
	t.Parallel()
	a := newAgent(t, astrbot.Config{URL: "http://127.0.0.1:1"}, newWorld(t).Wire)
	err := a.Callback(t.Context(), []byte(`{"msg_id":"evt_1","data":[]}`))
	if refusal, ok := errors.AsType[*relay.Refusal](err); !ok || refusal.Code != relay.CodeNotFound || !a.Path().IsZero() {
		t.Errorf("got %v", err)
	}
}
