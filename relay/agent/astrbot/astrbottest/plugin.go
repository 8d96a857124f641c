package astrbottest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// keyOf is the key of a request, and what is left of it.
func (f *Fake) keyOf(r *http.Request) (key string, left time.Duration) {
	key = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	f.locked(func() { left = time.Until(f.keys[key]) })
	return key, left
}

// guard is what comes before every handler.
func (f *Fake) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var status int
		var draining, unloaded bool
		f.locked(func() { status, draining, unloaded = f.status, f.draining, f.unloaded })
		_, left := f.keyOf(r)
		switch {
		case draining:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		case status != 0:
			w.WriteHeader(status)
		case left <= 0:
			writeJSON(w, http.StatusUnauthorized, failure("Token 无效"))
		case unloaded && strings.HasPrefix(r.URL.Path, "/api/plug/"):
			unknown(w, r)
		default:
			next(w, r)
		}
	}
}

// message is what is posted to the plugin.
type message struct {
	ID       string `json:"msg_id"`
	Query    string `json:"query"`
	Type     string `json:"type"`
	URL      string `json:"url"`
	Sender   string `json:"sender_id"`
	Nickname string `json:"sender_nickname"`
}

// answer is what the plugin answers.
type answer struct {
	TTL    int    `json:"api_key_ttl"`
	Code   int    `json:"code"`
	Data   []Item `json:"data"`
	Detail string `json:"detail"`
	ID     string `json:"msg_id"`
}

func (m message) wrong() bool {
	return strings.TrimSpace(m.Query) == "" || m.Sender == "" ||
		m.Type != "text" && m.Type != "image" || m.Type == "image" && m.URL == ""
}

// post is the plugin's endpoint.
func (f *Fake) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var m message
	if err != nil || json.Unmarshal(body, &m) != nil || m.wrong() {
		crashed(w)
		return
	}
	key, left := f.keyOf(r)
	a := answer{ID: m.ID, TTL: int(left / time.Second), Data: []Item{}, Detail: "success"}
	wait, status := f.admit(m, Ask{Message: m.ID, Body: string(body), Key: key, Header: r.Header, At: time.Now()})
	if wait != nil {
		timer := time.NewTimer(f.opts.Hold)
		defer timer.Stop()
		select {
		case <-wait.first:
			status = http.StatusOK
		case <-timer.C:
			status = http.StatusAccepted
		case <-r.Context().Done():
			return
		}
	}
	if status == http.StatusAccepted {
		a.Detail = "request: " + m.ID + " 正在处理中"
	} else {
		f.locked(func() {
			if f.callback == "" {
				a.Data = append(a.Data, f.cached[m.ID].items...)
			}
		})
	}
	writeJSON(w, status, a)
}

// admit says what becomes of a post: an answer at once, or one to wait for.
func (f *Fake) admit(m message, ask Ask) (*waiter, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.life.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	f.asks = append(f.asks, ask)
	if c := f.cached[m.ID]; f.callback == "" && len(c.items) > 0 && time.Now().Before(c.until) {
		return nil, http.StatusOK
	}
	if f.pending[m.ID] != nil {
		return nil, http.StatusAccepted
	}
	wait := &waiter{first: make(chan struct{})}
	f.pending[m.ID] = wait
	f.runs[m.ID]++
	chunks, life := f.opts.Says(m.Query, f.runs[m.ID]), f.life
	f.group.Go(func() { f.run(life, m, chunks) })
	callback := f.callback != ""
	if !callback {
		f.group.Go(func() { f.forget(life, m.ID, wait) })
	}
	if f.hangUps > 0 {
		f.hangUps--
		panic(http.ErrAbortHandler)
	}
	if callback {
		return nil, http.StatusOK
	}
	return wait, 0
}

// forget is what the plugin does when there were no words in time.
func (f *Fake) forget(life context.Context, id string, wait *waiter) {
	select {
	case <-life.Done():
	case <-wait.first:
	case <-time.After(f.opts.Hold):
		f.locked(func() {
			if f.pending[id] == wait {
				delete(f.pending, id)
			}
		})
	}
}

// run is one run of the agent.
func (f *Fake) run(life context.Context, m message, chunks []Chunk) {
	for _, c := range chunks {
		if !sleep(life, c.After) {
			return
		}
		f.say(m, c.Items)
	}
}

// say makes what the agent says known. What it said by itself in the session comes with it, each time.
func (f *Fake) say(m message, items []Item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	items = f.name(items)
	f.said[m.ID] = append(f.said[m.ID], items...)
	f.push(m.ID, items)
	all := slices.Concat(f.cached[m.ID].items, f.cached["session:"+m.Sender].items, items)
	f.cached[m.ID] = cached{items: all, until: time.Now().Add(f.opts.Cache)}
	if wait := f.pending[m.ID]; wait != nil {
		delete(f.pending, m.ID)
		close(wait.first)
	}
}

// name gives the items ids.
func (f *Fake) name(items []Item) []Item {
	out := slices.Clone(items)
	for i := range out {
		f.items++
		out[i].ID = fmt.Sprintf("item%06d", f.items)
	}
	return out
}

// Speak makes the agent say something by itself in a session.
func (f *Fake) Speak(session string, items ...Item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := "session:" + session
	items = f.name(items)
	f.said[id] = append(f.said[id], items...)
	f.cached[id] = cached{items: slices.Concat(f.cached[id].items, items), until: time.Now().Add(f.opts.Cache)}
	f.push(id, items)
}

// push puts a callback into its message's line.
func (f *Fake) push(id string, items []Item) {
	if f.callback == "" || f.life.Err() != nil {
		return
	}
	line := f.lines[id]
	if line == nil {
		line = make(chan []Item, 64)
		f.lines[id] = line
		life := f.life
		f.group.Go(func() { f.work(life, id, line) })
	}
	select {
	case line <- items:
	default:
		f.dropped++
	}
}

// work makes the callbacks of one message.
func (f *Fake) work(life context.Context, id string, line <-chan []Item) {
	for {
		select {
		case <-life.Done():
			return
		case items := <-line:
			if f.call(life, id, items) {
				continue
			}
			if !sleep(life, f.opts.Again) {
				return
			}
			if !f.call(life, id, items) {
				f.locked(func() { f.dropped++ })
				sleep(life, 2*f.opts.Again)
			}
		}
	}
}

// call makes one callback.
func (f *Fake) call(life context.Context, id string, items []Item) bool {
	ctx, cancel := context.WithTimeout(life, 10*time.Second)
	defer cancel()
	if items == nil {
		items = []Item{}
	}
	body, err := json.Marshal(map[string]any{"msg_id": id, "data": items})
	if err != nil {
		f.tb.Errorf("encode callback: %v", err)
		return false
	}
	var url string
	f.locked(func() { url = f.callback })
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode < 400
}

// refresh changes the key, and in 1.1.1 fails afterwards.
func (f *Fake) refresh(w http.ResponseWriter, _ *http.Request) {
	var key string
	f.locked(func() {
		f.refreshed++
		key = fmt.Sprintf("key-%d", f.refreshed)
		f.newest, f.keys[key] = key, time.Now().Add(f.opts.TTL)
	})
	if !f.opts.Refreshes {
		crashed(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"api_key_ttl": int(f.opts.TTL / time.Second), "code": 0, "data": key, "detail": "success", "msg_id": "",
	})
}
