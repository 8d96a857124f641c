package relay

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
)

// storeRetryAfter is what a sender is told to wait when the store cannot take its message.
const storeRetryAfter = 2 * time.Second

// presenceAge is how old the IM's word on an account may be to be believed.
const presenceAge = 2 * time.Minute

// AcceptorOptions are what an Acceptor is made of.
type AcceptorOptions struct {
	// Queue takes the events.
	Queue queue.Putter
	// Dispatcher is asked for news of them.
	Dispatcher *Dispatcher
	// Brake is told of every event.
	Brake *Brake
	// Router is the first configuration.
	Router *Router
	// Presence is told when the IM says that an account is logged in, or out, unless that is old; nil: nobody wants to know.
	Presence func(account string, online bool)
	// Heard is told of an account whose messages come in, which hints that it is logged in. It must be quick; nil: nobody
	// wants to know.
	Heard func(account string)
	// Meter counts.
	Meter Meter
	// Log gets one line an event.
	Log *zap.Logger
}

// Acceptor takes received bodies in. It is safe for concurrent use.
type Acceptor struct {
	queue  queue.Putter
	disp   *Dispatcher
	brake  *Brake
	tell   func(account string, online bool)
	heard  func(account string)
	meter  Meter
	log    *zap.Logger
	router atomic.Pointer[Router]
}

// NewAcceptor returns an acceptor for the router's accounts.
func NewAcceptor(o AcceptorOptions) *Acceptor {
	a := &Acceptor{
		queue: o.Queue, disp: o.Dispatcher, brake: o.Brake, tell: o.Presence, heard: o.Heard, meter: o.Meter, log: o.Log,
	}
	if a.tell == nil {
		a.tell = func(string, bool) {}
	}
	if a.heard == nil {
		a.heard = func(string) {}
	}
	a.router.Store(o.Router)
	return a
}

// Reload takes over new accounts and routes; posts under way end with the old ones.
func (a *Acceptor) Reload(r *Router) { a.router.Store(r) }

// arrival is one message of a post on its way into the queue.
type arrival struct {
	envelope Envelope
	ignored  Ignored
	job      queue.Job
	braked   bool // its conversation was paused for it
	placed   queue.Placed
	watch    *watch
}

// Accept makes the post's messages durable and waits for the outcome of the first, at most p.Wait. Every error is a
// [*Refusal] or a mistake of ours.
func (a *Acceptor) Accept(ctx context.Context, p Post) (Acceptance, error) {
	began := time.Now()
	router := a.router.Load()
	account := router.Accounts[p.Account]
	if account == nil {
		return Acceptance{}, &Refusal{Code: CodeAccountUnknown, Message: "no such IM account is configured"}
	}
	if len(p.Body) == 0 {
		return Acceptance{}, &Refusal{Code: CodeEmptyBody, Message: "the body is empty; send the IM's message as JSON"}
	}
	envelopes, err := account.Format.Read(p.Body, account.Self)
	if err != nil {
		return Acceptance{}, &Refusal{Code: CodeInvalidJSON, Message: "the body is not valid JSON", Err: err}
	}
	arrivals := make([]arrival, len(envelopes))
	for i, e := range envelopes {
		arrivals[i] = a.arrive(router, account, p, e)
	}
	defer a.watch(arrivals, p)()
	if err := a.put(ctx, arrivals); err != nil {
		return Acceptance{}, err
	}
	a.presence(p.Account, arrivals, began)
	for i := range arrivals {
		a.note(p, &arrivals[i], began)
	}
	return a.answer(ctx, p, arrivals, began), nil
}

// presence tells what the post says of the account's being logged in, in its order. What is old, or was there before, says
// nothing of now.
func (a *Acceptor) presence(account string, arrivals []arrival, now time.Time) {
	for i := range arrivals {
		x := &arrivals[i]
		e := &x.envelope
		switch {
		case !e.At.IsZero() && now.Sub(e.At) > presenceAge:
		case e.Meta && (e.Kind == KindOffline || e.Kind == KindOnline):
			a.tell(account, e.Kind == KindOnline)
		case !e.Meta && x.ignored == "" && x.placed.Fresh:
			a.heard(account)
		}
	}
}

