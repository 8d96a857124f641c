package httpapi_test

import (
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/memqueue"
)

// newStore opens a queue in memory.
func newStore(t *testing.T) queue.Queue {
	t.Helper()
	q := memqueue.New(memqueue.Options{})
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// withStore is the option that makes a server look into q.
func withStore(q httpapi.Store) func(o *httpapi.Options) {
	return func(o *httpapi.Options) { o.Store = q }
}

// put queues one event for each id, each in a conversation of its own, and returns them.
func put(t *testing.T, q queue.Queue, ids ...string) {
	t.Helper()
	for _, id := range ids {
		job := queue.Job{
			ID: id, Lane: queue.Lane{Agent: "openclaw", Account: "wechat", Conversation: "room-" + id},
			Meta: []byte(`{"messageId":"7265419038812345671","sender":"wxid_alice","kind":"text"}`),
			Body: []byte(`{"id":"` + id + `","n":7265419038812345671}`),
		}
		if _, err := q.Put(t.Context(), job); err != nil {
			t.Fatalf("put %s: %v", id, err)
		}
	}
}

// settle takes everything that is due and settles it.
func settle(t *testing.T, q queue.Queue, v queue.Verdict) {
	t.Helper()
	for _, l := range take(t, q) {
		if err := q.Settle(t.Context(), l, v); err != nil {
			t.Fatalf("settle %s: %v", l.Job.ID, err)
		}
	}
}

// take leases everything that is due.
func take(t *testing.T, q queue.Queue) []queue.Lease {
	t.Helper()
	taken, err := q.Take(t.Context(), queue.Want{Agent: "openclaw", Max: 1000, Troubled: 1000})
	if err != nil {
		t.Fatalf("take: %v", err)
	}
	return taken.Leases
}

// bury makes the events dead letters.
func bury(t *testing.T, q queue.Queue, ids ...string) {
	t.Helper()
	put(t, q, ids...)
	settle(t, q, queue.Verdict{Action: queue.Bury, Counted: true, Status: 400, Reason: "status 400"})
}

// fieldEvent is the log field that names an event.
func fieldEvent(name string) zap.Field { return zap.String("event", name) }

// noSecrets fails the test if a log line holds a token or a secret of the tests.
func noSecrets(t *testing.T, r *rig) {
	t.Helper()
	for _, line := range r.logs.All() {
		text := line.Message
		for _, f := range line.Context {
			text += " " + f.String
			if err, ok := f.Interface.(error); ok {
				text += " " + err.Error()
			}
		}
		for _, s := range []string{imToken, clientToken, adminToken, signSecret, "token="} {
			if strings.Contains(text, s) {
				t.Errorf("a log line shows a secret: %s", text)
			}
		}
	}
}
