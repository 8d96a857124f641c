package ipadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/ipad"
	"github.com/imrelay/imrelay/relay/egress"
)

// What the suite sends.
const (
	Room = "39107264815@chatroom"
	PNG  = "\x89PNG\r\n\x1a\nand what follows"
	Silk = "\x02#!SILK_V3\x0c\x00\xa7"
	ID   = "8120394857610293847"
	// host is a server that is called without a socket.
	host = "http://im.example"
)

// Call is what a server saw of one.
type Call struct{ Method, URI, Body, ContentType string }

// Posted is a message and the call that it is. A medium whose URL is a path is at the server: a.png and a.silk are there.
type Posted struct {
	Name    string
	Call    Call
	Message outbound.Message
}

// Login is an answer to the question for the login, and what it means.
type Login struct {
	Name, Answer string
	In, Known    bool
}

// Harness tells the suite about one kind of server.
type Harness struct {
	// Server makes a server of the kind, Base is its API's path, and New makes the connector for an API.
	Server func(o Options) *Server
	Base   string
	New    func(t *testing.T, base string, w connector.Wire) ipad.Connector
	// Messages are one of each kind that it takes, and Arrive what becomes of them, without id, time and recipient. The
	// last is a medium.
	Messages []outbound.Message
	Arrive   []Sent
	// Fetches says that the connector gives the server a medium's bytes.
	Fetches bool
	// Sent is the answer to a message that was sent, with %s for its id as JSON.
	Sent string
	// Failed is the answer to one that was not, whose code says nothing, with %s for its words as JSON.
	Failed string
	// IDs are the ids of answers that tell of a sent message, and Offline says of answers that do not whether they tell of
	// a logout.
	IDs     map[string]string
	Offline map[string]bool
	// Logins are answers to the call Asks.
	Logins []Login
	Asks   Call
	Posts  []Posted
}

// Run checks what all connectors of such servers do.
func Run(t *testing.T, h Harness) {
	t.Helper()
	t.Run("one of each kind", h.each)
	t.Run("pace", h.pace)
	t.Run("faults", h.faults)
	t.Run("media take longer", h.slowMedia)
	t.Run("socket", h.socket)
	t.Run("ids", h.ids)
	t.Run("offline", h.offline)
	t.Run("logins", h.logins)
	t.Run("posts", h.posts)
	t.Run("words", h.words)
	t.Run("own words", h.ownWords)
	t.Run("many mentions", h.manyMentions)
	t.Run("timeouts", h.timeouts)
	t.Run("fetching", h.fetching)
	t.Run("calls nobody", h.nobody)
}

// open makes a connector that calls the server without a socket.
func (h Harness) open(t *testing.T, im *Server) ipad.Connector {
	t.Helper()
	return h.New(t, host+h.Base, connector.Wire{Doer: im})
}

// answering makes a connector whose server answers everything with the body.
func (h Harness) answering(t *testing.T, body string) (c ipad.Connector, base string, calls chan Call) {
	t.Helper()
	calls = make(chan Call, 10)
	im := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a.png":
			_, _ = io.WriteString(w, PNG)
		case "/a.silk":
			_, _ = io.WriteString(w, Silk)
		case "/b.png":
			http.NotFound(w, r)
		default:
			b, _ := io.ReadAll(r.Body)
			calls <- Call{r.Method, r.RequestURI, string(b), r.Header.Get("Content-Type")}
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(im.Close)
	return h.New(t, im.URL+h.Base, connector.Wire{Doer: Dial(t)}), im.URL, calls
}

// Dial makes a client for real sockets.
func Dial(tb testing.TB) *egress.Client {
	tb.Helper()
	c := egress.New(egress.Options{})
	tb.Cleanup(c.Close)
	return c
}

// WantError wants a SendError.
func WantError(t *testing.T, err error) *outbound.SendError {
	t.Helper()
	e, ok := errors.AsType[*outbound.SendError](err)
	if !ok {
		t.Fatalf("got %v, want a SendError", err)
	}
	return e
}

