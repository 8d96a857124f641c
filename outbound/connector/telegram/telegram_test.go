package telegram_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/connectortest"
	"github.com/imrelay/imrelay/outbound/connector/telegram"
	"github.com/imrelay/imrelay/outbound/connector/telegram/telegramtest"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

const (
	user  = "5812345678"
	group = "-1002212345678"
)

func dial(t *testing.T) *egress.Client {
	t.Helper()
	c := egress.New(egress.Options{})
	t.Cleanup(c.Close)
	return c
}

// rig is a connector before a fake.
type rig struct {
	outbound.Connector
	im     *telegramtest.Fake
	url    string
	alarms *alarms
}

func newRig(t *testing.T, c telegram.Config, o telegramtest.Options) *rig {
	t.Helper()
	r := &rig{im: telegramtest.New(o), alarms: newAlarms()}
	server := httptest.NewServer(r.im)
	t.Cleanup(server.Close)
	t.Cleanup(r.im.Close)
	r.url = server.URL
	if c.URL == "" {
		c.URL = server.URL
	}
	if c.Token.IsZero() {
		c.Token = secret.New(telegramtest.Token)
	}
	r.Connector = open(t, c, connector.Wire{Doer: dial(t), Alarm: r.alarms, Timeout: 5 * time.Second})
	return r
}

func open(t *testing.T, c telegram.Config, w connector.Wire) outbound.Connector {
	t.Helper()
	out, err := telegram.New(c, w)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	return out
}

// send sends what must be accepted, and returns what the server saw.
func (r *rig) send(t *testing.T, m outbound.Message) telegramtest.Sent {
	t.Helper()
	before := len(r.im.Sent())
	receipt, err := r.Send(t.Context(), m)
	if err != nil {
		t.Fatalf("send: %v", err)
	}
	all := r.im.Sent()
	if len(all) != before+1 || receipt.ID != fmt.Sprint(all[before].ID) {
		t.Fatalf("got id %q and %d messages, want the id of one more than %d", receipt.ID, len(all), before)
	}
	return all[before]
}

// refused sends what must not be accepted.
func (r *rig) refused(t *testing.T, to string, want outbound.Reason) *outbound.SendError {
	t.Helper()
	_, err := r.Send(t.Context(), outbound.Message{To: to, Text: "good morning"})
	e, ok := errors.AsType[*outbound.SendError](err)
	if !ok || e.Reason != want {
		t.Fatalf("got %v, want %v", err, want)
	}
	for _, hidden := range []string{telegramtest.Token, "good morning", r.url} {
		if strings.Contains(e.Error(), hidden) {
			t.Errorf("error shows %q: %v", hidden, e)
		}
	}
	return e
}

func TestConformance(t *testing.T) {
	t.Parallel()
	no := func(name string, status, code int, words string) connectortest.Refusal {
		return connectortest.Refusal{
			Name: name, Status: status, Body: fmt.Sprintf(`{"ok":false,"error_code":%d,"description":%q}`, code, words),
			Want: outbound.Rejected, Code: fmt.Sprint(code),
		}
	}
	connectortest.Run(t, connectortest.Harness{
		New: func(t *testing.T, s connectortest.Setup) outbound.Connector {
			t.Helper()
			return open(t, telegram.Config{URL: s.URL, Token: secret.New(s.Secret)}, connector.Wire{Doer: dial(t), Alarm: newAlarms(), Timeout: s.Timeout})
		},
		Sent: func(id string) string {
			return fmt.Sprintf(`{"ok":true,"result":{"message_id":%s,"date":1767002431,"chat":{"id":5812345678}}}`, id)
		},
		Refusals: []connectortest.Refusal{
			no("a failure behind a 200", 200, 403, "Forbidden: bot was blocked by the user"),
			{Name: "a throttle behind a 200", Status: 200, Body: `{"ok":false,"error_code":429,"parameters":{"retry_after":4}}`, Want: outbound.Throttled, After: 4 * time.Second},
			{Name: "a failure without a code behind a 200", Status: 200, Body: `{"ok":false}`, Want: outbound.Rejected},
			{Name: "a 200 of somebody else", Status: 200, Body: `<html>welcome</html>`, Want: outbound.Uncertain},
			{Name: "a 200 of nothing", Status: 200, Body: `{}`, Want: outbound.Uncertain},
			no("blocked", 403, 403, "Forbidden: bot was blocked by the user"),
			no("no such chat", 400, 400, "Bad Request: chat not found"),
			no("token revoked", 401, 401, "Unauthorized"),
			{
				Name: "too many", Status: 429, Want: outbound.Throttled, After: 14 * time.Second, Code: "429",
				Body: `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 14","parameters":{"retry_after":14}}`,
			},
			{Name: "moved", Status: 400, Want: outbound.NotSent, Body: `{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-1002212345678}}`},
			{Name: "moved to no number", Status: 400, Want: outbound.Rejected, Body: `{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":"x"}}`},
		},
	})
}

