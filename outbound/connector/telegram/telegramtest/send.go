package telegramtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode/utf16"
)

// maxText is the longest text in UTF-16 units.
const maxText = 4096

// send accepts a message, or says why not.
func (f *Fake) send(q request) answer {
	s, problem := read(q)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case problem != "":
		return answer{status: http.StatusBadRequest, text: "Bad Request: " + problem}
	case f.moved[s.Chat] != "":
		return answer{
			status: http.StatusBadRequest, text: "Bad Request: group chat was upgraded to a supergroup chat",
			more: map[string]any{"migrate_to_chat_id": json.Number(f.moved[s.Chat])},
		}
	case f.blocked[s.Chat]:
		return answer{status: http.StatusForbidden, text: "Forbidden: bot was blocked by the user"}
	}
	if after := f.throttled(s.Chat, time.Now()); after > 0 {
		f.throttle++
		return answer{
			status: http.StatusTooManyRequests, text: fmt.Sprintf("Too Many Requests: retry after %d", after),
			more: map[string]any{"retry_after": after},
		}
	}
	s.ID, f.nextID = f.nextID, f.nextID+1
	f.sent = append(f.sent, s)
	return answer{result: map[string]any{
		"message_id": s.ID, "date": time.Now().Unix(), "text": s.Text,
		"chat": map[string]any{"id": json.Number(numeric(s.Chat)), "type": "private"},
	}}
}

// numeric is the chat's number; that of a name is made up.
func numeric(chat string) string {
	if strings.HasPrefix(chat, "@") {
		return "-1002212345678"
	}
	return chat
}

// throttled takes a message's place in all its rates, or says for how many seconds there is none.
func (f *Fake) throttled(chat string, now time.Time) int {
	r, least := f.options.Private, 3
	if !private(chat) {
		r, least = f.options.Group, 0
	}
	all, own := f.wait("", f.options.All, 0, now), f.wait(chat, r, least, now)
	if after := max(all, own); after > 0 {
		return int(math.Ceil(after.Seconds()))
	}
	for _, key := range []string{"", chat} {
		if b := f.buckets[key]; b != nil {
			b.left--
		}
	}
	return 0
}

func private(chat string) bool { return !strings.HasPrefix(chat, "-") && !strings.HasPrefix(chat, "@") }

// wait is how long a rate has no place. At least so many go at once.
func (f *Fake) wait(key string, r Rate, least int, now time.Time) time.Duration {
	if r.N < 0 {
		return 0
	}
	size, each := float64(max(r.N, least)), r.Per/time.Duration(r.N)
	b := f.buckets[key]
	if b == nil {
		b = &bucket{left: size, at: now}
		f.buckets[key] = b
	}
	b.left = min(size, b.left+float64(now.Sub(b.at))/float64(each))
	b.at = now
	if b.left >= 1 {
		return 0
	}
	return time.Duration((1 - b.left) * float64(each))
}

// read makes a message of a call's fields, or says what is wrong with them, in Telegram's words.
func read(q request) (s Sent, problem string) {
	v := q.fields
	s = Sent{
		Method: q.method, Chat: v["chat_id"], Topic: v["message_thread_id"], Direct: v["direct_messages_topic_id"],
		Business: v["business_connection_id"], Text: v["text"], Fields: maps.Clone(v),
	}
	var reply struct {
		ID json.Number `json:"message_id"`
	}
	entities, replies := v["entities"], v["reply_parameters"]
	if entities != "" && json.Unmarshal([]byte(entities), &s.Entities) != nil {
		return s, "can't parse entities"
	}
	if replies != "" && json.Unmarshal([]byte(replies), &reply) != nil {
		return s, "can't parse reply parameters"
	}
	s.Reply = reply.ID.String()
	if medium, ok := strings.CutPrefix(q.method, "send"); ok && medium != "Message" {
		if s.File = v[strings.ToLower(medium)]; !strings.HasPrefix(s.File, "http") {
			return s, "wrong remote file identifier specified"
		}
	} else if n := len(utf16.Encode([]rune(s.Text))); strings.TrimSpace(s.Text) == "" {
		return s, "message text is empty"
	} else if n > maxText {
		return s, "message is too long"
	}
	if json.Unmarshal([]byte(s.Chat), new(int64)) != nil && !strings.HasPrefix(s.Chat, "@") || s.Chat == "0" {
		return s, "chat not found"
	}
	for _, e := range s.Entities {
		if e.Of(s.Text) == "" {
			return s, "entity is out of the text"
		}
	}
	return s, ""
}
