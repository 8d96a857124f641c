package nekrotest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"
)

// queued is how many events wait for a client.
const queued = 100

// client is what the server keeps of one.
type client struct {
	id       string
	seen     time.Time
	channels map[string]bool
	events   chan string
	answers  map[string]chan answer
	ended    bool
	stalled  bool
	done     chan struct{}
}

// answer is a response command.
type answer struct {
	ok   bool
	data map[string]any
}

// end ends the client's stream. Its client is asked on.
func (c *client) end() {
	if !c.ended {
		c.ended = true
		close(c.done)
	}
}

// queue queues an event, or loses it.
func (c *client) queue(event string, data any) {
	if c.ended {
		return
	}
	b, _ := json.Marshal(data)
	select {
	case c.events <- fmt.Sprintf("event: %s\r\ndata: %s\r\n\r\n", event, b):
	default:
	}
}

// handler is the server.
func (f *Fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/adapters/sse/connect", f.command)
	mux.HandleFunc("GET /api/adapters/sse/connect", f.stream)
	mux.HandleFunc("POST /api/webhook/{endpoint}", f.hook)
	mux.HandleFunc("POST /api/plugin/{plugin}/{rest...}", f.hook)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fail(w, http.StatusNotFound, "Not Found") })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		unready := f.unready
		f.mu.Unlock()
		if unready {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// register must be called with the lock.
func (f *Fake) register(name string) *client {
	c := &client{
		id: f.nextID("client"), seen: time.Now(), channels: map[string]bool{}, events: make(chan string, queued),
		answers: map[string]chan answer{}, done: make(chan struct{}),
	}
	f.clients = append(f.clients, c)
	f.names = append(f.names, name)
	return c
}

func (f *Fake) find(id string) *client {
	i := slices.IndexFunc(f.clients, func(c *client) bool { return c.id == id })
	if i < 0 {
		return nil
	}
	return f.clients[i]
}

// given is a command.
type given struct {
	Cmd        string         `json:"cmd"`
	ClientName string         `json:"client_name"`
	Channels   []string       `json:"channel_ids"`
	Channel    string         `json:"channel_id"`
	RequestID  string         `json:"request_id"`
	Success    bool           `json:"success"`
	Data       map[string]any `json:"data"`
	Message    *struct {
		ID       string           `json:"msg_id"`
		From     string           `json:"from_id"`
		FromName string           `json:"from_name"`
		ToMe     bool             `json:"is_to_me"`
		Self     bool             `json:"is_self"`
		Channel  string           `json:"channel_id"`
		Platform string           `json:"platform_name"`
		Segments []map[string]any `json:"segments"`
	} `json:"message"`
}

func (f *Fake) command(w http.ResponseWriter, r *http.Request) {
	if f.options.AccessKey != "" && r.Header.Get("X-Access-Key") != f.options.AccessKey {
		fail(w, http.StatusUnauthorized, "无效的访问密钥")
		return
	}
	body, err := io.ReadAll(r.Body)
	var g given
	if err != nil || json.Unmarshal(body, &g) != nil {
		fail(w, http.StatusUnprocessableEntity, "Unprocessable Entity")
		return
	}
	if !slices.Contains([]string{"register", "subscribe", "unsubscribe", "message", "response"}, g.Cmd) {
		fail(w, http.StatusBadRequest, "未知命令: "+g.Cmd)
		return
	}
	f.mu.Lock()
	c := f.find(r.Header.Get("X-Client-ID"))
	if c != nil {
		c.seen = time.Now()
	}
	if g.Cmd == "register" {
		c = f.register(g.ClientName)
		f.mu.Unlock()
		reply(w, http.StatusOK, map[string]string{"client_id": c.id, "message": "客户端注册成功"})
		return
	}
	f.mu.Unlock()
	if c == nil {
		fail(w, http.StatusNotFound, "客户端 "+r.Header.Get("X-Client-ID")+" 不存在")
		return
	}
	f.known(w, r, c, g)
}

// known takes a command of a known client.
func (f *Fake) known(w http.ResponseWriter, r *http.Request, c *client, g given) {
	if g.Cmd == "message" {
		f.message(w, r, g)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch g.Cmd {
	case "response":
		if f.losses > 0 {
			f.losses--
			fail(w, http.StatusServiceUnavailable, "Service Unavailable")
			return
		}
		waiting := c.answers[g.RequestID]
		delete(c.answers, g.RequestID)
		if waiting != nil {
			waiting <- answer{ok: g.Success, data: g.Data}
		}
		reply(w, http.StatusOK, map[string]bool{"success": waiting != nil})
	default:
		for _, name := range g.Channels {
			if g.Cmd == "subscribe" {
				c.channels[name] = true
			} else {
				delete(c.channels, name)
			}
		}
		reply(w, http.StatusOK, map[string]string{"message": "批量订阅成功"})
	}
}

func (f *Fake) message(w http.ResponseWriter, r *http.Request, g given) {
	m := g.Message
	if m == nil || m.From == "" || m.FromName == "" || m.Channel == "" || m.Platform == "" {
		fail(w, http.StatusInternalServerError, "处理 message 命令失败")
		return
	}
	if f.refused(w) {
		return
	}
	f.mu.Lock()
	slow := !f.slowed
	f.slowed = true
	hang := f.hangUps > 0
	f.hangUps = max(f.hangUps-1, 0)
	f.mu.Unlock()
	if slow && f.options.SlowFirst > 0 {
		agenttest.Wait(r.Context(), f.options.SlowFirst)
	}
	var text strings.Builder
	for _, s := range m.Segments {
		if content, ok := s["content"].(string); ok {
			text.WriteString(content)
		}
	}
	f.taken(Message{
		ID: m.ID, Channel: m.Channel, From: m.From, FromName: m.FromName, Text: text.String(), Platform: m.Platform,
		ToMe: m.ToMe, Self: m.Self, Segments: m.Segments, Header: r.Header.Clone(),
	})
	if hang {
		panic(http.ErrAbortHandler)
	}
	reply(w, http.StatusOK, map[string]string{"message": "消息接收成功"})
}

// refused answers as Refuse said.
func (f *Fake) refused(w http.ResponseWriter) bool {
	f.mu.Lock()
	yes, status := f.refusals > 0, f.refusal
	f.refusals = max(f.refusals-1, 0)
	f.mu.Unlock()
	switch {
	case yes && status == 0:
		reply(w, http.StatusOK, []any{map[string]string{"status": "error"}, http.StatusBadRequest})
	case yes:
		fail(w, status, "服务器内部错误")
	}
	return yes
}

// hook is a plugin's webhook.
func (f *Fake) hook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !json.Valid(body) {
		fail(w, http.StatusInternalServerError, "服务器内部错误")
		return
	}
	if f.refused(w) {
		return
	}
	f.mu.Lock()
	f.hooks = append(f.hooks, Hook{Path: r.URL.Path, Header: r.Header.Clone(), Body: body})
	f.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{
		"success": true, "message": "Webhook 处理完成，成功: 0，失败: 0",
		"data": map[string]any{"results": []any{}, "errors": []any{}},
	})
}