// TestPlaces: what a conversation of the format becomes at the API.
func TestPlaces(t *testing.T) {
	t.Parallel()
	r := newRig(t, telegram.Config{}, telegramtest.Options{})
	type seen struct{ chat, topic, direct, business, reply string }
	for _, row := range []struct {
		name, to, reply string
		want            seen
	}{
		{"user", user, "5120", seen{chat: user, reply: "5120"}},
		{"group", group, "", seen{chat: group}},
		{"public channel", "@relay_news", "", seen{chat: "@relay_news"}},
		{"topic", group + "/17", "5120", seen{chat: group, topic: "17", reply: "5120"}},
		{"direct messages", group + "/direct/9007199254740993", "", seen{chat: group, direct: "9007199254740993"}},
		{"business", user + "/business/Bx1_y-2", "", seen{chat: user, business: "Bx1_y-2"}},
		{"what is no message", group, "update:803512344", seen{chat: group}},
	} {
		s := r.send(t, outbound.Message{To: row.to, Text: "hello", ReplyTo: row.reply})
		if got := (seen{s.Chat, s.Topic, s.Direct, s.Business, s.Reply}); got != row.want {
			t.Errorf("%s: got %+v, want %+v", row.name, got, row.want)
		}
		for _, never := range []string{"parse_mode", "link_preview_options", "entities"} {
			if v, given := s.Fields[never]; given {
				t.Errorf("%s: got %s=%s, want none", row.name, never, v)
			}
		}
		if row.reply == "5120" && !strings.Contains(s.Fields["reply_parameters"], `"allow_sending_without_reply":true`) {
			t.Errorf("%s: reply is %s, want one that a deleted message does not stop", row.name, s.Fields["reply_parameters"])
		}
	}
	for _, to := range []string{"", "/17", group + "/", group + "/x", group + "/0", group + "/direct/", group + "/direct/x", user + "/business/"} {
		if e := r.refused(t, to, outbound.Rejected); e.Code != "recipient" {
			t.Errorf("%q: got %v, want it refused without a call", to, e)
		}
	}
	if n := r.im.Calls("sendMessage"); n != 7 {
		t.Errorf("calls: got %d, want 7", n)
	}
}

func TestMedia(t *testing.T) {
	t.Parallel()
	r := newRig(t, telegram.Config{}, telegramtest.Options{Private: telegramtest.Rate{N: -1}})
	for _, row := range []struct{ kind, method, duration string }{
		{"image", "sendPhoto", ""}, {"file", "sendDocument", ""}, {"voice", "sendVoice", "3"}, {"video", "sendVideo", "3"},
	} {
		s := r.send(t, outbound.Message{
			To: user + "/business/b", ReplyTo: "7",
			Media: []outbound.Media{{Type: row.kind, URL: "https://files.example/a?b=c&d", Millis: 2100}},
		})
		if s.Method != row.method || s.File != "https://files.example/a?b=c&d" || s.Fields["duration"] != row.duration ||
			s.Business != "b" || s.Reply != "7" {
			t.Errorf("%s: got %+v", row.kind, s)
		}
	}
}

