package redisconn_test

import (
	"errors"
	"testing"

	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// TestLayout follows the mark through a migration from nothing to eight shards, and what forgetting it leaves.
func TestLayout(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	open := func(options string, moving bool) *redisconn.Conn {
		c, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(server.URL(options)), Moving: moving})
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return c
	}
	c := open("shards=8", true)
	want := func(when string, want redisconn.Layout) {
		t.Helper()
		if got, err := c.Layout(t.Context()); err != nil || got != want {
			t.Errorf("Layout %s: got %+v, %v, want %+v", when, got, err, want)
		}
	}
	want("of an empty Redis", redisconn.Layout{})
	if err := c.BeginMove(t.Context()); err != nil {
		t.Fatalf("BeginMove: %v", err)
	}
	want("while moving", redisconn.Layout{Mover: c.Instance()})
	if err := c.EndMove(t.Context()); err != nil {
		t.Fatalf("EndMove: %v", err)
	}
	want("after moving", redisconn.Layout{Shards: 8})
	if err := c.AbandonMove(t.Context()); !errors.Is(err, redisconn.ErrNotMover) {
		t.Errorf("AbandonMove of what has ended: got %v, want %v", err, redisconn.ErrNotMover)
	}
	want("when that was refused", redisconn.Layout{Shards: 8})
	next := open("shards=2", true)
	if err := errors.Join(next.BeginMove(t.Context()), next.EndMove(t.Context())); err != nil {
		t.Fatalf("move again: %v", err)
	}
	want("after moving again", redisconn.Layout{Shards: 2, From: 8})
	if err := c.Forget(t.Context()); err != nil {
		t.Fatalf("Forget: %v", err)
	}
	want("when forgotten", redisconn.Layout{})
	open("shards=4", false)
	want("of a relay", redisconn.Layout{Shards: 4})
}
