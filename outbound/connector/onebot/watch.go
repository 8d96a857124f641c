package onebot

import (
	"context"
	"time"
)

// watch doubts the link when it was silent for too long and does not answer a probe either.
func (l *link) watch(ctx context.Context) {
	for {
		t := time.NewTimer(l.patience())
		select {
		case <-l.done:
			t.Stop()
			return
		case <-l.paced:
			t.Stop()
			continue
		case <-l.unsure:
			t.Stop()
		case <-t.C:
			if l.patience() > 0 {
				continue
			}
		}
		if !l.probe(ctx) {
			close(l.doubted)
			return
		}
	}
}

// patience is how long the link may still be silent.
func (l *link) patience() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stalled {
		return silences * l.beat
	}
	return silences*l.beat - time.Since(l.heard)
}

// probe asks for a sign of life, and says whether there was one. A connection for events only cannot be asked.
func (l *link) probe(ctx context.Context) bool {
	began := time.Now()
	if !l.role.sends {
		return l.patience() > 0
	}
	_, err := l.exchange(ctx, status())
	l.mu.Lock()
	defer l.mu.Unlock()
	return err == nil || l.stalled || l.heard.After(began)
}

// prove waits until the link works, or ends it because it does not.
func (l *link) prove(ctx context.Context) {
	if l.role.sends {
		_, _ = l.exchange(ctx, status())
	} else {
		t := time.NewTimer(l.patience())
		defer t.Stop()
		select {
		case <-l.first:
		case <-l.done:
		case <-t.C:
		}
	}
	if !isClosed(l.first) {
		l.end(errSilent)
	}
}
