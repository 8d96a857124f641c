package onebot

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/coder/websocket"

	"github.com/imrelay/imrelay/outbound"
)

// call is the frame of an action.
type call struct {
	Action string          `json:"action"`
	Params json.RawMessage `json:"params"`
	Echo   string          `json:"echo"`
}

// ask makes one call on the link. When it is not answered, the link is looked at.
func (l *link) ask(ctx context.Context, a action) ([]byte, error) {
	if !l.begin() {
		return nil, notSent(codeNotConnected, errReplaced)
	}
	defer l.over()
	answer, err := l.exchange(ctx, a)
	if e, ok := errors.AsType[*outbound.SendError](err); ok && e.Reason == outbound.Uncertain {
		notify(l.unsure)
	}
	return answer, err
}

// exchange writes an action and waits for its answer.
func (l *link) exchange(ctx context.Context, a action) ([]byte, error) {
	select {
	case l.writing <- struct{}{}:
	case <-l.done:
		return nil, l.lost(false)
	case <-ctx.Done():
		return nil, notSent("cancelled", ctx.Err())
	}
	echo, got := l.await()
	defer l.forget(echo)
	err := l.write(ctx, a, echo)
	<-l.writing
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(l.bound)
	defer late.Stop()
	select {
	case answer := <-got:
		return answer, nil
	case <-late.C:
		return nil, uncertain("no answer in time", context.DeadlineExceeded)
	case <-ctx.Done():
		return nil, uncertain("no answer in time", ctx.Err())
	case <-l.done:
	}
	select {
	case answer := <-got:
		return answer, nil
	default:
		return nil, l.lost(true)
	}
}

// write writes an action. Whoever leaves meanwhile does not break the connection for the others: a frame is written whole.
func (l *link) write(ctx context.Context, a action, echo string) error {
	frame, err := encode(call{Action: a.name, Params: a.params, Echo: echo})
	switch {
	case err != nil:
		return refuse("encode", "the message cannot be written as JSON")
	case isClosed(l.done):
		return l.lost(false)
	case ctx.Err() != nil:
		return notSent("cancelled", ctx.Err())
	}
	if a.ready != nil {
		if err := a.ready(); err != nil {
			return notSent("called off before it began", err)
		}
	}
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(l.times.write, l.bound))
	defer cancel()
	if err := l.ws.Write(whole, websocket.MessageText, frame); err != nil {
		l.end(err)
		return l.lost(true)
	}
	return nil
}

// lost is what the end of the link means for a call. Whose token was not accepted from the beginning was never listened to.
func (l *link) lost(written bool) error {
	why := l.reason()
	switch {
	case errors.Is(why, errToken):
		return &outbound.SendError{Reason: outbound.Rejected, Code: "1403", Detail: string(errToken), Err: errToken}
	case written:
		return uncertain("connection lost", why)
	}
	return notSent(codeNotConnected, why)
}

const codeNotConnected = "not_connected"
