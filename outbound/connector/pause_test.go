package connector_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound/connector"
)

func TestBackoffGrowsToItsBound(t *testing.T) {
	t.Parallel()
	b := connector.Backoff(time.Second, 8*time.Second)
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
		got, stop := b.Next()
		if stop || got < want*3/4 || got > want*5/4 {
			t.Errorf("wait %d: got %v, %v; want about %v", i, got, stop, want)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !connector.Pause(t.Context(), time.Minute) || time.Since(began) != time.Minute {
			t.Errorf("got the end after %v, want all of a minute", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if connector.Pause(ctx, time.Minute) || time.Since(began) != 61*time.Second {
			t.Errorf("got a pause of %v, want it cut at 1s", time.Since(began)-time.Minute)
		}
		if connector.Pause(ctx, -1) {
			t.Error("after the end: got true, want false")
		}
	})
}