// stream is a client's events. A client whose stream has ended is not revived by another one.
func (f *Fake) stream(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if f.options.AccessKey != "" && query.Get("access_key") != f.options.AccessKey {
		fail(w, http.StatusUnauthorized, "无效的访问密钥")
		return
	}
	f.mu.Lock()
	c := f.find(query.Get("client_id_query"))
	if c == nil || f.split {
		c = f.register(query.Get("client_name"))
	}
	c.seen = time.Now()
	f.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	f.feed(r.Context(), c, func(s string) bool {
		_, err := io.WriteString(w, s)
		return err == nil && http.NewResponseController(w).Flush() == nil
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	c.end()
}

// feed writes the events as they come.
func (f *Fake) feed(ctx context.Context, c *client, write func(string) bool) {
	now := func() string { return fmt.Sprintf(`{"timestamp":%d}`, time.Now().Unix()) }
	connected := fmt.Sprintf("event: connected\r\ndata: {\"client_id\":%q,\"timestamp\":1}\r\n\r\n", c.id)
	beat := time.NewTicker(f.options.Heartbeat)
	defer beat.Stop()
	const ping = ": ping\r\n\r\n"
	next := ping + connected
	for {
		f.mu.Lock()
		stalled := c.stalled
		f.mu.Unlock()
		if stalled {
			next = ping
		}
		if !write(next) {
			return
		}
		select {
		case next = <-c.events:
		case <-beat.C:
			next = "event: heartbeat\r\ndata: " + now() + "\r\n\r\n"
		case <-c.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Say makes the agent say something by itself, and returns what came of it.
func (f *Fake) Say(channel string, segments ...map[string]any) Said {
	f.mu.Lock()
	ctx := f.ctx
	f.mu.Unlock()
	return f.say(ctx, channel, segments)
}

func (f *Fake) say(ctx context.Context, channel string, segments []map[string]any) Said {
	var text strings.Builder
	for _, s := range segments {
		if content, ok := s["content"].(string); ok {
			text.WriteString(content)
		}
	}
	out := Said{Channel: channel, Text: text.String()}
	f.mu.Lock()
	var clients []*client
	for _, c := range f.clients {
		if c.channels[channel] {
			clients = append(clients, c)
		}
	}
	ignore := f.ignore
	f.mu.Unlock()
	f.Ask(ctx, "get_channel_info", map[string]any{"channel_id": channel})
	for _, c := range clients {
		a, answered := f.ask(ctx, c, "send_message", map[string]any{"channel_id": channel, "segments": segments}, !ignore)
		if ignore || answered && a.ok {
			out.OK = true
			out.ID, _ = a.data["message_id"].(string)
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, out)
	return out
}

// Ask asks the first client, whatever has become of it; nil: it refused or did not answer.
func (f *Fake) Ask(ctx context.Context, event string, data map[string]any) map[string]any {
	f.mu.Lock()
	if len(f.clients) == 0 {
		f.mu.Unlock()
		return nil
	}
	c := f.clients[0]
	f.mu.Unlock()
	a, answered := f.ask(ctx, c, event, data, true)
	if !answered || !a.ok {
		return nil
	}
	return a.data
}

func (f *Fake) ask(ctx context.Context, c *client, event string, data map[string]any, await bool) (answer, bool) {
	came := make(chan answer, 1)
	f.mu.Lock()
	id := f.nextID("request")
	c.answers[id] = came
	c.queue(event, map[string]any{"request_id": id, "data": data})
	f.mu.Unlock()
	if !await {
		return answer{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, f.options.Patience)
	defer cancel()
	select {
	case a := <-came:
		return a, true
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(c.answers, id)
		return answer{}, false
	}
}

// Push queues an event, as it stands, for every client.
func (f *Fake) Push(event string, data any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.clients {
		c.queue(event, data)
	}
}
