package openaitest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// completions is POST /v1/chat/completions.
func (f *Fake) completions(w http.ResponseWriter, r *http.Request) {
	if token := f.options.Token; token != "" && r.Header.Get("Authorization") != "Bearer "+token {
		given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		(&refusal{401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: " + given}).write(w)
		return
	}
	q, ok := read(r)
	if !ok {
		(&refusal{400, "invalid_request_error", "", "We could not parse the JSON body of your request"}).write(w)
		return
	}
	no := f.refuse(q)
	fault := f.note(q, no != nil)
	switch {
	case fault == TooMany:
		w.Header().Set("Retry-After", "3")
		(&refusal{429, "rate_limit_error", "rate_limit_exceeded", "Slow down"}).write(w)
	case fault == Starting:
		w.Header().Set("Retry-After", "1")
		(&refusal{503, "service_unavailable", "", "Loading model"}).write(w)
	case no != nil:
		no.write(w)
	case fault == Hang:
		<-r.Context().Done()
	case !f.think(r):
	case fault == Plain || !q.Stream:
		plain(w, q)
	default:
		stream(w, q, fault)
	}
}

// think takes its time; false: the caller has left.
func (f *Fake) think(r *http.Request) bool {
	if f.options.Slow == 0 {
		return true
	}
	select {
	case <-time.After(f.options.Slow):
		return true
	case <-r.Context().Done():
		return false
	}
}

// plain answers in one piece.
func plain(w http.ResponseWriter, q Request) {
	b, _ := json.Marshal(map[string]any{
		"id": "chatcmpl-1", "object": "chat.completion", "model": q.Model, "choices": []any{map[string]any{
			"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": Answer(q.Messages)},
		}},
	})
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}

// wire writes a stream's events in one of its dialects.
type wire struct {
	w    http.ResponseWriter
	line string
}

// say writes lines and the empty one after them.
func (s wire) say(lines ...string) {
	_, _ = io.WriteString(s.w, strings.Join(lines, s.line)+s.line+s.line)
	_ = http.NewResponseController(s.w).Flush()
}

// chunk writes a delta.
func (s wire) chunk(field, text, finish string) {
	reason := "null"
	if finish != "" {
		reason = `"` + finish + `"`
	}
	quoted, _ := json.Marshal(text)
	s.say(fmt.Sprintf(
		`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{%q:%s},"finish_reason":%s}],"usage":null}`,
		field, quoted, reason))
}

// stream answers in chunks.
func stream(w http.ResponseWriter, q Request, fault Fault) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	s := wire{w: w, line: "\n"}
	if fault == CRLF {
		s.line = "\r\n"
	}
	if fault == KeepAlive {
		s.say("", ": OPENROUTER PROCESSING")
	}
	if fault == OldError {
		s.say(`error: {"code":400,"message":"the worker died","type":"server_error"}`)
		s.say("data: [DONE]")
		return
	}
	s.say(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`)
	if fault == Silent {
		s.say(`data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f"}}]}}]}`)
		s.end(fault)
		return
	}
	if fault == Reason {
		s.chunk("reasoning_content", "they want it again", "")
		s.chunk("content", "<think>so I say it", "")
		s.chunk("content", " again</think>\n\n", "")
	}
	words := strings.SplitAfter(Answer(q.Messages), " ")
	for i, word := range words {
		if i == len(words)/2 && s.breaks(fault) {
			return
		}
		if fault == KeepAlive {
			s.say(": keep-alive")
			s.say("data: ")
		}
		s.chunk("content", word, "")
	}
	s.end(fault)
}

// breaks is what happens in the middle; true: it was the end.
func (s wire) breaks(fault Fault) bool {
	switch fault {
	case HangUp:
		panic(http.ErrAbortHandler)
	case Close:
	case ErrorInside:
		s.say(`data: {"error":{"message":"the worker died","type":"server_error","code":503}}`)
		s.say("data: [DONE]")
	default:
		return false
	}
	return true
}

// end writes what follows the text.
func (s wire) end(fault Fault) {
	finish := "stop"
	if fault == Cut {
		finish = "length"
	}
	if fault != NoFinish {
		s.chunk("content", "", finish)
	}
	if fault == NoDone {
		return
	}
	s.say(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[],"usage":{"total_tokens":7}}`)
	s.say("data: [DONE]")
}
