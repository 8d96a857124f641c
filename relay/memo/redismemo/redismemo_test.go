package redismemo_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/memo/memmemo"
	"github.com/imrelay/imrelay/relay/memo/memotest"
	"github.com/imrelay/imrelay/relay/memo/redismemo"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	memotest.Run(t, databases(t, 16))
}

// TestMove moves notes into memory, from there, and from a few shards to many.
func TestMove(t *testing.T) {
	t.Parallel()
	memory := func(_ *testing.T, c *memotest.Clock) memotest.Subject {
		return memotest.Subject{Store: memmemo.New(memmemo.Options{Now: c.Now})}
	}
	for _, row := range []struct {
		name     string
		from, to memotest.Harness
	}{
		{"out", databases(t, 4), memory},
		{"in", memory, databases(t, 4)},
		{"to more shards", databases(t, 3), databases(t, 16)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			memotest.RunMove(t, row.from, row.to)
		})
	}
}

// databases gives each subject a database of its own.
func databases(t *testing.T, shards int) memotest.Harness {
	t.Helper()
	server := redistest.Start(t, "--databases", "100", "--appendfsync", "no")
	var db atomic.Int32
	return func(t *testing.T, c *memotest.Clock) memotest.Subject {
		t.Helper()
		return subject(t, fmt.Sprintf("%s&db=%d", server.URL(fmt.Sprintf("shards=%d", shards)), db.Add(1)), c)
	}
}

func subject(t *testing.T, url string, c *memotest.Clock) memotest.Subject {
	t.Helper()
	store, conn := open(t, url, c.Now)
	return memotest.Subject{
		Store: store, Unswept: true,
		Reopen: func() memo.Store {
			if err := errors.Join(store.Close(), conn.Close()); err != nil {
				t.Errorf("close: %v", err)
			}
			store, conn = open(t, url, c.Now)
			return store
		},
		Break: func() {
			if err := conn.Close(); err != nil {
				t.Errorf("close connection: %v", err)
			}
		},
	}
}

// open opens a store over a connection of its own, as another relay would.
func open(t *testing.T, url string, now func() time.Time) (*redismemo.Store, *redisconn.Conn) {
	t.Helper()
	conn, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(url), Clock: now})
	if err != nil {
		t.Fatalf("open connection: %v", err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close connection: %v", err)
		}
	})
	return redismemo.New(conn), conn
}

var token = memo.Key{Owner: "agent/heron", Name: "token"}

func save(t *testing.T, s memo.Store, value string) {
	t.Helper()
	if err := s.Save(t.Context(), token, []byte(value), time.Hour); err != nil {
		t.Fatalf("save: %v", err)
	}
}

func want(t *testing.T, s memo.Store, value string) {
	t.Helper()
	if got, err := s.Load(t.Context(), token); err != nil || string(got) != value {
		t.Errorf("load: got %q, %v, want %q", got, err, value)
	}
}

// TestCluster keeps notes on all masters of a Cluster, where each relay finds them.
func TestCluster(t *testing.T) {
	t.Parallel()
	url := redistest.StartCluster(t).URL("shards=8")
	a, _ := open(t, url, nil)
	b, _ := open(t, url, nil)
	for i := range 40 {
		k := memo.Key{Owner: "agent/heron", Name: fmt.Sprint(i)}
		if err := a.Save(t.Context(), k, []byte(k.Name), time.Hour); err != nil {
			t.Fatalf("save %d: %v", i, err)
		}
		if got, err := b.Load(t.Context(), k); err != nil || string(got) != k.Name {
			t.Errorf("load %d at another relay: got %q, %v, want %q", i, got, err, k.Name)
		}
	}
	found := 0
	target := memmemo.New(memmemo.Options{})
	err := b.Export(t.Context(), func(notes []memo.Note) error {
		found += len(notes)
		return target.Import(t.Context(), notes)
	})
	if err != nil || found < 40 {
		t.Errorf("export: got %d notes, %v, want 40", found, err)
	}
}

