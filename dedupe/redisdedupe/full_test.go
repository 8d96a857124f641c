package redisdedupe_test

import (
	"errors"
	"testing"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// A Redis whose memory is full takes no new send, and what was taken goes its way.
func TestAFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l := open(t, server.URL("shards=4"), nil, redisdedupe.Options{})
	claim := func(key string, payload []byte) (dedupe.Entry, error) {
		return l.Claim(t.Context(), dedupe.Claim{Owner: "openclaw", Key: key, ID: "msg_" + key, Lane: "wechat/" + key, Payload: payload})
	}
	sync, err := claim("sync", nil)
	if err != nil || sync.Status != dedupe.Claimed {
		t.Fatalf("claim: got %v, %v", sync.Status, err)
	}
	if _, err := claim("queued", []byte("hello")); err != nil {
		t.Fatalf("queue: %v", err)
	}
	if err := server.Client().ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatalf("CONFIG SET: %v", err)
	}
	if _, err := claim("new", nil); !errors.Is(err, dedupe.ErrUnavailable) {
		t.Errorf("claim in a full Redis: got %v, want %v", err, dedupe.ErrUnavailable)
	}
	taken, err := l.Take(t.Context(), 5)
	if err != nil || len(taken) != 1 {
		t.Fatalf("take: got %d, %v, want 1", len(taken), err)
	}
	for _, e := range append(taken, sync) {
		if err := l.Start(t.Context(), e, []byte("r")); err != nil {
			t.Errorf("start %s: %v", e.Key, err)
		}
		if kept, err := l.Renew(t.Context(), []dedupe.Entry{e}); err != nil || len(kept) != 1 {
			t.Errorf("renew %s: got %d, %v, want 1", e.Key, len(kept), err)
		}
		if err := l.Finish(t.Context(), e, dedupe.Done, []byte("sent")); err != nil {
			t.Errorf("finish %s: %v", e.Key, err)
		}
	}
	if err := l.Sweep(t.Context()); err != nil {
		t.Errorf("sweep: %v", err)
	}
}
