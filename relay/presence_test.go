package relay_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/memqueue"
)

// What the IM says of the account itself is handed on, unless it is old, and reaches no agent; a member's message of that
// kind says only that the account hears. What came before says nothing.
func TestPresence(t *testing.T) {
	t.Parallel()
	now := time.Now()
	said := func(id string, at time.Time) relay.Envelope {
		return relay.Envelope{Kind: relay.KindOffline, Conversation: "c", MessageID: id, Identity: id, Text: "off", At: at}
	}
	tests := []struct {
		name string
		body relay.Envelope
		want string
	}{
		{"a beat", relay.Envelope{Kind: "meta", Meta: true}, ""},
		{"out", relay.Envelope{Kind: relay.KindOffline, Meta: true}, "im out"},
		{"out, a minute ago", relay.Envelope{Kind: relay.KindOffline, Meta: true, At: now.Add(-time.Minute)}, "im out"},
		{"out, long ago", relay.Envelope{Kind: relay.KindOffline, Meta: true, At: now.Add(-3 * time.Minute)}, ""},
		{"in, long ago", relay.Envelope{Kind: relay.KindOnline, Meta: true, At: time.Unix(1, 0)}, ""},
		{"said", said("1", time.Time{}), "im heard"},
		{"said again", said("1", time.Time{}), ""},
		{"said long ago", said("2", now.Add(-time.Hour)), ""},
		{"said by itself", relay.Envelope{Self: true, MessageID: "3", Identity: "3"}, ""},
		{"in", relay.Envelope{Kind: relay.KindOnline, Meta: true, At: now}, "im in"},
	}
	var told []string
	tell := func(account, what string) { told = append(told, account+" "+what) }
	q := memqueue.New(memqueue.Options{Retention: queue.Retention{}})
	t.Cleanup(func() { _ = q.Close() })
	acc := relay.NewAcceptor(relay.AcceptorOptions{
		Queue: q, Brake: relay.NewBrake(q, relay.BrakeOptions{}, zap.NewNop()), Meter: nullMeter{}, Log: zap.NewNop(),
		Dispatcher: relay.NewDispatcher(relay.DispatcherOptions{Source: q, Meter: nullMeter{}, Log: zap.NewNop()}),
		Presence:   func(account string, online bool) { tell(account, map[bool]string{true: "in", false: "out"}[online]) },
		Heard:      func(account string) { tell(account, "heard") },
		Router: &relay.Router{
			Accounts: map[string]*relay.Account{"im": {
				Name: "im", Format: relay.FormatFunc(func(body []byte, _ string) ([]relay.Envelope, error) {
					i, err := strconv.Atoi(string(body))
					e := tests[i].body
					e.Raw = body
					return []relay.Envelope{e}, err
				}),
			}},
			Routes: []relay.Route{{Agent: "agent"}},
		},
	})
	for i, tt := range tests {
		told = nil
		if _, err := acc.Accept(context.Background(), relay.Post{Account: "im", Body: []byte(strconv.Itoa(i))}); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := strings.Join(told, ", "); got != tt.want {
			t.Errorf("%s: told %q, want %q", tt.name, got, tt.want)
		}
	}
}
