package relay_test

import (
	"context"
	"slices"
	"testing"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/memqueue"
)

// What the IM says of the account itself is handed on, and reaches no agent; a member's message of that kind says nothing.
func TestPresence(t *testing.T) {
	t.Parallel()
	var told []string
	kinds := map[string]relay.Envelope{
		"off":  {Kind: relay.KindOffline, Meta: true},
		"on":   {Kind: relay.KindOnline, Meta: true},
		"beat": {Kind: "meta", Meta: true},
		"said": {Kind: relay.KindOffline, Conversation: "c", MessageID: "1", Identity: "1", Text: "off"},
	}
	q := memqueue.New(memqueue.Options{Retention: queue.Retention{}})
	t.Cleanup(func() { _ = q.Close() })
	acc := relay.NewAcceptor(relay.AcceptorOptions{
		Queue: q, Brake: relay.NewBrake(q, relay.BrakeOptions{}, zap.NewNop()), Meter: nullMeter{}, Log: zap.NewNop(),
		Dispatcher: relay.NewDispatcher(relay.DispatcherOptions{Source: q, Meter: nullMeter{}, Log: zap.NewNop()}),
		Presence: func(account string, online bool) {
			told = append(told, account+map[bool]string{true: " in", false: " out"}[online])
		},
		Router: &relay.Router{Accounts: map[string]*relay.Account{"im": {
			Name: "im", Format: relay.FormatFunc(func(body []byte, _ string) ([]relay.Envelope, error) {
				e := kinds[string(body)]
				e.Raw = body
				return []relay.Envelope{e}, nil
			}),
		}}},
	})
	for _, body := range []string{"beat", "off", "said", "on"} {
		if _, err := acc.Accept(context.Background(), relay.Post{Account: "im", Body: []byte(body)}); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
	}
	if want := []string{"im out", "im in"}; !slices.Equal(told, want) {
		t.Errorf("told: got %q, want %q", told, want)
	}
}