// WantMistakes wants a line for each of the keys, in their order, and nothing of what is hidden.
func WantMistakes(t *testing.T, err error, hidden string, keys ...string) {
	t.Helper()
	if err == nil || strings.Contains(err.Error(), hidden) {
		t.Fatalf("got %v, want an error that hides %q", err, hidden)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, key := range keys {
		if len(lines) != len(keys) || !strings.HasPrefix(lines[i], key) {
			t.Errorf("got %q, want one of each of %q", lines, keys)
		}
	}
}

// pass lets the bubble's clock go on.
func pass(d time.Duration) { <-time.After(d) }

// hello is a text to somebody.
func hello() outbound.Message { return outbound.Message{To: "wxid_alice", Text: "hello"} }

// each sends one of each kind to a server that is picky.
func (h Harness) each(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := h.Server(Options{})
		c := h.open(t, im)
		for i, m := range h.Messages {
			pass(Gap)
			m.To = Room
			r, err := c.Send(t.Context(), m)
			if err != nil {
				t.Fatalf("%s: %v", h.Arrive[i].Type, err)
			}
			want := h.Arrive[i]
			want.ID, want.To = r.ID, Room
			sent := im.Sent()
			got := sent[len(sent)-1]
			if got.At = (time.Time{}); r.ID == "" || !reflect.DeepEqual(got, want) {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
		}
	})
}

// pace: whoever keeps the pace is not punished, and whoever does not is logged out.
func (h Harness) pace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := h.Server(Options{})
		c := h.open(t, im)
		l, _ := c.Pace("wxid_alice")
		send := func(d time.Duration) error {
			pass(d)
			_, err := c.Send(t.Context(), hello())
			return err
		}
		for range 30 {
			if err := send(l.Account.Per); err != nil {
				t.Fatalf("in pace: %v", err)
			}
		}
		for i := range Strikes {
			e := WantError(t, send(Gap-time.Millisecond))
			if e.Reason != outbound.Throttled || e.After != 3*time.Minute || e.Recipient {
				t.Fatalf("too fast, %d: got %+v", i, e)
			}
		}
		if e := WantError(t, send(time.Minute)); e.Reason != outbound.NotSent || !e.Offline {
			t.Errorf("logged out: got %+v", e)
		}
		if on, err := c.Online(t.Context()); on || err != nil || im.Punished() != Strikes {
			t.Errorf("got online %v, %v, punished %d", on, err, im.Punished())
		}
		im.LogIn()
		if on, err := c.Online(t.Context()); !on || err != nil {
			t.Errorf("after the login: got %v, %v", on, err)
		}
		if err := send(l.Account.Per); err != nil || len(im.Sent()) != 31 {
			t.Errorf("after the login: got %v, %d sent", err, len(im.Sent()))
		}
	})
}

// faults: what is delivered, and what the connector says of it.
func (h Harness) faults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		fault     Fault
		slow      time.Duration
		want      outbound.Reason
		delivered int
	}{
		{"hang-up", HangUp, 0, outbound.Uncertain, 0},
		{"hang-up after the message was taken", HangUpAfter, 0, outbound.Uncertain, 1},
		{"WeChat was slow", TimedOut, 0, outbound.Uncertain, 1},
		{"blocked", Refused, 0, outbound.Rejected, 0},
		{"the answer is slow", None, 9 * time.Second, 0, 1},
		{"the answer is too slow", None, 11 * time.Second, outbound.Uncertain, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := h.Server(Options{Slow: tt.slow, Fault: func(int) Fault { return tt.fault }})
				_, err := h.open(t, im).Send(t.Context(), hello())
				var got outbound.Reason
				if e, ok := errors.AsType[*outbound.SendError](err); ok {
					got = e.Reason
				}
				if got != tt.want || len(im.Sent()) != tt.delivered {
					t.Errorf("got %v (%v), %d delivered; want %v, %d", got, err, len(im.Sent()), tt.want, tt.delivered)
				}
			})
		})
	}
}

