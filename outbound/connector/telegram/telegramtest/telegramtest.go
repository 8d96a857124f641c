// Package telegramtest is a Bot API server as Telegram's own behaves: it limits what a bot sends to a chat and says for
// how long, gives updates to one poller only, keeps them until they are confirmed, pushes them to a webhook with a static
// secret, and can hang up, be slow, or be out of order. A [Fake] is an http.Handler and needs no test.
package telegramtest

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
)

// Fault is how one call goes wrong.
type Fault uint8

// The faults. After HangUp and Broken the call was carried out all the same.
const (
	None   Fault = iota
	HangUp       // the connection is closed in place of an answer
	Broken       // 500 in place of the answer
	Down         // 502 from the gateway before it, as HTML
	Hang         // no answer until the caller leaves
)

// Rate lets N messages go in each Per, N of them at once.
type Rate struct {
	N   int
	Per time.Duration
}

// Options are how the server behaves. The zero value is Telegram with one bot, whose token is [Token].
type Options struct {
	// Token is the bot's; empty: [Token].
	Token string
	// Private, Group and All are the limits of a private chat, of a group and of the bot. Zero: 1 a second with three at
	// once, 20 a minute, 30 a second; one with a negative N: none.
	Private, Group, All Rate
	// Slow is how long every call takes.
	Slow time.Duration
	// Fault says how the n-th call of a method, from 1, goes; nil: all go well.
	Fault func(method string, n int) Fault
	// Again is when a webhook that failed is called again; 0: after 50 ms.
	Again time.Duration
}

// Token is the usual bot's.
const Token = "7104459213:AAE-relay_trial_token_0123456789abc"

// Sent is a message that was accepted.
type Sent struct {
	Method, Chat string
	ID           int64
	// Topic, Direct and Business are where in the chat; empty: nowhere in particular.
	Topic, Direct, Business string
	Text                    string
	Entities                []Entity
	// Reply is the id of the message that it answers.
	Reply string
	// File is the medium's address.
	File string
	// Fields are all that was given, as text.
	Fields map[string]string
}

// Entity is a marked part of a text, in UTF-16 units.
type Entity struct {
	Type     string `json:"type"`
	Offset   int    `json:"offset"`
	Length   int    `json:"length"`
	URL      string `json:"url,omitempty"`
	Language string `json:"language,omitempty"`
	User     *struct {
		ID int64 `json:"id"`
	} `json:"user,omitempty"`
}

// Of is what the entity marks in the text.
func (e Entity) Of(text string) string {
	all := utf16.Encode([]rune(text))
	if e.Offset < 0 || e.Length < 0 || e.Offset+e.Length > len(all) {
		return ""
	}
	return string(utf16.Decode(all[e.Offset : e.Offset+e.Length]))
}

// Fake is the server. Its methods are safe for concurrent use.
type Fake struct {
	options Options

	mu       sync.Mutex
	calls    map[string]int
	sent     []Sent
	buckets  map[string]*bucket
	blocked  map[string]bool
	moved    map[string]string
	throttle int
	nextID   int64
	inbox    inbox
}

// New makes a server. It opens nothing; Close ends what it has begun.
func New(o Options) *Fake {
	if o.Token == "" {
		o.Token = Token
	}
	def := func(r *Rate, n int, per time.Duration) {
		if r.N == 0 {
			*r = Rate{n, per}
		}
	}
	def(&o.Private, 1, time.Second)
	def(&o.Group, 20, time.Minute)
	def(&o.All, 30, time.Second)
	if o.Again <= 0 {
		o.Again = 50 * time.Millisecond
	}
	f := &Fake{
		options: o, calls: map[string]int{}, buckets: map[string]*bucket{}, blocked: map[string]bool{},
		moved: map[string]string{}, nextID: 5127,
	}
	f.inbox.begin(o.Again)
	return f
}

// Close ends polls and pushes.
func (f *Fake) Close() { f.inbox.close() }

// Calls is how often the method was called, refused calls included.
func (f *Fake) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// Sent are the messages that were accepted, in order.
func (f *Fake) Sent() []Sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}

// Throttled is how often a call was answered with 429.
func (f *Fake) Throttled() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.throttle
}

// Block makes the user of a private chat one who has blocked the bot.
func (f *Fake) Block(chat string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocked[chat] = true
}

// Migrate makes a group a supergroup with another id.
func (f *Fake) Migrate(chat, to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moved[chat] = to
}

// bucket is what is left of a rate.
type bucket struct {
	left float64
	at   time.Time
}

