package daemon

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"go.uber.org/zap/zapcore"

	"github.com/imrelay/imrelay/relay/httpapi"
)

// streamRoom is how many notices a subscriber may be behind before it misses some.
const streamRoom = 256

// eventKey is the field that names what a line tells of.
const eventKey = "event"

// stream passes log lines that name an event on to who looks on. It is a core beside the one that writes: what is safe
// to log is safe to show, and there is one place where a happening is described.
type stream struct {
	hub    *hub
	fields []zapcore.Field
	enc    zapcore.Encoder
}

// hub holds the subscribers.
type hub struct {
	mu   sync.Mutex
	subs map[chan httpapi.Notice]struct{}
}

// newStream returns a stream without subscribers.
func newStream() *stream {
	return &stream{hub: &hub{subs: map[chan httpapi.Notice]struct{}{}}, enc: encoder("json", false)}
}

// Subscribe implements httpapi.Streamer.
func (s *stream) Subscribe(ctx context.Context) <-chan httpapi.Notice {
	c := make(chan httpapi.Notice, streamRoom)
	s.hub.mu.Lock()
	s.hub.subs[c] = struct{}{}
	s.hub.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		delete(s.hub.subs, c)
	})
	return c
}

// Enabled implements zapcore.LevelEnabler: with nobody looking on, a line costs nothing here.
func (s *stream) Enabled(l zapcore.Level) bool {
	if l < zapcore.InfoLevel {
		return false
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return len(s.hub.subs) > 0
}

// With implements zapcore.Core.
func (s *stream) With(fields []zapcore.Field) zapcore.Core {
	return &stream{hub: s.hub, enc: s.enc, fields: slices.Concat(s.fields, fields)}
}

// Check implements zapcore.Core.
func (s *stream) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if s.Enabled(e.Level) {
		return ce.AddCore(e, s)
	}
	return ce
}

// Write implements zapcore.Core.
func (s *stream) Write(e zapcore.Entry, fields []zapcore.Field) error {
	name := ""
	for _, f := range fields {
		if f.Key == eventKey {
			name = f.String
		}
	}
	if name == "" {
		return nil
	}
	all := slices.Concat(s.fields, fields)
	line, err := s.enc.EncodeEntry(e, all)
	if err != nil {
		return err
	}
	defer line.Free()
	s.hub.publish(httpapi.Notice{Name: name, Data: bytes.TrimSpace(bytes.Clone(line.Bytes()))})
	return nil
}

// Sync implements zapcore.Core.
func (*stream) Sync() error { return nil }

// publish gives the notice to all who have room for it.
func (h *hub) publish(n httpapi.Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.subs {
		select {
		case c <- n:
		default:
		}
	}
}
