package openclawtest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/signer"
)

// turn is the run of one event.
type turn struct {
	over chan struct{}
	ok   bool // once it is over
}

// webhook is the wechat_abot channel's. It answers when the turn is over; a repeat of an event waits for the turn that is
// under way, and is only answered when it was run already. A turn goes on when nobody waits for it any more.
func (f *Fake) webhook(up *life, r *http.Request, body []byte, fault Fault) answer {
	verifier, err := signer.NewDigest(signer.HeaderOpenClaw, f.o.Secret)
	if err != nil {
		return answer{status: http.StatusInternalServerError, text: "no webhookSecret"}
	}
	if verifier.Verify(r.Header, body, time.Now()) != nil {
		return answer{status: http.StatusUnauthorized, json: `{"error":"unauthorized"}`}
	}
	if !json.Valid(body) {
		return answer{status: http.StatusBadRequest, json: `{"error":"invalid_json"}`}
	}
	t := f.begin(up, r.Header.Get("X-Relay-Event-Id"), body, fault)
	select {
	case <-t.over:
	case <-up.ctx.Done():
		return answer{}
	}
	if !t.ok {
		return answer{status: http.StatusInternalServerError, json: `{"error":"turn_failed"}`}
	}
	return answer{status: http.StatusOK, json: `{"ok":true}`}
}

// begin begins the event's turn, or finds it.
func (f *Fake) begin(up *life, eventID string, body []byte, fault Fault) *turn {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := up.events[eventID]; t != nil && eventID != "" {
		return t
	}
	t := &turn{over: make(chan struct{})}
	if up.ctx.Err() != nil {
		return t
	}
	up.events[eventID] = t
	seen := read(body)
	seen.EventID = eventID
	takes := f.takes(up)
	f.turns = append(f.turns, seen)
	up.work.Go(func() {
		ok := agenttest.Wait(up.ctx, takes) && fault != Failed && f.reply(up, seen)
		f.mu.Lock()
		defer f.mu.Unlock()
		if t.ok = ok; !ok {
			delete(up.events, eventID)
		}
		close(t.over)
	})
	return t
}

// takes is how long the turn takes that begins now. The caller holds the lock.
func (f *Fake) takes(up *life) time.Duration {
	if up.warm {
		return f.o.Turn
	}
	up.warm = true
	return f.o.FirstTurn
}

// read reads a WeChat body of either family, or a plain one.
func read(body []byte) Turn {
	v := gjson.ParseBytes(body)
	if data := v.Get("Data"); data.IsObject() {
		v = data
	}
	t := Turn{
		To:        first(v, "FromUserName.string", "conversation", "chat", "from"),
		Text:      first(v, "Content.string", "text", "content"),
		MessageID: first(v, "NewMsgId", "MsgId", "messageId", "id"),
		Message:   string(body),
	}
	if _, text, ok := strings.Cut(t.Text, ":\n"); ok && strings.HasSuffix(t.To, "@chatroom") {
		t.Text = text
	}
	return t
}

// first is the first of the paths that leads to something. Numbers keep all their digits.
func first(v gjson.Result, paths ...string) string {
	for _, path := range paths {
		switch got := v.Get(path); got.Type {
		case gjson.String:
			return got.Str
		case gjson.Number:
			return got.Raw
		}
	}
	return ""
}

// reply says in the conversation what the turn came to, as the channel's plugin does: with keys of the event, again after
// 429 and 503, and false when it could not.
func (f *Fake) reply(up *life, t Turn) bool {
	for n := range max(f.o.Replies, 1) {
		s := Send{Key: t.EventID + "/" + strconv.Itoa(n+1), To: t.To, Text: t.Text, ReplyTo: t.MessageID}
		if t.To == "" || !f.insist(up, s) {
			return t.To == ""
		}
	}
	return true
}
