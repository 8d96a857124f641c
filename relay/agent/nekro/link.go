package nekro

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tmaxmax/go-sse"

	"github.com/imrelay/imrelay/relay/egress"
)

// maxEvent bounds one event of the connection. A message with files has up to 1 MiB of each in it, and a third more since
// it is in Base64. Such a message is refused, but does not cost the connection.
const maxEvent = 4 << 20

// What the relay calls itself at Nekro's.
const (
	platform   = "imrelay"
	nameBefore = "imrelay-"
	version    = "1"
)

// link is one connection. Nekro's clients live and die with theirs: each is registered anew.
type link struct {
	stream *Stream
	// drop ends the link for a reason.
	drop func(error)
	// ask takes what Nekro asks. It outlives the link.
	ask func(sse.Event)
	// id is the client's. It is set before others see the link.
	id string
	up bool

	keeping sync.WaitGroup

	mu         sync.Mutex
	subscribed map[string]bool
}

// run registers, opens the stream of events and reads it to its end. last is for what is said after ctx.
func (l *link) run(ctx, last context.Context) error {
	if err := l.register(ctx); err != nil {
		return err
	}
	stream, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	defer l.leave(ctx, last)
	silent := time.AfterFunc(l.stream.times.idle, func() { l.drop(errSilent) })
	defer silent.Stop()
	for ev, err := range sse.Read(stream, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			return err
		}
		silent.Reset(l.stream.times.idle)
		if err := l.event(ctx, ev); err != nil {
			return err
		}
	}
	return errEnded
}

// register makes a client.
func (l *link) register(ctx context.Context) error {
	answer, err := l.command(ctx, "", registration{
		Cmd: "register", Platform: platform, ClientName: nameBefore + l.stream.wire.Name, ClientVersion: version,
	})
	if err != nil {
		return err
	}
	l.id = member(answer.Body, "client_id")
	if l.id == "" {
		return errNotNekro
	}
	return nil
}

// open opens the stream of the client's events.
func (l *link) open(ctx context.Context) (*egress.Stream, error) {
	query := url.Values{
		"client_id_query": {l.id}, "client_name": {nameBefore + l.stream.wire.Name}, "platform": {platform},
	}
	if l.stream.key != "" {
		query.Set("access_key", l.stream.key)
	}
	stream, err := l.stream.wire.Streamer.Open(ctx, egress.Call{
		Method: http.MethodGet, URL: l.stream.url + "?" + query.Encode(),
		Header: http.Header{"Accept": {"text/event-stream"}}, Timeout: l.stream.times.call, Idle: l.stream.times.idle,
	})
	if err != nil {
		return nil, err
	}
	if stream.Status != http.StatusOK {
		_ = stream.Close()
		return nil, refusal(stream.Status)
	}
	return stream, nil
}

// event takes one event of the connection.
func (l *link) event(ctx context.Context, ev sse.Event) error {
	switch ev.Type {
	case "heartbeat":
		return nil
	case "connected":
		return l.connected(ctx, []byte(ev.Data))
	}
	if l.up {
		l.ask(ev)
	}
	return nil
}

// connected makes the link the stream's. Nekro may have made another client than the registered one, and says here for
// whom it queues events: commands go under that id.
func (l *link) connected(ctx context.Context, data []byte) error {
	if l.up {
		return nil
	}
	if id := member(data, "client_id"); id != "" {
		l.id = id
	}
	if known := l.stream.channels.all(); len(known) > 0 {
		if err := l.subscribe(ctx, nil, known...); err != nil {
			return err
		}
	}
	l.up = true
	l.stream.opened(l)
	l.keeping.Go(func() {
		l.stream.inherit(ctx, l)
		l.keep(ctx)
	})
	return nil
}

// keep shows that the client is there. Nekro has no command for that; every command counts, and to subscribe nothing
// changes nothing.
func (l *link) keep(ctx context.Context) {
	for pause(ctx, l.stream.times.beat) {
		if err := l.subscribe(ctx, nil); errors.Is(err, errForgotten) {
			l.drop(err)
		}
		l.stream.keepChannels(ctx)
	}
}

// leave takes the channels from the client when the relay stops: Nekro would wait for it for a while.
func (l *link) leave(ctx, last context.Context) {
	if l.up && errors.Is(context.Cause(ctx), context.Canceled) {
		l.stream.keepChannels(last)
		l.strip(last, l.id)
	}
}

// strip takes all channels from a client. It costs nothing but time if that fails.
func (l *link) strip(ctx context.Context, id string) {
	if known := l.stream.channels.all(); len(known) > 0 {
		_, _ = l.command(ctx, id, subscription{Cmd: "unsubscribe", Channels: known})
	}
}

func (l *link) has(channel string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.subscribed[channel]
}

// subscribe asks for the channels' events.
func (l *link) subscribe(ctx context.Context, ready func() error, channels ...string) error {
	body, err := json.Marshal(subscription{Cmd: "subscribe", Channels: append([]string{}, channels...)})
	if err != nil {
		return fmt.Errorf("encode command: %w", err)
	}
	answer, err := l.post(ctx, egress.Call{Body: body, Ready: ready, Timeout: l.stream.times.call}, l.id)
	if err != nil {
		return err
	}
	if l.forgotten(answer) {
		return errForgotten
	}
	if !succeeded(answer.Status) {
		return refusal(answer.Status)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range channels {
		l.subscribed[c] = true
	}
	return nil
}

// command makes a call that must succeed.
func (l *link) command(ctx context.Context, id string, command any) (egress.Answer, error) {
	body, err := json.Marshal(command)
	if err != nil {
		return egress.Answer{}, fmt.Errorf("encode command: %w", err)
	}
	answer, err := l.post(ctx, egress.Call{Body: body, Timeout: l.stream.times.call}, id)
	if err == nil && !succeeded(answer.Status) {
		err = refusal(answer.Status)
	}
	return answer, err
}

// post posts a command as the client.
func (l *link) post(ctx context.Context, c egress.Call, id string) (egress.Answer, error) {
	c.Method, c.URL = http.MethodPost, l.stream.url
	if c.Header == nil {
		c.Header = http.Header{}
	}
	c.Header.Set("Content-Type", "application/json")
	if id != "" {
		c.Header.Set("X-Client-Id", id)
	}
	if l.stream.key != "" {
		c.Header.Set("X-Access-Key", l.stream.key)
	}
	return l.stream.wire.Doer.Do(ctx, c)
}

// refusal is the trouble of a status.
func refusal(status int) error { return trouble(fmt.Sprintf("answered %d", status)) }

// member is a text in a JSON object; empty: there is none.
func member(body []byte, name string) string {
	if !json.Valid(body) {
		return ""
	}
	return idOf(gjson.GetBytes(body, name).Str)
}
