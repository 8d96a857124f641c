package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/queue"
)

// desk is what the daemon does for one agent. Its agent is made before anything is opened, and asks only later.
type desk struct {
	d    *Daemon
	name string
}

var (
	_ agent.Reader = desk{}
	_ agent.Memory = desk{}
	_ agent.Events = desk{}
	_ agent.Alarm  = desk{}
)

// wire is what the agent is made with.
func (d *Daemon) wire(name string, a config.Agent) agent.Wire {
	at := desk{d: d, name: name}
	w := agent.Wire{
		Name: name, Timeout: a.Timeout, StandardWebhooks: a.StandardWebhooks,
		Reader: at, Memory: at, Outbox: outbox{d}, Events: at, Alarm: at, Log: zap.NewNop(),
	}
	if d != nil {
		w.Doer, w.Streamer, w.Log = d.doer, d.doer, d.log.With(zap.String("agent", name))
	}
	return w
}

// agent is the one of that name that is in force; nil: none is.
func (d *Daemon) agent(name string) *made {
	if d == nil || d.plan.Load() == nil {
		return nil
	}
	return d.plan.Load().made[name]
}

// Read implements agent.Reader. What the event's note says holds: it was read from the whole body, of which the event may
// be an element.
func (k desk) Read(e relay.Event) (relay.Envelope, error) {
	account := k.d.plan.Load().router.Accounts[e.Account]
	if account == nil {
		return relay.Envelope{}, unread("its IM account is not configured any more", nil)
	}
	read, err := account.Format.Read(e.Body, account.Self)
	if err != nil || len(read) == 0 {
		return relay.Envelope{}, unread("the format of its IM account does not read it any more", err)
	}
	v := read[0]
	v.MessageID, v.Conversation, v.Raw = e.Note.MessageID, e.Conversation, e.Body
	v.Sender, v.Nickname, v.Kind = e.Note.Sender, e.Note.Nickname, e.Note.Kind
	v.Group, v.Mentioned = e.Note.Group, e.Note.Mentioned
	return v, nil
}

// unread is why an event cannot be told to an agent that wants words: it waits until that is mended, or it is too old.
func unread(why string, err error) error {
	return &relay.AttemptError{Ours: true, Reason: "not told to the agent: " + why, Err: err}
}

// memory is the key of the agent's value.
func (k desk) memory(name string) memo.Key { return memo.Key{Owner: "agent/" + k.name, Name: name} }

// Load implements agent.Memory.
func (k desk) Load(ctx context.Context, name string) ([]byte, error) {
	return k.d.store.memos.Load(ctx, k.memory(name))
}

// Save implements agent.Memory.
func (k desk) Save(ctx context.Context, name string, value []byte, keep time.Duration) error {
	return k.d.store.memos.Save(ctx, k.memory(name), value, keep)
}

// Chat implements agent.Events.
func (k desk) Chat(ctx context.Context, eventID string) (relay.Chat, error) {
	job, err := k.d.store.queue.Get(ctx, eventID)
	switch {
	case errors.Is(err, queue.ErrNotFound), err == nil && job.Lane.Agent != k.name:
		return relay.Chat{}, agent.ErrNotServed
	case err != nil:
		return relay.Chat{}, fmt.Errorf("find event: %w", err)
	}
	return relay.Chat{Account: job.Lane.Account, Conversation: job.Lane.Conversation}, nil
}

// Raise implements agent.Alarm.
func (k desk) Raise(what, text string) {
	if !k.d.alarms.raise(alarm{agent: k.name, what: what}, text) {
		return
	}
	k.d.log.Error(text, zap.String("event", "agent.alarm"), zap.String("agent", k.name), zap.String("alarm", what))
}

// Clear implements agent.Alarm.
func (k desk) Clear(what string) {
	if !k.d.alarms.clear(alarm{agent: k.name, what: what}) {
		return
	}
	k.d.log.Info("alarm is over", zap.String("event", "agent.alarm_over"), zap.String("agent", k.name),
		zap.String("alarm", what))
}

// outbox hands what agents say to the sender.
type outbox struct{ d *Daemon }

var _ relay.Outbox = outbox{}

// client is who an agent is to the sender. No configured client has such a name, so that their keys do not meet.
func client(agent string) outbound.Client { return outbound.Client{Name: "agent:" + agent} }

// longestKey is the longest key that is taken as it is; an agent's may be of any length.
const longestKey = 200

// request is the send that a reply becomes.
func request(s relay.Saying, r relay.Reply) outbound.Request {
	key := r.Key
	if len(key) > longestKey {
		sum := sha256.Sum256([]byte(key))
		key = hex.EncodeToString(sum[:])
	}
	out := outbound.Request{
		Client: client(s.Agent), EventID: s.EventID, Key: key, Account: s.Chat.Account, To: s.Chat.Conversation,
		Text: r.Text, ReplyTo: r.ReplyTo, Adapt: true,
	}
	for _, m := range r.Media {
		out.Media = append(out.Media, outbound.Media{Type: m.Type, URL: m.URL, Name: m.Name})
	}
	return out
}

// Queue implements relay.Outbox. What the sender refuses for good it has logged itself.
func (o outbox) Queue(ctx context.Context, s relay.Saying) error {
	for _, r := range s.Replies {
		rep, err := o.d.sender.Enqueue(ctx, request(s, r))
		if e, ok := errors.AsType[*outbound.Error](err); ok && final(e.Code) {
			continue
		}
		if err != nil {
			return fmt.Errorf("queue reply: %w", err)
		}
		o.d.log.Info("reply queued", zap.String("event", "reply.queued"), zap.String("eventId", s.EventID),
			zap.String("agent", s.Agent), zap.String("im", s.Chat.Account), zap.String("id", rep.ID),
			zap.String("sender", s.Sender), zap.String("conversationId", s.Chat.Conversation), zap.Bool("replayed", rep.Replayed))
	}
	return nil
}

// final says that the same send will not do better later.
func final(c outbound.Code) bool {
	return c != outbound.CodeStoreUnavailable && c != outbound.CodeShuttingDown
}

// Send implements relay.Outbox.
func (o outbox) Send(ctx context.Context, s relay.Saying) ([]string, error) {
	var ids []string
	for _, r := range s.Replies {
		res, err := o.d.sender.Send(ctx, request(s, r))
		if err != nil {
			return ids, fmt.Errorf("send reply: %w", err)
		}
		ids = append(ids, res.MessageIDs...)
	}
	return ids, nil
}