func TestCarry(t *testing.T) {
	t.Parallel()
	c := newRig(t, telegram.Config{}, telegramtest.Options{}).Connector.(outbound.Carrier)
	for _, row := range []struct {
		kind, url string
		want      bool
	}{
		{"image", "https://files.example/a.png", true},
		{"voice", "http://files.example/a.ogg", true},
		{"video", "https://files.example/a.mp4", true},
		{"file", "https://files.example/a.PDF?x=1", true},
		{"file", "https://files.example/download", true},
		{"file", "https://files.example/a.docx", false},
		{"sticker", "https://files.example/a.webp", false},
		{"image", "http://169.254.169.254/latest", false},
		{"image", "http://0xA9FEA9FE/latest", false},
		{"image", "data:image/png;base64,AAAA", false},
		{"image", "/etc/passwd", false},
	} {
		if err := c.Carry(outbound.Media{Type: row.kind, URL: row.url}); (err == nil) != row.want {
			t.Errorf("%s %s: got %v, want it taken: %v", row.kind, row.url, err, row.want)
		}
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	c := newRig(t, telegram.Config{}, telegramtest.Options{}).Connector.(outbound.Paced)
	account := outbound.Rate{N: 25, Per: time.Second, Burst: 5}
	private := outbound.Rate{N: 1, Per: time.Second, Burst: 3}
	many := outbound.Rate{N: 20, Per: time.Minute, Burst: 5}
	for to, want := range map[string]struct {
		rate    outbound.Rate
		counted string
	}{
		user:                 {private, user},
		user + "/business/b": {private, user},
		group:                {many, group},
		group + "/17":        {many, group},
		"@relay_news":        {many, "@relay_news"},
	} {
		l, counted := c.Pace(to)
		if l.Account != account || l.Recipient != want.rate || counted != want.counted {
			t.Errorf("%s: got %+v, %q; want %+v", to, l, counted, want)
		}
	}
}

// TestMoved: a group that became a supergroup is found again, in two calls of which the core makes the second.
func TestMoved(t *testing.T) {
	t.Parallel()
	r := newRig(t, telegram.Config{}, telegramtest.Options{})
	r.im.Migrate("-4012345678", group)
	_ = r.refused(t, "-4012345678", outbound.NotSent)
	if s := r.send(t, outbound.Message{To: "-4012345678", Text: "hello"}); s.Chat != group {
		t.Errorf("got %s, want the new id", s.Chat)
	}
	if s := r.send(t, outbound.Message{To: "-4012345678/17", Text: "hello"}); s.Chat != group || s.Topic != "17" {
		t.Errorf("got %s/%s, want the topic at the new id", s.Chat, s.Topic)
	}
	if n := r.im.Calls("sendMessage"); n != 3 {
		t.Errorf("calls: got %d, want 3", n)
	}
	r.im.Migrate(group, "-1009")
	_ = r.refused(t, "-4012345678", outbound.Rejected)
	r.im.Migrate("-5", "-5")
	_ = r.refused(t, "-5", outbound.Rejected)
}

// TestMovedMeanwhile: two sends go to the old place at once, and both are for the new one.
func TestMovedMeanwhile(t *testing.T) {
	t.Parallel()
	both := make(chan struct{}, 2)
	answer := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		both <- struct{}{}
		<-answer
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-1002212345678}}`))
	}))
	t.Cleanup(server.Close)
	r := &rig{url: server.URL, Connector: open(t, telegram.Config{URL: server.URL, Token: secret.New(telegramtest.Token)},
		connector.Wire{Doer: dial(t), Alarm: newAlarms(), Timeout: 5 * time.Second})}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _ = r.refused(t, "-4012345678", outbound.NotSent) })
	}
	<-both
	<-both
	close(answer)
	wg.Wait()
}

// TestThrottle: whom a 429 holds.
func TestThrottle(t *testing.T) {
	t.Parallel()
	r := newRig(t, telegram.Config{}, telegramtest.Options{
		Private: telegramtest.Rate{N: 1, Per: time.Hour}, Group: telegramtest.Rate{N: 1, Per: time.Minute},
	})
	r.send(t, outbound.Message{To: group, Text: "hello"})
	for _, to := range []string{group, group + "/17"} {
		e := r.refused(t, to, outbound.Throttled)
		if !e.Recipient || e.After < 50*time.Second || e.After > time.Minute || e.Code != "429" {
			t.Errorf("%s: got %+v, want the group held for a minute", to, e)
		}
	}
	other := "-1001"
	r.send(t, outbound.Message{To: other, Text: "hello"})
	if e := r.refused(t, other, outbound.Throttled); e.Recipient {
		t.Error("two groups at once: got the group held, want the account")
	}
	if e := r.refused(t, other, outbound.Throttled); !e.Recipient {
		t.Error("the same group again: got the account held, want the group")
	}
	for range 3 {
		r.send(t, outbound.Message{To: user, Text: "hello"})
	}
	if e := r.refused(t, user, outbound.Throttled); e.Recipient {
		t.Error("private chat: got the chat held, want the account")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, telegram.Config{}, telegramtest.Options{})
	r.im.Block(user)
	e := r.refused(t, user, outbound.Rejected)
	if e.Code != "403" || e.Detail != "Forbidden: bot was blocked by the user" {
		t.Errorf("got %v, want Telegram's words", e)
	}
	e = r.refused(t, "nobody", outbound.Rejected)
	if e.Code != "400" || e.Detail != "Bad Request: chat not found" {
		t.Errorf("got %v, want Telegram's words", e)
	}
}

// TestTokenAlarm is raised for a token that Telegram does not know, and cleared by what knows a good one.
func TestTokenAlarm(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"7104459213:revoked", "nonsense"} {
		r := newRig(t, telegram.Config{Token: secret.New(token)}, telegramtest.Options{})
		_ = r.refused(t, user, outbound.Rejected)
		if got := r.alarms.raised("token"); !strings.Contains(got, "@BotFather") || strings.Contains(got, token) {
			t.Errorf("%s: alarm: got %q, want one that says what to do", token, got)
		}
		next := open(t, telegram.Config{URL: r.url, Token: secret.New(telegramtest.Token)}, connector.Wire{Doer: dial(t), Alarm: r.alarms})
		if _, err := next.Send(t.Context(), outbound.Message{To: user, Text: "hello"}); err != nil {
			t.Fatal(err)
		}
		if got := r.alarms.raised("token"); got != "" {
			t.Errorf("alarm: got %q, want none", got)
		}
	}
}

// TestSecretsInTheAddress: a server that repeats what it was shown shows it to nobody else.
func TestSecretsInTheAddress(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"ok":false,"error_code":400,"description":"not for pass-word"}`))
	}))
	t.Cleanup(server.Close)
	c := open(t, telegram.Config{
		URL: strings.Replace(server.URL, "http://", "http://me:pass-word@", 1), Token: secret.New(telegramtest.Token),
	}, connector.Wire{Doer: dial(t), Alarm: newAlarms()})
	_, err := c.Send(t.Context(), outbound.Message{To: user, Text: "hello"})
	if err == nil || !strings.Contains(err.Error(), "not for") || strings.Contains(err.Error(), "pass-word") {
		t.Errorf("got %v, want the words without the password", err)
	}
}

