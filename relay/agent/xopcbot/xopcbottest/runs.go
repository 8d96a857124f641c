package xopcbottest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"

	"github.com/google/uuid"
)

// longestSegment is how much of an id a gateway keeps.
const longestSegment = 64

// piece is one event of a run.
type piece struct{ name, data string }

// run is one run, and what the gateway keeps of it.
type run struct {
	Run

	fault  Fault
	pieces []piece
	more   chan struct{} // closed, and made anew, when a piece was added or the run ended
	over   time.Time     // zero: it goes on
	status string        // that of the result, for who began it
}

// foreign is what has no place in an id.
var foreign = regexp.MustCompile(`[^a-z0-9_-]+`)

// session is what the gateway makes of a chat's id.
func session(chat string) string {
	chat = strings.TrimRight(foreign.ReplaceAllString(strings.ToLower(strings.TrimSpace(chat)), "-"), "-")
	return "main:webchat:default:direct:" + chat[:min(len(chat), longestSegment)]
}

// begin begins a run; nil if the gateway is gone. It goes on by itself.
func (c *call) begin(message, chat, session string) *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up.ctx.Err() != nil {
		return nil
	}
	takes := c.o.Turn
	if !c.up.warm {
		c.up.warm, takes = true, c.o.FirstTurn
	}
	r := &run{
		Run:   Run{ID: uuid.NewString(), Message: message, ChatID: chat, Session: session},
		fault: c.fault, more: make(chan struct{}),
	}
	c.runs = append(c.runs, r)
	c.up.known[r.ID] = r
	c.up.work.Go(func() { c.work(c.up, r, takes) })
	return r
}

// work is the agent at work on a run.
func (f *Fake) work(up *life, r *run, takes time.Duration) {
	words := strings.SplitAfter(Reply(r.Message), " ")
	f.tell(r, piece{"status", encode(map[string]string{"type": "status", "status": "accepted", "runId": r.ID})})
	if r.fault == Failed {
		f.tell(r, piece{"error", `{"type":"error","content":"Error: no model"}`})
		f.finish(r, "error")
		return
	}
	f.tell(r, piece{"progress", `{"type":"progress","stage":"thinking","message":"Thinking..."}`})
	f.tell(r, piece{"message_end", `{"type":"message_end"}`}) // that of the message which it was given
	f.tell(r, piece{"thinking", `{"type":"thinking","content":"Hm.","delta":true}`})
	f.tell(r, token(words[0]))
	if !agenttest.Wait(up.ctx, takes) {
		return
	}
	f.tell(r, piece{"tool_end", `{"type":"tool_end","toolName":"clock","isError":true,"result":"no clock"}`})
	for _, word := range words[1:] {
		f.tell(r, token(word))
	}
	if r.fault == FailedOK {
		f.tell(r, piece{"error", `{"type":"error","content":"model overloaded"}`})
	}
	f.tell(r, piece{"message_end", `{"type":"message_end"}`})
	f.finish(r, "ok")
}

func token(text string) piece {
	return piece{"token", encode(map[string]string{"type": "token", "content": text})}
}

// tell adds a piece to the run.
func (f *Fake) tell(r *run, p piece) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.pieces = append(r.pieces, p)
	close(r.more)
	r.more = make(chan struct{})
}

// finish ends the run.
func (f *Fake) finish(r *run, status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.over, r.status, r.OK = time.Now(), status, r.fault != Failed && r.fault != FailedOK
	close(r.more)
	r.more = make(chan struct{})
}

// next returns the n-th piece when it is there; over says that there is none any more, and gone that the gateway or the
// caller is.
func (c *call) next(r *run, n int) (p piece, over, gone bool) {
	for {
		c.mu.Lock()
		more := r.more
		switch {
		case n < len(r.pieces):
			p = r.pieces[n]
			c.mu.Unlock()
			return p, false, false
		case !r.over.IsZero():
			c.mu.Unlock()
			return p, true, false
		}
		c.mu.Unlock()
		select {
		case <-more:
		case <-c.up.ctx.Done():
			return p, false, true
		case <-c.r.Context().Done():
			return p, false, true
		}
	}
}