// arrive screens and routes one message and makes its job.
func (a *Acceptor) arrive(router *Router, account *Account, p Post, e Envelope) arrival {
	x := arrival{envelope: e, ignored: account.screen(e, time.Now())}
	if x.ignored != "" {
		return x
	}
	agent := router.agent(account.Name, e)
	if agent == "" {
		x.ignored = IgnoredFiltered
		return x
	}
	waiter := ""
	if p.Wait > 0 {
		waiter = a.disp.name()
	}
	x.job = queue.Job{
		ID:   newID("evt_"),
		Lane: queue.Lane{Agent: agent, Account: account.Name, Conversation: e.Conversation},
		Meta: Note{
			MessageID: e.MessageID, Sender: e.Sender, Nickname: e.Nickname, Kind: e.Kind, Group: e.Group,
			Mentioned: e.Mentioned, ContentType: p.ContentType, Traceparent: p.Traceparent,
			Waiter: waiter,
		}.encode(),
		Body: e.Raw,
	}
	if e.Identity != "" {
		x.job.Key = queue.Key{Account: account.Name, Conversation: e.Conversation, Identity: e.Identity}
	}
	if e.MessageID != "" {
		key := func(conversation string) queue.Key {
			return queue.Key{Account: account.Name, Conversation: conversation, Identity: e.MessageID}
		}
		if e.MessageID != e.Identity {
			x.job.Aliases = append(x.job.Aliases, key(e.Conversation))
		}
		for _, peer := range e.Peers {
			x.job.Aliases = append(x.job.Aliases, key(peer))
		}
	}
	return x
}

// watch starts to watch the post's messages, before they are queued so that no news is missed, and returns what ends
// it. Nobody watches for a caller who does not wait.
func (a *Acceptor) watch(arrivals []arrival, p Post) (end func()) {
	if p.Wait <= 0 {
		return func() {}
	}
	for i := range arrivals {
		if x := &arrivals[i]; x.ignored == "" {
			x.watch = a.disp.watches.add(x.job.ID, x.job.Lane)
		}
	}
	return func() {
		for i := range arrivals {
			if x := arrivals[i].watch; x != nil {
				a.disp.watches.remove(x)
			}
		}
	}
}

