package connector

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/imrelay/imrelay/relay/egress"
)

// MediaRoom is how many bytes of media all sends of a relay may hold together. What is made of them for an IM comes on
// top: base64 in a JSON body is at least a third longer.
const MediaRoom = 64 << 20

// errRoom says that too many media are under way.
var errRoom = errors.New("no room for another medium")

// Bounded fetches media as another Doer does, as long as there is room for them.
type Bounded struct {
	doer egress.Doer
	size int64
	room *semaphore.Weighted
}

// Bound gives the Doer's answers so many bytes of room together.
func Bound(d egress.Doer, room int64) *Bounded {
	return &Bounded{doer: d, size: room, room: semaphore.NewWeighted(room)}
}

// Do implements [egress.Doer]. It waits for room for the longest answer within the call's time. What the answer has is
// held until ctx ends, as its body is for as long as that; an answer that is no medium, whose status is not 200, loses
// its body.
func (b *Bounded) Do(ctx context.Context, c egress.Call) (egress.Answer, error) {
	c.Timeout, c.MaxAnswer = cmp.Or(c.Timeout, egress.DefaultTimeout), cmp.Or(c.MaxAnswer, egress.MaxAnswer)
	c.MaxAnswer = int(min(int64(c.MaxAnswer), b.size))
	began := time.Now()
	if err := b.enter(ctx, c); err != nil {
		return egress.Answer{}, err
	}
	c.Timeout = max(c.Timeout-time.Since(began), time.Millisecond)
	a, err := b.doer.Do(ctx, c)
	if a.Status != http.StatusOK {
		a.Body = nil
	}
	held := int64(min(cap(a.Body), c.MaxAnswer))
	b.room.Release(int64(c.MaxAnswer) - held)
	if held > 0 {
		b.hold(ctx, held)
	}
	return a, err
}

// enter takes the room for the call's longest answer.
func (b *Bounded) enter(ctx context.Context, c egress.Call) error {
	within, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := b.room.Acquire(within, int64(c.MaxAnswer)); err != nil {
		late := !errors.Is(ctx.Err(), context.Canceled)
		return &egress.Error{Timeout: late, Reason: errRoom.Error(), Err: errors.Join(errRoom, err)}
	}
	return nil
}

// hold gives the room back when ctx ends; one without an end would keep it.
func (b *Bounded) hold(ctx context.Context, bytes int64) {
	if ctx.Done() == nil {
		b.room.Release(bytes)
		return
	}
	context.AfterFunc(ctx, func() { b.room.Release(bytes) })
}
