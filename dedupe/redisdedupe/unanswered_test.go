package redisdedupe_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// What Redis gave without an answer coming through is had by the next take, as far as there is room for it, and is not
// held for nobody until the lease is over.
func TestTakeHasWhatAnUnansweredOneTook(t *testing.T) {
	t.Parallel()
	const sends, fewer = 20, 5
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("%d shards", shards), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--appendfsync", "no")
			road, options, o := newTrapRoad(t, server), fmt.Sprintf("?shards=%d", shards), redisdedupe.Options{Lease: time.Minute}
			there := open(t, server.URL(options[1:]), nil, o)
			l := open(t, "unix://"+road.socket+options, nil, o)
			// Redis has to know the script already, or it will not run it.
			status(t, there, queuedClaim("first", "first"), dedupe.Waiting)
			takes(t, there, "first")
			for i := range sends {
				status(t, there, queuedClaim(fmt.Sprint("k", i), fmt.Sprint(i)), dedupe.Waiting)
			}
			road.armed.Store(true)
			if es, err := l.Take(t.Context(), sends); !errors.Is(err, dedupe.ErrUnavailable) || !road.sprung.Load() {
				t.Fatalf("take without an answer: got %d, %v, want ErrUnavailable", len(es), err)
			}
			road.armed.Store(false)
			road.sprung.Store(false)
			// A shard that was not asked before the trap sprang has given nothing.
			had := map[string]bool{}
			left, err := there.Take(t.Context(), sends)
			if err != nil || len(left) == sends {
				t.Fatalf("another relay: got %d, %v, want those of some shard to be held", len(left), err)
			}
			for _, e := range left {
				had[e.Key] = true
			}
			for _, limit := range []int{fewer, sends} {
				want := min(limit, sends-len(had))
				var es []dedupe.Entry
				until(t, "the way is free", func() bool {
					var err error
					es, err = l.Take(t.Context(), limit)
					return err == nil
				})
				if len(es) != want {
					t.Errorf("at most %d: got %d, want %d", limit, len(es), want)
				}
				for _, e := range es {
					if had[e.Key] {
						t.Errorf("%s was taken twice", e.Key)
					}
					had[e.Key] = true
					must(t, l.Start(t.Context(), e, nil))
					must(t, l.Finish(t.Context(), e, dedupe.Done, nil))
				}
			}
		})
	}
}

// trapRoad leads to a server. Once it is armed and take passes, no answer comes back any more.
type trapRoad struct {
	socket        string
	armed, sprung atomic.Bool
}

// bait is in every call of take: after how many bytes it stops.
const bait = "1048576"

func newTrapRoad(t *testing.T, server *redistest.Server) *trapRoad {
	t.Helper()
	r := &trapRoad{socket: filepath.Join(filepath.Dir(server.Socket()), "trap")}
	through(t, r.socket, server, r.carry)
	return r
}

func (r *trapRoad) carry(to, from net.Conn, there bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := from.Read(buf)
		if there && r.armed.Load() && bytes.Contains(buf[:n], []byte(bait)) {
			r.sprung.Store(true)
		}
		if !there && r.sprung.Load() {
			_, _ = io.Copy(io.Discard, from) // and the caller never hears of it
			return
		}
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}