// put queues what was not left out, in one commit.
func (a *Acceptor) put(ctx context.Context, arrivals []arrival) error {
	jobs := make([]queue.Job, 0, len(arrivals))
	for i := range arrivals {
		if x := &arrivals[i]; x.ignored == "" {
			x.braked = a.brake.Hold(ctx, x.job.Lane.Account, x.job.Lane.Conversation)
			jobs = append(jobs, x.job)
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	placed, err := a.queue.Put(ctx, jobs...)
	if err != nil {
		return &Refusal{
			Code: CodeStoreUnavailable, Message: "the store cannot take the message now; send it again",
			RetryAfter: storeRetryAfter, Err: err,
		}
	}
	for i := range arrivals {
		if x := &arrivals[i]; x.ignored == "" {
			x.placed, placed = placed[0], placed[1:]
			if x.placed.Echo {
				x.ignored = IgnoredSelf
			}
			turn := Turn{Fresh: x.placed.Fresh, Held: x.braked, Braked: x.placed.Braked}
			if a.brake.Event(ctx, x.job.Lane.Account, x.job.Lane.Conversation, turn) {
				a.meter.Braked(x.job.Lane.Account)
			}
		}
	}
	return nil
}

// note writes the one line of a message that came in, and counts it.
func (a *Acceptor) note(p Post, x *arrival, began time.Time) {
	name, result := "inbound.accepted", "accepted"
	switch {
	case x.ignored != "":
		name, result = "inbound.ignored", string(x.ignored)
	case !x.placed.Fresh:
		name, result = "inbound.duplicate", "duplicate"
	}
	a.meter.Inbound(p.Account, result)
	entry := a.log.Check(zap.InfoLevel, "message "+result)
	if entry == nil {
		return
	}
	e := &x.envelope
	echo := zap.Skip()
	if x.placed.Echo { // unlike a message that the IM marks as the account's own, it was known by its id
		echo = zap.Bool("echo", true)
	}
	fields := [...]zap.Field{
		zap.String("event", name), zap.String("eventId", x.placed.ID), zap.String("im", p.Account),
		zap.String("sender", e.Sender), zap.String("conversationId", e.Conversation),
		zap.String("messageId", e.MessageID), zap.String("requestId", p.RequestID), zap.String("kind", e.Kind),
		zap.Int("bytes", len(e.Raw)), zap.Float64("durationMs", millis(time.Since(began))),
		echo,
	}
	entry.Write(fields[:]...)
}

// answer waits for the first event, if it is fresh, and says what became of the post.
func (a *Acceptor) answer(ctx context.Context, p Post, arrivals []arrival, began time.Time) Acceptance {
	var out Acceptance
	var lead *arrival
	for i := range arrivals {
		x := &arrivals[i]
		if x.ignored != "" {
			continue
		}
		out.EventIDs = append(out.EventIDs, x.placed.ID)
		if lead == nil && x.placed.Fresh {
			lead = x
		}
	}
	switch {
	case len(out.EventIDs) == 0:
		out.Ignored = arrivals[0].ignored
	case lead == nil:
		out.Duplicate = true
	case lead.watch != nil:
		a.wait(ctx, &out, lead, p.Wait-time.Since(began))
	}
	return out
}

// wait ends when the event is delivered or dead, when it is known not to be tried within left, when the relay has
// stopped, or after left.
func (a *Acceptor) wait(ctx context.Context, out *Acceptance, x *arrival, left time.Duration) {
	if x.placed.Wait > left || a.disp.held(x.job.Lane.Agent) {
		select {
		case p := <-x.watch.news: // it may have been attempted before it was held
			out.learn(p)
		default:
		}
		out.explain(a.disp.trouble(x.job.Lane.Agent))
		return
	}
	until := time.Now().Add(left)
	timer := time.NewTimer(left)
	defer timer.Stop()
	for !out.Answered {
		select {
		case <-ctx.Done():
			return
		case <-a.disp.watches.over:
			return
		case <-timer.C:
			return
		case p := <-x.watch.news:
			out.learn(p)
			if p.open || p.wait > time.Until(until) {
				out.explain(a.disp.trouble(x.job.Lane.Agent))
				return
			}
		}
	}
}

// explain says why the event waits, if it does and nothing has said it yet.
func (out *Acceptance) explain(trouble string) {
	if !out.Answered && out.LastError == "" {
		out.LastError = trouble
	}
}

// learn takes news over into the answer.
func (out *Acceptance) learn(p progress) {
	if p.verdict.Action == 0 {
		return
	}
	out.Attempts, out.LastError = p.attempts, p.verdict.Reason
	if p.final() {
		out.LastError = "" // the agent's own answer says it
		out.Answered, out.Dead = true, p.verdict.Action == queue.Bury
		out.Status, out.ContentType, out.Answer = p.verdict.Status, p.outcome.ContentType, p.outcome.Body
	}
}

// encode is the note's stored form.
func (n Note) encode() []byte {
	b, err := json.Marshal(n)
	if err != nil { // strings and bools always marshal
		return []byte("{}")
	}
	return b
}

// ReadNote is the inverse of what Accept stores in a job's Meta. It is read for every attempt, so by hand.
func ReadNote(meta []byte) (Note, error) {
	var n Note
	if !gjson.ValidBytes(meta) { //nolint:forbidigo // our own, and on every attempt's way
		return n, errors.New("note is not valid JSON")
	}
	gjson.ParseBytes(meta).ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "messageId":
			n.MessageID = value.Str
		case "sender":
			n.Sender = value.Str
		case "nickname":
			n.Nickname = value.Str
		case "kind":
			n.Kind = value.Str
		case "group":
			n.Group = value.Bool()
		case "mentioned":
			n.Mentioned = value.Bool()
		case "contentType":
			n.ContentType = value.Str
		case "traceparent":
			n.Traceparent = value.Str
		case "waiter":
			n.Waiter = value.Str
		}
		return true
	})
	return n, nil
}

// newID makes an id that sorts by time.
func newID(prefix string) string { return prefix + uuid.Must(uuid.NewV7()).String() }

// millis is d in milliseconds, as logs show it.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
