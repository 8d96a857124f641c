package redisdedupe_test

import (
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// A relay that is slow between its pointer and its row does not get the key once another has taken the pointer over.
func TestSlowBehindItsPointer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendfsync", "no")
	road := newSlowRoad(t, server)
	slow := open(t, "unix://"+road.socket, nil, redisdedupe.Options{})
	quick := open(t, server.URL(""), nil, redisdedupe.Options{})
	raw := rawClient(t, server, 0)
	one, another := apart(t, server)
	road.delay.Store(int64(150 * time.Millisecond))
	for round := range 4 {
		key := fmt.Sprint("k", round)
		late := make(chan dedupe.Status, 1)
		go func() {
			e, err := slow.Claim(t.Context(), aClaim(key, one))
			if err != nil {
				t.Errorf("late claim: %v", err)
			}
			late <- e.Status
		}()
		until(t, "there is a pointer", func() bool {
			return len(raw.Keys(t.Context(), "*}:key:*").Val()) == round+1
		})
		held := status(t, quick, aClaim(key, another), dedupe.Claimed)
		if got := <-late; got != dedupe.Conflict {
			t.Errorf("the late claim of a key that another holds: got %v, want conflict", got)
		}
		must(t, quick.Finish(t.Context(), held, dedupe.Done, nil))
	}
}

// apart returns two recipients whose rows are in two shards.
func apart(t *testing.T, server *redistest.Server) (one, another string) {
	t.Helper()
	conn := connect(t, server.URL(""), nil)
	one, another = "a", "b"
	for conn.Place("wechat/"+one) == conn.Place("wechat/"+another) {
		another += "b"
	}
	return one, another
}

// slowRoad leads to a server, and what goes there takes a while.
type slowRoad struct {
	socket string
	delay  atomic.Int64
}

func newSlowRoad(t *testing.T, server *redistest.Server) *slowRoad {
	t.Helper()
	s := &slowRoad{socket: filepath.Join(filepath.Dir(server.Socket()), "slow")}
	through(t, s.socket, server, s.carry)
	return s
}

// through lets connections to the socket go on to the server; carry takes the bytes of one there, or back.
func through(t *testing.T, socket string, server *redistest.Server, carry func(to, from net.Conn, there bool)) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	must(t, err)
	var conns sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := new(net.Dialer).DialContext(t.Context(), "unix", server.Socket())
			if err != nil {
				_ = c.Close()
				return
			}
			conns.Go(func() { carry(up, c, true) })
			conns.Go(func() { carry(c, up, false) })
		}
	}()
}

func (s *slowRoad) carry(to, from net.Conn, there bool) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if d := s.delay.Load(); there && d > 0 {
			<-time.After(time.Duration(d))
		}
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}