// slowMedia: the call for a medium has the time that the server needs to fetch it, or to upload it.
func (h Harness) slowMedia(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := h.Messages[len(h.Messages)-1]
		m.To = Room
		if _, err := h.open(t, h.Server(Options{Slow: 30 * time.Second})).Send(t.Context(), m); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// socket: the same server behind a real socket.
func (h Harness) socket(t *testing.T) {
	t.Parallel()
	im := h.Server(Options{Fault: func(int) Fault { return HangUpAfter }})
	c := h.New(t, im.Start(t)+h.Base, connector.Wire{Doer: Dial(t)})
	_, err := c.Send(t.Context(), hello())
	if e := WantError(t, err); e.Reason != outbound.Uncertain || len(im.Sent()) != 1 {
		t.Errorf("got %v, %d delivered; want unknown, and 1", e, len(im.Sent()))
	}
	if on, err := c.Online(t.Context()); !on || err != nil {
		t.Errorf("got %v, %v; want online", on, err)
	}
}

// ids: which spellings of success give which id.
func (h Harness) ids(t *testing.T) {
	t.Parallel()
	for body, want := range h.IDs {
		c, _, _ := h.answering(t, body)
		if r, err := c.Send(t.Context(), hello()); err != nil || r.ID != want {
			t.Errorf("%s: got %q, %v; want %q", body, r.ID, err, want)
		}
	}
}

// offline: the account is offline when the answer says so, and for no other failure.
func (h Harness) offline(t *testing.T) {
	t.Parallel()
	for body, want := range h.Offline {
		c, _, _ := h.answering(t, body)
		_, err := c.Send(t.Context(), hello())
		if e := WantError(t, err); e.Offline != want || want && e.Reason != outbound.NotSent {
			t.Errorf("%s: got %+v, want offline %v", body, e, want)
		}
	}
}

// logins: what the question for the login finds out.
func (h Harness) logins(t *testing.T) {
	t.Parallel()
	for _, tt := range h.Logins {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			c, _, calls := h.answering(t, tt.Answer)
			if got, err := c.Online(t.Context()); got != tt.In || (err == nil) != tt.Known {
				t.Errorf("got %v, %v; want %v, known %v", got, err, tt.In, tt.Known)
			}
			if got := <-calls; got != h.Asks {
				t.Errorf("\n got %+v\nwant %+v", got, h.Asks)
			}
		})
	}
	c := h.New(t, "http://im.invalid"+h.Base, connector.Wire{Doer: Dial(t)})
	if got, err := c.Online(t.Context()); got || err == nil {
		t.Errorf("nobody there: got %v, %v; want an error", got, err)
	}
}

// posts: what is posted, and where.
func (h Harness) posts(t *testing.T) {
	t.Parallel()
	for _, tt := range h.Posts {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			c, base, calls := h.answering(t, fmt.Sprintf(h.Sent, ID))
			m := tt.Message
			m.To = Room
			if len(m.Media) > 0 && strings.HasPrefix(m.Media[0].URL, "/") {
				m.Media = []outbound.Media{m.Media[0]}
				m.Media[0].URL = base + m.Media[0].URL
			}
			if r, err := c.Send(t.Context(), m); err != nil || r.ID != ID {
				t.Fatalf("got %+v, %v", r, err)
			}
			if got := <-calls; got != tt.Call || len(calls) != 0 {
				t.Errorf("\n got %+v and %d more\nwant %+v", got, len(calls), tt.Call)
			}
		})
	}
}