// agent is POST /api/agent.
func (c *call) agent() {
	var b struct {
		Message *string `json:"message"`
		Channel string  `json:"channel"`
		ChatID  string  `json:"chatId"`
	}
	if json.Unmarshal(c.body, &b) != nil || b.Message == nil {
		c.refuse(http.StatusBadRequest, "BAD_REQUEST", "Missing required field: message or attachments")
		return
	}
	if b.Channel != "" && b.Channel != "webchat" { // it goes to a bus, and the answer says nothing
		c.say(http.StatusOK, `{"ok":true,"payload":{"status":"ok","content":"Processing...\nDone\n"}}`)
		return
	}
	if b.ChatID == "" {
		b.ChatID = "default"
	}
	r := c.begin(*b.Message, b.ChatID, session(b.ChatID))
	switch {
	case r == nil, c.fault == HangUpBlind:
		panic(http.ErrAbortHandler)
	case c.o.JSON || !strings.Contains(c.r.Header.Get("Accept"), "text/event-stream"):
		c.whole(r)
	default:
		c.stream(r, false)
	}
}

// whole answers with JSON when the run is over: errors that came in it are not in the answer.
func (c *call) whole(r *run) {
	var content strings.Builder
	for n := 0; ; n++ {
		p, over, gone := c.next(r, n)
		switch {
		case gone:
			panic(http.ErrAbortHandler)
		case over:
			c.say(http.StatusOK, encode(map[string]any{"ok": true, "payload": map[string]string{
				"status": c.statusOf(r), "summary": "Message processed successfully", "content": content.String(),
			}}))
			return
		case p.name == "token":
			var t struct{ Content string }
			if json.Unmarshal([]byte(p.data), &t) == nil {
				content.WriteString(t.Content)
			}
		}
	}
}

func (c *call) statusOf(r *run) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.status
}

// resume is POST /api/agent/resume. Its result says ok, whatever became of the run.
func (c *call) resume() {
	var b struct{ RunID string }
	if json.Unmarshal(c.body, &b) != nil || b.RunID == "" {
		c.refuse(http.StatusBadRequest, "BAD_REQUEST", "Missing required field: runId")
		return
	}
	c.mu.Lock()
	r := c.up.known[b.RunID]
	if r != nil && !r.over.IsZero() && time.Since(r.over) > c.o.Keep {
		r = nil
	}
	c.mu.Unlock()
	if r == nil {
		c.refuse(http.StatusNotFound, "NOT_FOUND", "Run not found or already expired")
		return
	}
	c.stream(r, true)
}

// stream tells a run from its beginning to its end.
func (c *call) stream(r *run, resumed bool) {
	c.begun(http.StatusOK, "text/event-stream")
	for n := 0; ; n++ {
		p, over, gone := c.next(r, n)
		if gone {
			panic(http.ErrAbortHandler)
		}
		if over {
			result := map[string]string{"status": "ok", "summary": "Resumed run completed"}
			if !resumed {
				result = map[string]string{"status": c.statusOf(r), "summary": "Message processed successfully"}
			}
			c.frame(n+1, "result", encode(map[string]any{"ok": true, "payload": result}))
			return
		}
		c.frame(n+1, p.name, p.data)
		if c.fault == HangUpAfter && (resumed || p.name == "token") {
			panic(http.ErrAbortHandler)
		}
	}
}

// page is the documentation's POST /api/agent. Nobody can ask for its runs.
func (c *call) page() {
	var b struct{ Message, Session string }
	if json.Unmarshal(c.body, &b) != nil || b.Message == "" {
		c.say(http.StatusBadRequest, `{"error":{"code":"INVALID_REQUEST","message":"Invalid message content"}}`)
		return
	}
	r := c.begin(b.Message, b.Session, b.Session)
	if r == nil || c.fault == HangUpBlind {
		panic(http.ErrAbortHandler)
	}
	for n, over := 0, false; !over; n++ {
		var gone bool
		if _, over, gone = c.next(r, n); gone {
			panic(http.ErrAbortHandler)
		}
	}
	switch c.fault {
	case HangUpAfter:
		panic(http.ErrAbortHandler)
	case Failed:
		c.say(http.StatusInternalServerError, `{"error":{"code":"AGENT_ERROR","message":"the agent failed"}}`)
	case FailedOK:
		c.say(http.StatusOK, encode(map[string]string{"status": "error", "session": b.Session}))
	default:
		c.say(http.StatusOK, encode(map[string]string{"status": "ok", "reply": Reply(b.Message), "session": b.Session}))
	}
}
