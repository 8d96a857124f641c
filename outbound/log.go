package outbound

import (
	"context"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
)

// lineFields is how many fields a line about a send has at most.
const lineFields = 18

// fields are those of every line about a send. Text shows as its length, and who the IM's words name stays with them.
func (j *job) fields(event, decided string) []zap.Field {
	out := append(make([]zap.Field, 0, lineFields), zap.String("event", event), zap.String("id", j.id))
	if j.EventID != "" {
		out = append(out, zap.String("eventId", j.EventID))
	}
	return append(out,
		zap.String("requestId", j.RequestID),
		zap.String("im", j.Account),
		zap.String("client", j.Client.Name),
		zap.String("conversationId", j.To),
		zap.String("decided", decided),
	)
}

// attemptFields are those of a call to the IM.
func (j *job) attemptFields(c call, decided string, status int) []zap.Field {
	event := "outbound.sent"
	if c.err != nil {
		event = "outbound.failed"
	}
	out := append(j.fields(event, decided),
		zap.Int("status", status),
		zap.Int64("durationMs", c.took.Milliseconds()),
		zap.Int("attempt", c.attempt),
		zap.Int("textLength", utf8.RuneCountInString(c.m.Text)),
		zap.Int("media", len(c.m.Media)),
	)
	if c.err == nil {
		out = append(out, zap.String("messageId", c.id))
	}
	if j.rec.Long {
		out = append(out, zap.Int("part", len(j.rec.IDs)+1))
	}
	return out
}

// sent tells all who want to know of a message that the IM took.
func (s *Sender) sent(ctx context.Context, j *job, c call) {
	if s.sentHook != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookBound)
		err := s.sentHook(ctx, j.Account, j.To, c.id)
		cancel()
		if was := s.hookDown.Swap(err != nil); err != nil && !was {
			s.log.Error("sent messages are not remembered", append(j.fields("outbound.sent", "unremembered"),
				zap.String("messageId", c.id), zap.Error(err))...)
		}
	}
	s.log.Info("message sent", j.attemptFields(c, "sent", 200)...)
}

// failed logs a failed call with what follows from it.
func (s *Sender) failed(j *job, c call) {
	status := 0
	if c.verdict.final != nil {
		status, j.told = c.verdict.final.Code.Status(), true
	}
	fields := append(j.attemptFields(c, c.verdict.decided, status),
		zap.String("reason", c.err.Reason.String()), zap.String("code", c.err.Code))
	if c.verdict.final == nil {
		fields = append(fields, zap.Int64("waitMs", c.verdict.wait.Milliseconds()))
	}
	s.log.Warn("message not sent", fields...)
}

// refused logs a send that ended without a call, counts it, and makes its error the caller's.
func (s *Sender) refused(j *job, err *Error) error {
	took := time.Since(j.arrived)
	s.observer.Ended(j.Account, string(err.Code), took)
	if j.told {
		return err
	}
	fields := append(j.fields("outbound.refused", "refused"),
		zap.String("code", string(err.Code)),
		zap.Int("status", err.Code.Status()),
		zap.Int64("durationMs", took.Milliseconds()),
		zap.Int("textLength", utf8.RuneCountInString(j.Text)),
	)
	if err.Err != nil {
		fields = append(fields, zap.Error(err.Err))
	}
	s.log.Warn("send refused", fields...)
	return err
}

// ended counts a sent message, and logs one that was sent before.
func (s *Sender) ended(j *job, r Result) {
	outcome := "sent"
	if r.Replayed {
		outcome = "replayed"
		fields := append(j.fields("outbound.sent", outcome), zap.Int("status", 200))
		if len(r.MessageIDs) > 0 {
			fields = append(fields, zap.String("messageId", r.MessageIDs[0]))
		}
		s.log.Info("message was sent before", fields...)
	}
	s.observer.Ended(j.Account, outcome, time.Since(j.arrived))
}

// unkept logs an outcome that the ledger did not take.
func (s *Sender) unkept(j *job, err error) {
	s.log.Error("outcome not stored", append(j.fields("outbound.failed", "unstored"), zap.Error(err))...)
}