// words: those of a server that crashed, or could not read WeChat's answer, do not say that nothing was sent.
func (h Harness) words(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]outbound.Reason{
		"runtime error: invalid memory address or nil pointer dereference": outbound.Uncertain,
		"invalid character '<' looking for beginning of value":             outbound.Uncertain,
		"proto: illegal wireType 7":                                        outbound.Uncertain,
		"json: cannot unmarshal string into Go value, permission x":        outbound.Uncertain,
		"返回数据格式错误":                                                         outbound.Uncertain,
		"响应参数解析失败":                                                         outbound.Uncertain,
		"invalid something":                                                outbound.Uncertain,
		"无效":                                                               outbound.Uncertain,
		"参数错误":                                                             outbound.Rejected,
		"invalid wxid":                                                     outbound.Rejected,
		"对方不是好友":                                                           outbound.Rejected,
		"操作频繁":                                                             outbound.Throttled,
		"账号已退出登录":                                                          outbound.NotSent,
	} {
		c, _, _ := h.answering(t, fmt.Sprintf(h.Failed, Quote(words)))
		_, err := c.Send(t.Context(), hello())
		if e := WantError(t, err); e.Reason != want {
			t.Errorf("%s: got %+v, want %v", words, e, want)
		}
	}
}

// ownWords: a server that repeats what is the message's says nothing by it.
func (h Harness) ownWords(t *testing.T) {
	t.Parallel()
	medium := h.Messages[len(h.Messages)-1]
	named := medium.Media[0]
	named.Name = "操作频繁.doc"
	for words, m := range map[string]outbound.Message{
		"设备已离线":                                {To: "wxid_alice", Text: "设备已离线"},
		"send wxid to wxid_offline2008 failed": {To: "wxid_offline2008", Text: "wxid"},
		"answer to offline_1 lost":             {To: "wxid_alice", Text: "hello", ReplyTo: "offline_1"},
		"at wxid_offline lost":                 {To: Room, Text: "hello", Mentions: []outbound.Mention{{ID: "wxid_offline", Name: "Alice"}}},
		"@参数错误 lost":                           {To: Room, Text: "hello", Mentions: []outbound.Mention{{ID: "wxid_alice", Name: "参数错误"}}},
		"操作频繁.doc lost":                        {To: Room, Media: []outbound.Media{named}},
	} {
		c, _, _ := h.answering(t, fmt.Sprintf(h.Failed, Quote(words)))
		_, err := c.Send(t.Context(), m)
		if e := WantError(t, err); e.Reason != outbound.Uncertain || e.Offline {
			t.Errorf("%s: got %+v, want unknown, and not offline", words, e)
		}
	}
}

// manyMentions: the longest text with the most names is no longer than a call may be, and all who are called are named.
func (h Harness) manyMentions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := h.Server(Options{})
		c := h.open(t, im)
		m := outbound.Message{To: Room, Text: strings.Repeat("x", c.MaxText())}
		for i := range 50 {
			m.Mentions = append(m.Mentions, outbound.Mention{ID: fmt.Sprint("wxid_", i), Name: strings.Repeat("长", 256)})
		}
		if _, err := c.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		got := im.Sent()[0]
		if n := c.Measure(got.Text); n > 2000 || len(got.Ats) != 5 || strings.Count(got.Text, "@") != 5 || !strings.HasSuffix(got.Text, m.Text) {
			t.Errorf("got %d units, %d called; want at most 2000 with the whole text, and 5", n, len(got.Ats))
		}
	})
}

// asked takes every call for sent, and remembers the last.
type asked struct {
	answer string
	call   egress.Call
}

// Do implements [egress.Doer].
func (a *asked) Do(_ context.Context, c egress.Call) (egress.Answer, error) {
	a.call = c
	return egress.Answer{Status: http.StatusOK, Body: []byte(a.answer)}, nil
}

// timeouts: a medium gets more time, as much as is left of a send's minute; what is configured holds for both.
func (h Harness) timeouts(t *testing.T) {
	t.Parallel()
	for configured, want := range map[time.Duration][2]time.Duration{
		0: {10 * time.Second, 35 * time.Second}, 5 * time.Second: {5 * time.Second, 5 * time.Second},
	} {
		im := &asked{answer: fmt.Sprintf(h.Sent, ID)}
		c := h.New(t, host+h.Base, connector.Wire{Doer: im, Timeout: configured})
		for i, m := range []outbound.Message{hello(), h.Messages[len(h.Messages)-1]} {
			if _, err := c.Send(t.Context(), m); err != nil || im.call.Timeout != want[i] {
				t.Errorf("%v: got %v, %v; want %v", configured, im.call.Timeout, err, want[i])
			}
		}
	}
}