// ServeHTTP implements http.Handler.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, method, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/bot"), "/")
	fields, err := fieldsOf(r)
	switch {
	case !ok || token != f.options.Token:
		// A token in the wrong form is no route there; one that was revoked is not authorized.
		if strings.Contains(token, ":") {
			refuse(w, http.StatusUnauthorized, "Unauthorized", nil)
			return
		}
		refuse(w, http.StatusNotFound, "Not Found", nil)
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, "Bad Request: "+err.Error(), nil)
		return
	}
	q := request{method: method, fields: fields}
	if !f.fail(w, r, q) {
		f.serve(w, r, q)
	}
}

// fail makes a call go wrong before it is carried out, and says that it did.
func (f *Fake) fail(w http.ResponseWriter, r *http.Request, q request) bool {
	switch f.next(q.method) {
	case Down:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html><h1>502 Bad Gateway</h1></html>")
	case Hang:
		<-r.Context().Done()
	case HangUp:
		_ = f.handle(r, q)
		panic(http.ErrAbortHandler)
	case Broken:
		_ = f.handle(r, q)
		refuse(w, http.StatusInternalServerError, "Internal Server Error", nil)
	default:
		return !wait(r.Context(), f.options.Slow)
	}
	return true
}

// next counts a call, and says how it goes.
func (f *Fake) next(method string) Fault {
	f.mu.Lock()
	f.calls[method]++
	n := f.calls[method]
	f.mu.Unlock()
	if f.options.Fault == nil {
		return None
	}
	return f.options.Fault(method, n)
}

// request is a call of a method.
type request struct {
	method string
	fields map[string]string
}

// answer is what a method returns.
type answer struct {
	status int
	text   string
	more   map[string]any
	result any
	// raw is the result as it is to stand in the answer; empty: result is encoded.
	raw string
}

func (f *Fake) serve(w http.ResponseWriter, r *http.Request, q request) {
	a := f.handle(r, q)
	if a.status != 0 {
		refuse(w, a.status, a.text, a.more)
		return
	}
	if a.raw != "" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true,"result":`+a.raw+`}`)
		return
	}
	write(w, http.StatusOK, map[string]any{"ok": true, "result": a.result})
}

// handle does what the method says.
func (f *Fake) handle(r *http.Request, q request) answer {
	switch q.method {
	case "getMe":
		return answer{result: map[string]any{
			"id": int64(7104459213), "is_bot": true, "first_name": "Relay", "username": "relay_trial_bot",
		}}
	case "getUpdates":
		return f.inbox.poll(r.Context(), q.fields)
	case "setWebhook":
		f.inbox.setWebhook(q.fields["url"], q.fields["secret_token"], f.command)
		return answer{result: true}
	case "deleteWebhook":
		f.inbox.setWebhook("", "", nil)
		return answer{result: true}
	case "sendMessage", "sendPhoto", "sendDocument", "sendVoice", "sendVideo":
		return f.send(q)
	}
	return answer{status: http.StatusNotFound, text: "Not Found"}
}

// command is a webhook's answer that is a call itself.
func (f *Fake) command(body []byte) {
	var q map[string]any
	if json.Unmarshal(body, &q) != nil || q["method"] == nil {
		return
	}
	fields := map[string]string{}
	for k, v := range q {
		fields[k] = text(v)
	}
	f.handle(&http.Request{}, request{method: fields["method"], fields: fields})
}

func refuse(w http.ResponseWriter, status int, text string, parameters map[string]any) {
	body := map[string]any{"ok": false, "error_code": status, "description": text}
	if parameters != nil {
		body["parameters"] = parameters
	}
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// maxForm is how much of a request is read.
const maxForm = 1 << 20

// fieldsOf reads a method's parameters from wherever Telegram takes them: the query, JSON, or a form of either kind. What
// is no text is its JSON.
func fieldsOf(r *http.Request) (map[string]string, error) {
	out := map[string]string{}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		var fields map[string]json.RawMessage
		if err := json.NewDecoder(io.LimitReader(r.Body, maxForm)).Decode(&fields); err != nil {
			return nil, fmt.Errorf("can't parse: %w", err)
		}
		for k, v := range fields {
			var s string
			if json.Unmarshal(v, &s) != nil {
				s = string(v)
			}
			out[k] = s
		}
	case "multipart/form-data":
		if err := r.ParseMultipartForm(maxForm); err != nil {
			return nil, fmt.Errorf("can't parse: %w", err)
		}
	}
	if err := r.ParseForm(); err != nil {
		return nil, fmt.Errorf("can't parse: %w", err)
	}
	for k := range r.Form {
		out[k] = r.Form.Get(k)
	}
	return out, nil
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if n, ok := v.(float64); ok && n == math.Trunc(n) {
		return fmt.Sprint(int64(n))
	}
	b, _ := json.Marshal(v)
	return string(b)
}
