package lanes_test

import (
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/lanes"
)

// TestRenewWhileSettling renews a lease whose transition is on its way to the disk: it is held, and if the transition
// fails it is a lease for as long as it was renewed.
func TestRenewWhileSettling(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		ack, again bool // again: the lane is leased to another meanwhile
	}{
		{"a retry", false, false},
		{"an ack ahead of its commit", true, false},
		{"an ack ahead of its commit, the lane leased again", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			at := queue.Lane{Agent: "crane", Account: "stork", Conversation: "c"}
			set, now := lanes.New(leaseFor, 100), clock.Time(1_000_000)
			set.Add(at, lanes.Waiting{Seq: 1, Due: now}, false)
			set.Add(at, lanes.Waiting{Seq: 2, Due: now}, false)
			take := func() []lanes.Grant {
				gs, _ := set.Take(now, queue.Want{Agent: "crane", Max: 1, Troubled: 1})
				return gs
			}
			g := take()[0]
			p := set.Settle(g.Lane, g.Seq, g.Token, tt.ack)
			if p == nil {
				t.Fatal("settle by the holder was refused")
			}
			if tt.again {
				if got := take(); len(got) != 1 || got[0].Seq != 2 {
					t.Fatalf("take beside the ack: got %+v, want the second job", got)
				}
			}
			now = now.Add(9 * time.Second)
			held := renew(set, g, now)
			if want := time.UnixMilli(int64(now)).Add(leaseFor); len(held) != 1 || !held[0].Expires.Equal(want) {
				t.Fatalf("renew: got %+v, want it held until %v", held, want)
			}
			stranger := g
			stranger.Token += 99
			if got := renew(set, stranger, now); len(got) != 0 {
				t.Errorf("renew with another token: got %+v, want none", got)
			}
			if tt.again {
				set.Done(p, queue.Delivered, lanes.Waiting{})
				if got := renew(set, g, now); len(got) != 0 {
					t.Errorf("renew once it is durable: got %+v, want none", got)
				}
				return
			}
			set.Undo(p, now)
			now = now.Add(9 * time.Second)
			if got := take(); len(got) != 0 {
				t.Errorf("take of a renewed lease: got %+v, want none", got)
			}
			if err := set.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}