// fetching: media are not fetched with what calls the server, which may go where strangers must not.
func (h Harness) fetching(t *testing.T) {
	t.Parallel()
	im, media := &asked{answer: fmt.Sprintf(h.Sent, ID)}, &asked{answer: PNG}
	c := h.New(t, host+h.Base, connector.Wire{Doer: im, Media: media})
	m := outbound.Message{To: Room, Media: []outbound.Media{{Type: "image", URL: "https://a.example/a.png"}}}
	if _, err := c.Send(t.Context(), m); err != nil || !strings.HasPrefix(im.call.URL, host) || (media.call.URL != "") != h.Fetches {
		t.Errorf("got %v, called %q and %q", err, im.call.URL, media.call.URL)
	}
}

// nobody: what is refused calls nobody.
func (h Harness) nobody(t *testing.T) {
	t.Parallel()
	calling := func(id string) outbound.Message {
		return outbound.Message{Text: "x", Mentions: []outbound.Mention{{ID: "wxid_alice"}, {ID: id}}}
	}
	picture := outbound.Media{Type: "image", URL: "https://a.example/a.png"}
	tests := []struct {
		name, code string
		m          outbound.Message
	}{
		{"everybody", "mention", calling("Notify@All")},
		{"everybody, announced", "mention", calling("announcement@all")},
		{"everybody, in Chinese", "mention", calling("所有人")},
		{"several", "mention", calling("wxid_bob,notify@all")},
		{"a video", "media", outbound.Message{Media: []outbound.Media{{Type: "video", URL: picture.URL, Millis: 1}}}},
		{"a voice message of no length", "media", outbound.Message{Media: []outbound.Media{{Type: "voice", URL: picture.URL}}}},
		{"a picture with a text", "media", outbound.Message{Text: "x", Media: []outbound.Media{picture}}},
		{"two pictures", "media", outbound.Message{Media: []outbound.Media{picture, picture}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _, calls := h.answering(t, fmt.Sprintf(h.Sent, ID))
			tt.m.To = Room
			_, err := c.Send(t.Context(), tt.m)
			e := WantError(t, err)
			if e.Reason != outbound.Rejected || !e.Ours || e.Code != tt.code || len(calls) != 0 {
				t.Errorf("got %+v after %d calls, want ours (%s) after none", e, len(calls), tt.code)
			}
		})
	}
	for name, path := range map[string]string{"no picture": "/a.silk", "nothing there": "/b.png", "nobody there": "http://nobody.invalid/a.png"} {
		if !h.Fetches {
			break
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, base, calls := h.answering(t, fmt.Sprintf(h.Sent, ID))
			if strings.HasPrefix(path, "/") {
				path = base + path
			}
			_, err := c.Send(t.Context(), outbound.Message{To: Room, Media: []outbound.Media{{Type: "image", URL: path}}})
			if e := WantError(t, err); e.Reason != outbound.Rejected || !e.Ours || e.Code != "media" || len(calls) != 0 {
				t.Errorf("got %+v after %d calls, want ours after none", e, len(calls))
			}
		})
	}
	t.Run("not ready", func(t *testing.T) {
		t.Parallel()
		c, _, calls := h.answering(t, fmt.Sprintf(h.Sent, ID))
		m := hello()
		m.Ready = func() error { return errors.New("no") }
		_, err := c.Send(t.Context(), m)
		if e := WantError(t, err); e.Reason != outbound.NotSent || len(calls) != 0 {
			t.Errorf("got %v after %d calls, want it not sent, after none", e, len(calls))
		}
	})
}