// TestKeysEnd: Redis removes by itself what is over, and what is left of what was forgotten, not at once.
func TestKeysEnd(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, _ := open(t, server.URL("shards=4"), nil)
	for _, row := range []struct {
		name       string
		value      []byte
		keep       time.Duration
		from, upTo time.Duration
	}{
		{"long", []byte("x"), time.Hour, 59 * time.Minute, time.Hour},
		{"short", []byte("x"), time.Second, 50 * time.Second, time.Minute},
		{"forgotten", nil, time.Hour, 50 * time.Second, time.Minute},
	} {
		if err := s.Save(t.Context(), memo.Key{Owner: "o", Name: row.name}, row.value, row.keep); err != nil {
			t.Fatalf("save %s: %v", row.name, err)
		}
		keys, err := server.Client().Keys(t.Context(), "{imrelay:4.*}:memo:1:o:"+row.name).Result()
		if err != nil || len(keys) != 1 {
			t.Fatalf("keys of %s: got %v, %v, want one", row.name, keys, err)
		}
		if left := server.Client().PTTL(t.Context(), keys[0]).Val(); left < row.from || left > row.upTo {
			t.Errorf("%s is removed after: got %v, want %v to %v", row.name, left, row.from, row.upTo)
		}
	}
}

// TestLateSave: a save that Redis hears of after a later one of the same relay changes nothing; one of another relay does.
func TestLateSave(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, row := range []struct {
		name  string
		later func(s memo.Store)
		want  string
	}{
		{"replaced", func(s memo.Store) { save(t, s, "second") }, "second"},
		{"forgotten", func(s memo.Store) {
			if err := s.Save(t.Context(), token, nil, 0); err != nil {
				t.Fatalf("forget: %v", err)
			}
		}, ""},
	} {
		s, _ := open(t, server.URL(""), nil)
		save(t, s, "first")
		keys, err := server.Client().Keys(t.Context(), "*memo:*token").Result()
		if err != nil || len(keys) != 1 {
			t.Fatalf("keys: got %v, %v, want one", keys, err)
		}
		raw := server.Client().Get(t.Context(), keys[0]).Val()
		row.later(s)
		// The first save once more, as a server would run what stood in a socket.
		parts := strings.SplitN(raw, ":", 4)
		_, conn := open(t, server.URL(""), nil)
		_, err = conn.Do(t.Context(), redisconn.Call{
			Script: redismemo.SaveScript, Shard: conn.Place(token.Owner, token.Name),
			Args: []any{"11:agent/heron:token", parts[1], parts[2], time.Hour.Microseconds(), parts[3]},
		})
		if err != nil {
			t.Fatalf("late save: %v", err)
		}
		want(t, s, row.want)
		other, _ := open(t, server.URL(""), nil)
		save(t, other, "of another relay")
		want(t, s, "of another relay")
	}
}

// TestRedisAway answers in time, and goes on when Redis is back.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, _ := open(t, server.URL(""), nil)
	save(t, s, "kept")
	server.Kill()
	for range 2 {
		began := time.Now()
		err := s.Save(t.Context(), token, []byte("lost"), time.Hour)
		if took := time.Since(began); !errors.Is(err, memo.ErrUnavailable) || took > time.Second {
			t.Errorf("save: got %v after %v, want %v within a second", err, took, memo.ErrUnavailable)
		}
		if _, err := s.Load(t.Context(), token); !errors.Is(err, memo.ErrUnavailable) {
			t.Errorf("load: got %v, want %v", err, memo.ErrUnavailable)
		}
	}
	server.Restart()
	for end := time.Now().Add(5 * time.Second); ; {
		_, err := s.Load(t.Context(), token)
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("load when Redis is back: %v", err)
		}
		<-time.After(10 * time.Millisecond)
	}
	want(t, s, "kept")
}

// TestFullRedis takes no new note, keeps the old ones, and lets them be forgotten.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, _ := open(t, server.URL(""), nil)
	save(t, s, "old")
	if err := server.Client().ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatalf("CONFIG SET: %v", err)
	}
	if err := s.Save(t.Context(), token, []byte("new"), time.Hour); !errors.Is(err, memo.ErrUnavailable) {
		t.Errorf("save: got %v, want %v", err, memo.ErrUnavailable)
	}
	want(t, s, "old")
	if err := s.Save(t.Context(), token, nil, 0); err != nil {
		t.Errorf("forget: %v", err)
	}
	want(t, s, "")
}