// TestTokenAlarmDoesNotStick where a refusal and a success meet: the next success clears it.
func TestTokenAlarmDoesNotStick(t *testing.T) {
	t.Parallel()
	answers := make(chan int, 3)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := <-answers
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"ok":%v,"result":{"message_id":1}}`, status == http.StatusOK)
	}))
	t.Cleanup(server.Close)
	said := newAlarms()
	said.slow = make(chan struct{})
	r := &rig{url: server.URL, Connector: open(t, telegram.Config{URL: server.URL, Token: secret.New(telegramtest.Token)},
		connector.Wire{Doer: dial(t), Alarm: said, Timeout: 5 * time.Second})}
	good := func() {
		t.Helper()
		answers <- http.StatusOK
		if _, err := r.Send(t.Context(), outbound.Message{To: user, Text: "hello"}); err != nil {
			t.Fatalf("send: %v", err)
		}
	}
	answers <- http.StatusUnauthorized
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.refused(t, user, outbound.Rejected) })
	<-said.slow
	good()
	<-said.slow
	wg.Wait()
	good()
	if got := said.raised("token"); got != "" {
		t.Errorf("alarm: got %q, want none after a success", got)
	}
}

// TestFaults: what went wrong on Telegram's side, through the fake, which carries some of them out.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault telegramtest.Fault
		want  outbound.Reason
		sent  int
	}{
		{"hang-up", telegramtest.HangUp, outbound.Uncertain, 1},
		{"500", telegramtest.Broken, outbound.Uncertain, 1},
		{"502", telegramtest.Down, outbound.NotSent, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, telegram.Config{}, telegramtest.Options{Fault: func(string, int) telegramtest.Fault { return row.fault }})
			_ = r.refused(t, user, row.want)
			if n := len(r.im.Sent()); n != row.sent {
				t.Errorf("sent: got %d, want %d", n, row.sent)
			}
		})
	}
}

// TestReady: who may not send any more does not.
func TestReady(t *testing.T) {
	t.Parallel()
	r := newRig(t, telegram.Config{}, telegramtest.Options{})
	late := errors.New("the lease is over")
	_, err := r.Send(t.Context(), outbound.Message{To: user, Text: "hello", Ready: func() error { return late }})
	e, ok := errors.AsType[*outbound.SendError](err)
	if !ok || e.Reason != outbound.NotSent || !errors.Is(err, late) || r.im.Calls("sendMessage") != 0 {
		t.Errorf("got %v and %d calls, want it not sent", err, r.im.Calls("sendMessage"))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := telegram.Config{Token: secret.New(telegramtest.Token)}
	with := func(f func(c *telegram.Config)) telegram.Config {
		c := good
		f(&c)
		return c
	}
	for _, row := range []struct {
		name string
		c    telegram.Config
		want []string
	}{
		{"nothing", telegram.Config{}, []string{"token:"}},
		{"a token with a space", telegram.Config{Token: secret.New("123: abc")}, []string{"token:"}},
		{"a token with a path", telegram.Config{Token: secret.New("123:abc/../x")}, []string{"token:"}},
		{"another scheme", with(func(c *telegram.Config) { c.URL = "ftp://api.example" }), []string{"url:"}},
		{"no host", with(func(c *telegram.Config) { c.URL = "https:///bot" }), []string{"url:"}},
		{"a query", with(func(c *telegram.Config) { c.URL = "https://api.example?x=1" }), []string{"url:"}},
		{"a proxy over TLS", with(func(c *telegram.Config) { c.Proxy = secret.New("https://me:pass@proxy.example") }), []string{"proxy:"}},
		{"a proxy without a host", with(func(c *telegram.Config) { c.Proxy = secret.New("socks5://") }), []string{"proxy:"}},
		{"a word", with(func(c *telegram.Config) { c.Markdown = "html" }), []string{"markdown:"}},
		{"all", telegram.Config{URL: "x", Proxy: secret.New("me:pass"), Markdown: "x"}, []string{"token:", "url:", "proxy:", "markdown:"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := telegram.New(row.c, connector.Wire{})
			if err == nil {
				t.Fatal("got no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(row.want) {
				t.Errorf("got %q, want %d mistakes", err, len(row.want))
			}
			for i, want := range row.want {
				if !strings.HasPrefix(lines[i], want) || strings.Contains(lines[i], "pass") {
					t.Errorf("got %q, want one about %s", lines[i], want)
				}
			}
		})
	}
}

// TestProxy: with a proxy of its own nothing goes by the wire's client.
func TestProxy(t *testing.T) {
	t.Parallel()
	im := telegramtest.New(telegramtest.Options{})
	t.Cleanup(im.Close)
	asked := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Host + " " + r.Header.Get("Proxy-Authorization")
		im.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	c := open(t, telegram.Config{
		URL: "http://api.telegram.test", Token: secret.New(telegramtest.Token),
		Proxy: secret.New(strings.Replace(proxy.URL, "http://", "http://me:pass@", 1)),
	}, connector.Wire{Alarm: newAlarms()})
	if _, err := c.Send(t.Context(), outbound.Message{To: user, Text: "hello"}); err != nil {
		t.Fatalf("send: %v", err)
	}
	if got, want := <-asked, "api.telegram.test Basic bWU6cGFzcw=="; got != want {
		t.Errorf("proxy was asked for %q, want %q", got, want)
	}
}
