package telegramtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// update is one that waits for its bot.
type update struct {
	id   int64
	kind string
	body string
}

// inbox are the updates of the bot, and who gets them.
type inbox struct {
	again time.Duration
	// work ends with Close; pusher is the one that calls the webhook.
	work   context.Context //nolint:containedctx // it is the life of the fake, which has no other
	end    context.CancelFunc
	pusher sync.WaitGroup

	mu      sync.Mutex
	nextID  int64
	waiting []update
	allowed []string
	// news is closed when something comes, or when another poll begins.
	news    chan struct{}
	turn    int
	url     string
	secret  string
	command func(answer []byte)
	pushing bool
}

func (in *inbox) begin(again time.Duration) {
	in.again, in.nextID, in.news = again, 803512344, make(chan struct{})
	in.work, in.end = context.WithCancel(context.Background())
}

func (in *inbox) close() {
	in.end()
	in.pusher.Wait()
}

// wake tells everybody to look again. The lock is held.
func (in *inbox) wake() {
	close(in.news)
	in.news = make(chan struct{})
}

// Push gives the bot an update with this one field, such as "message", and returns its update_id.
func (f *Fake) Push(kind, value string) int64 {
	in := &f.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	id := in.nextID
	in.nextID++
	if len(in.allowed) > 0 && !slices.Contains(in.allowed, kind) {
		return id
	}
	in.waiting = append(in.waiting, update{id, kind, fmt.Sprintf(`{"update_id":%d, %q:%s}`, id, kind, value)})
	in.wake()
	in.deliver()
	return id
}

// Say lets a user write to the bot, in a private chat or in a group, and returns the update_id.
func (f *Fake) Say(chat, user int64, text string) int64 {
	f.mu.Lock()
	message := f.nextID
	f.nextID++
	f.mu.Unlock()
	kind := "private"
	if chat < 0 {
		kind = "supergroup"
	}
	words, _ := json.Marshal(text)
	return f.Push("message", fmt.Sprintf(`{"message_id":%d,"from":{"id":%d,"is_bot":false,"first_name":"Alice"},`+
		`"chat":{"id":%d,"type":%q},"date":%d,"text":%s}`, message, user, chat, kind, time.Now().Unix(), words))
}

// Restart counts updates anew, from this number on, as Telegram does after a week without any.
func (f *Fake) Restart(from int64) {
	f.inbox.mu.Lock()
	defer f.inbox.mu.Unlock()
	f.inbox.nextID = from
}

// Waiting is how many updates the bot has not confirmed.
func (f *Fake) Waiting() int {
	f.inbox.mu.Lock()
	defer f.inbox.mu.Unlock()
	return len(f.inbox.waiting)
}

// Allowed are the kinds of updates that the bot has asked for.
func (f *Fake) Allowed() []string {
	f.inbox.mu.Lock()
	defer f.inbox.mu.Unlock()
	return slices.Clone(f.inbox.allowed)
}

func conflict(text string) answer {
	return answer{status: http.StatusConflict, text: "Conflict: " + text}
}

// poll is getUpdates: it confirms what is below the offset, and waits for what is not. A second poll ends the first.
func (in *inbox) poll(ctx context.Context, fields map[string]string) answer {
	offset, _ := strconv.ParseInt(fields["offset"], 10, 64)
	limit, _ := strconv.Atoi(fields["limit"])
	seconds, _ := strconv.Atoi(fields["timeout"])
	late := time.NewTimer(time.Duration(seconds) * time.Second)
	defer late.Stop()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.url != "" {
		return conflict("can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first")
	}
	if kinds := fields["allowed_updates"]; kinds != "" { // else as it was said last
		_ = json.Unmarshal([]byte(kinds), &in.allowed)
	}
	in.turn++
	mine := in.turn
	in.wake()
	if offset < 0 {
		offset = in.nextID + offset
	}
	in.waiting = slices.DeleteFunc(in.waiting, func(u update) bool { return u.id < offset })
	for !in.has(offset) {
		news := in.news
		in.mu.Unlock()
		over := false
		select {
		case <-news:
		case <-late.C:
			over = true
		case <-ctx.Done():
			over = true
		case <-in.work.Done():
			over = true
		}
		in.mu.Lock()
		if in.turn != mine {
			return conflict("terminated by other getUpdates request; make sure that only one bot instance is running")
		}
		if over {
			break
		}
	}
	if limit <= 0 {
		limit = 100
	}
	var list []string
	for _, u := range in.waiting {
		if u.id >= offset && len(list) < limit {
			list = append(list, u.body)
		}
	}
	return answer{raw: "[" + strings.Join(list, ",") + "]"}
}

// has says that there is an update from the offset on. The lock is held.
func (in *inbox) has(offset int64) bool {
	return slices.ContainsFunc(in.waiting, func(u update) bool { return u.id >= offset })
}

// SetWebhook lets updates be posted there, with the secret in X-Telegram-Bot-Api-Secret-Token; an empty URL: no more.
func (f *Fake) SetWebhook(url, secret string) { f.inbox.setWebhook(url, secret, f.command) }

func (in *inbox) setWebhook(url, secret string, command func([]byte)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.url, in.secret, in.command = url, secret, command
	in.turn++
	in.wake()
	in.deliver()
}

// deliver has the updates posted, one after the other. The lock is held.
func (in *inbox) deliver() {
	if in.url == "" || in.pushing || in.work.Err() != nil {
		return
	}
	in.pushing = true
	in.pusher.Go(func() {
		for in.pushNext() {
		}
	})
}

// pushNext posts the first update, again and again until it is taken, and says whether there was one.
func (in *inbox) pushNext() bool {
	in.mu.Lock()
	if in.url == "" || len(in.waiting) == 0 || in.work.Err() != nil {
		in.pushing = false
		in.mu.Unlock()
		return false
	}
	u, url, secret, command := in.waiting[0], in.url, in.secret, in.command
	in.mu.Unlock()
	body, ok := in.post(url, secret, u.body)
	if !ok {
		wait(in.work, in.again)
		return true
	}
	in.mu.Lock()
	in.waiting = slices.DeleteFunc(in.waiting, func(w update) bool { return w.id == u.id })
	in.mu.Unlock()
	if command != nil {
		command(body)
	}
	return true
}

// post makes one call of the webhook.
func (in *inbox) post(url, secret, body string) ([]byte, bool) {
	ctx, cancel := context.WithTimeout(in.work, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, false
	}
	r.Header.Set("Content-Type", "application/json")
	if secret != "" {
		r.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return nil, false
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxForm))
	return answer, err == nil && resp.StatusCode >= 200 && resp.StatusCode <= 299
}

// wait waits, and says whether it did so to the end.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
