package openclaw

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
)

const (
	// failuresKept is how long it is known how many runs of an event have failed: longer than the next one may take, which
	// must not lose its key meanwhile.
	failuresKept = 24 * time.Hour
	// noteWithin bounds noting a failure, which an attempt does even when its own time is over.
	noteWithin = 5 * time.Second
)

// runKey is what a gateway knows a run by: the event's id, and a number of its own after runs that are known to have
// failed. A gateway goes on to answer a key with its run's failure for five minutes.
func runKey(eventID string, failures int) string {
	if failures == 0 {
		return eventID
	}
	return eventID + "#" + strconv.Itoa(failures)
}

// failures is how many runs of the event are known to have failed.
func (h *hooks) failures(ctx context.Context, eventID string) (int, error) {
	value, err := h.wire.Memory.Load(ctx, "failures/"+eventID)
	if err != nil {
		return 0, fmt.Errorf("look for failed runs: %w", err)
	}
	n, _ := strconv.Atoi(string(value)) // what is not there counts as none
	return max(n, 0), nil
}

// failed notes how many runs of the event have failed. Where that cannot be, the next attempt may be answered with the
// same failure.
func (h *hooks) failed(ctx context.Context, e relay.Event, failures int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	err := h.wire.Memory.Save(ctx, "failures/"+e.ID, []byte(strconv.Itoa(failures)), failuresKept)
	if err != nil {
		h.wire.Log.Warn("openclaw: a failed run is not remembered: the next attempt may be answered with its failure",
			zap.String("agent", h.wire.Name), zap.String("eventId", e.ID), zap.String("im", e.Account),
			zap.String("conversationId", e.Conversation), zap.String("sender", e.Note.Sender), zap.Error(err))
	}
}
