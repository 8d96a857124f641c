package daemon_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// A command that looks into a shared store leaves nothing there and waits for nothing.
func TestVisit(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	list := func(options string) error {
		t.Helper()
		cfg := parse(t, fmt.Sprintf(onRedis(server.URL(options)), "http://127.0.0.1:1", "http://127.0.0.1:1", t.TempDir()))
		s, err := daemon.OpenStore(t.Context(), cfg, zap.NewNop())
		if err != nil {
			return err
		}
		if _, err := s.List(t.Context(), queue.Filter{}); err != nil {
			t.Errorf("list: %v", err)
		}
		return s.Close()
	}
	if err := list("shards=8"); err != nil {
		t.Errorf("an empty store: %v", err)
	}
	if keys := server.Client().Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("keys afterwards: got %v, want none", keys)
	}
	start(t, onRedis(server.URL("shards=4"))).stop()
	if err := list("shards=8"); err == nil || !strings.Contains(err.Error(), "shards=4") {
		t.Errorf("another number of shards: got %v, want it refused", err)
	}
	server.Kill()
	began := time.Now()
	if err := list("shards=4"); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("no Redis: got %v after %v, want an error soon", err, time.Since(began))
	}
}
