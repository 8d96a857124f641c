package astrbottest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// chat is AstrBot's own interface.
func (f *Fake) chat(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var in struct {
		Username string `json:"username"`
		Session  string `json:"session_id"`
		Message  []struct {
			Type string `json:"type"`
			Text string `json:"text"`
		} `json:"message"`
	}
	if err != nil || json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	if in.Username == "" || len(in.Message) == 0 || in.Message[0].Text == "" {
		writeJSON(w, http.StatusOK, failure("Message content is empty"))
		return
	}
	id := r.Header.Get("X-Relay-Event-Id")
	key, _ := f.keyOf(r)
	ask := Ask{Message: id, Body: string(body), Key: key, Header: r.Header, At: time.Now()}
	var owner string
	var run int
	f.locked(func() {
		if f.owners[in.Session] == "" {
			f.owners[in.Session] = in.Username
		}
		if owner = f.owners[in.Session]; owner == in.Username {
			f.asks = append(f.asks, ask)
			f.runs[id]++
			run = f.runs[id]
		}
	})
	if owner != in.Username {
		writeJSON(w, http.StatusOK, failure("session_id belongs to another username"))
		return
	}
	f.stream(w, r, id, f.opts.Says(in.Message[0].Text, run))
}

// stream says it in a stream. A run goes on when its listener is gone; here it has nothing left to do then.
func (f *Fake) stream(w http.ResponseWriter, r *http.Request, id string, chunks []Chunk) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	send := func(event map[string]any) {
		b, err := json.Marshal(event)
		if err != nil {
			f.tb.Errorf("encode event: %v", err)
		}
		_, _ = fmt.Fprintf(w, "data: %s\n\n", b)
		_ = http.NewResponseController(w).Flush()
	}
	send(map[string]any{"type": "session_id", "data": nil, "session_id": "s"})
	send(map[string]any{"type": "user_message_saved", "data": map[string]any{"id": 1}})
	send(map[string]any{"type": "plain", "data": "let me think", "streaming": false, "chain_type": "reasoning"})
	send(map[string]any{"type": "plain", "data": `{"id":"1"}`, "streaming": false, "chain_type": "tool_call"})
	send(map[string]any{"type": "plain", "data": `{"citations":[]}`, "streaming": false, "chain_type": "llm_sources"})
	var how string
	f.locked(func() { how = f.breaks })
	for _, c := range chunks {
		if !sleep(r.Context(), c.After) {
			return
		}
		_, _ = fmt.Fprint(w, ": heartbeat\n\n")
		var items []Item
		f.locked(func() {
			items = f.name(c.Items)
			f.said[id] = append(f.said[id], items...)
		})
		for _, it := range items {
			if it.Type == "text" {
				send(map[string]any{"type": "plain", "data": it.Content, "streaming": false, "chain_type": nil})
				continue
			}
			send(map[string]any{"type": it.Type, "data": it.Content, "streaming": false})
			send(map[string]any{"type": "attachment_saved", "data": map[string]any{"id": it.ID, "type": it.Type}})
		}
		send(map[string]any{"type": "message_saved", "data": map[string]any{"id": 2}})
	}
	switch how {
	case "error":
		send(map[string]any{"type": "error", "data": "WebChat run failed"})
	case "cut":
		panic(http.ErrAbortHandler)
	case "short":
	default:
		send(map[string]any{"type": "agent_stats", "data": map[string]any{}})
		send(map[string]any{"type": "end", "data": "", "streaming": false})
	}
}
