package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap/zaptest"

	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

const markKey, relaysKey = "imrelay:store", "imrelay:relays"

// tryOpen opens and closes.
func tryOpen(t *testing.T, o redisconn.Options) error {
	t.Helper()
	o.Log = zaptest.NewLogger(t)
	c, err := redisconn.Open(t.Context(), o)
	if err == nil {
		err = c.Close()
	}
	return err
}

// openMoving opens as a migration does.
func openMoving(t *testing.T, url string) *redisconn.Conn {
	t.Helper()
	c, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(url), Moving: true, Log: zaptest.NewLogger(t)})
	if err != nil {
		t.Fatalf("open as a migration: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestOpenRefuses opens what is another one's, or nothing.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	open(t, s.URL("shards=4"))
	var layout *redisconn.LayoutError
	err := tryOpen(t, redisconn.Options{URL: secret.New(s.URL("shards=8"))})
	if !errors.As(err, &layout) || *layout != (redisconn.LayoutError{Has: 4, Want: 8}) {
		t.Errorf("another number of shards: got %v, want a *LayoutError of 4 and 8", err)
	}
	if err != nil && !strings.Contains(err.Error(), "migrate") {
		t.Errorf("the error names no way to change the number: %v", err)
	}
	if err := tryOpen(t, redisconn.Options{URL: secret.New(s.URL("shards=4"))}); err != nil {
		t.Errorf("the same number of shards: %v", err)
	}
	if err := s.Client().HSet(t.Context(), markKey, "version", redisconn.Version+1).Err(); err != nil {
		t.Fatal(err)
	}
	var version *redisconn.VersionError
	err = tryOpen(t, redisconn.Options{URL: secret.New(s.URL("shards=4"))})
	if !errors.As(err, &version) || *version != (redisconn.VersionError{Has: redisconn.Version + 1, Known: redisconn.Version}) {
		t.Errorf("a newer version: got %v, want a *VersionError", err)
	}
	err = tryOpen(t, redisconn.Options{URL: secret.New(s.URL("shards=4")), Moving: true})
	if !errors.As(err, &version) {
		t.Errorf("a newer version, as a migration: got %v, want a *VersionError", err)
	}
	var mistake *redisconn.URLError
	if err := tryOpen(t, redisconn.Options{URL: secret.New("redis://?")}); !errors.As(err, &mistake) {
		t.Errorf("a URL that is none: got %v, want a *URLError", err)
	}
	start := time.Now()
	err = tryOpen(t, redisconn.Options{URL: secret.New("unix://" + s.Socket() + ".none")})
	if took := time.Since(start); !errors.Is(err, redisconn.ErrUnavailable) || took > 2*time.Second {
		t.Errorf("nobody there: got %v after %v, want ErrUnavailable soon", err, took)
	}
}

// TestARunningRelayIsRefused changes the mark under a relay that runs, and changes it back.
func TestARunningRelayIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		field, changed, normal string
		want                   any
	}{
		"a newer relay came":   {"version", fmt.Sprint(redisconn.Version + 1), fmt.Sprint(redisconn.Version), new(*redisconn.VersionError)},
		"the layout changed":   {"shards", "32", "16", new(*redisconn.LayoutError)},
		"data is being moved":  {"moving", "somebody", "", nil},
		"the mark is nonsense": {"shards", "many", "16", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			conn := open(t, s.URL(""))
			call := redisconn.Call{Script: count, Shard: conn.Shards()[0]}
			if err := s.Client().HSet(t.Context(), markKey, c.field, c.changed).Err(); err != nil {
				t.Fatal(err)
			}
			if c.changed == "many" {
				if err := conn.Ready(t.Context()); err == nil {
					t.Error("ready with a mark that cannot be read")
				}
				return
			}
			eventually(t, "calls are refused", func() bool {
				_, err := conn.Do(t.Context(), call)
				return errors.Is(err, redisconn.ErrUnavailable)
			})
			for what, err := range map[string]error{"do": second(conn.Do(t.Context(), call)), "ready": conn.Ready(t.Context())} {
				if c.want == nil && !errors.Is(err, redisconn.ErrMoving) || c.want != nil && !errors.As(err, c.want) {
					t.Errorf("%s: got %v, want the reason", what, err)
				}
			}
			var err error
			if c.normal == "" {
				err = s.Client().HDel(t.Context(), markKey, c.field).Err()
			} else {
				err = s.Client().HSet(t.Context(), markKey, c.field, c.normal).Err()
			}
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "calls go through again", func() bool { return second(conn.Do(t.Context(), call)) == nil })
		})
	}
}

func second(_ any, err error) error { return err }

// TestMove moves from 4 shards to 8 in one Redis.
func TestMove(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	relay := open(t, s.URL("shards=4"))
	if err := relay.BeginMove(t.Context()); err == nil {
		t.Error("a relay may begin to move data")
	}
	if got := relay.Imported(); !got.IsZero() {
		t.Errorf("imported before any migration: got %v, want never", got)
	}
	from, to := openMoving(t, s.URL("shards=4")), openMoving(t, s.URL("shards=8"))
	if n, err := from.Relays(t.Context()); n != 1 || err != nil {
		t.Errorf("relays: got %d, %v, want the one that is no migration", n, err)
	}
	if err := to.BeginMove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tryOpen(t, redisconn.Options{URL: secret.New(s.URL("shards=4"))}); !errors.Is(err, redisconn.ErrMoving) {
		t.Errorf("open while data is moved: got %v, want ErrMoving", err)
	}
	if err := to.AbandonMove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tryOpen(t, redisconn.Options{URL: secret.New(s.URL("shards=4"))}); err != nil {
		t.Errorf("open when it was abandoned: %v", err)
	}
	if err := to.BeginMove(t.Context()); err != nil {
		t.Fatal(err)
	}
	do(t, from, count)
	do(t, to, count)
	before := time.Now().Add(-time.Second)
	if err := to.EndMove(t.Context()); err != nil {
		t.Fatal(err)
	}
	var layout *redisconn.LayoutError
	if err := tryOpen(t, redisconn.Options{URL: secret.New(s.URL("shards=4"))}); !errors.As(err, &layout) {
		t.Errorf("open with the old number: got %v, want a *LayoutError", err)
	}
	moved := open(t, s.URL("shards=8"))
	if got := moved.Imported(); got.Before(before) || got.After(time.Now().Add(time.Second)) {
		t.Errorf("imported: got %v, want about now", got)
	}
}

// TestRelaysAreCounted opens several and ends them in different ways.
func TestRelaysAreCounted(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := open(t, s.URL("")), open(t, s.URL(""))
	if a.Instance() == b.Instance() || a.Instance() == "" {
		t.Errorf("two connections are called %q and %q, want two names", a.Instance(), b.Instance())
	}
	check := func(when string, want int) {
		t.Helper()
		if got, err := a.Relays(t.Context()); got != want || err != nil {
			t.Errorf("%s: got %d, %v, want %d relays", when, got, err, want)
		}
	}
	check("two run", 2)
	now, err := s.Client().Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"crashed": 6 * time.Second, "long gone": 2 * time.Minute, "late": 4 * time.Second} {
		if err := s.Client().ZAdd(t.Context(), relaysKey, redis.Z{
			Score: float64(now.Add(-age).UnixMicro()), Member: name,
		}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	check("with three that were not heard of lately", 3)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	check("one ended", 2)
	eventually(t, "the one long gone is removed", func() bool {
		return errors.Is(s.Client().ZScore(t.Context(), relaysKey, "long gone").Err(), redis.Nil)
	})
	if err := s.Client().ZScore(t.Context(), relaysKey, "crashed").Err(); err != nil {
		t.Errorf("the one that crashed lately: got %v, want it still there", err)
	}
	if err := s.Client().ZScore(t.Context(), relaysKey, b.Instance()).Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("the one that ended: got %v, want it gone at once", err)
	}
}

// scriptFile makes a script of the package's file as the package does.
func scriptFile(t *testing.T, file string) *redisconn.Script {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return redisconn.NewScript(file, string(source))
}

// TestStoreScript runs store.lua and move.lua alone. The shard's prefix stands for the key.
func TestStoreScript(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	at := time.UnixMicro(1_790_000_000_123_457)
	conn, err := redisconn.Open(t.Context(), redisconn.Options{
		URL: secret.New(s.URL("")), Clock: func() time.Time { return at },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	key := conn.Shards()[0].Prefix()
	store, move := scriptFile(t, "store.lua"), scriptFile(t, "move.lua")
	ended := map[string]string{"shards": "8", "version": "3", "imported": "1790000000123457", "from": "4"}
	for _, step := range []struct {
		name   string
		script *redisconn.Script
		args   []any
		want   any
		mark   map[string]string
	}{
		{"a migration writes nothing", store, []any{4, 2, "moving"}, []any{"", "", "", "", int64(0)}, map[string]string{}},
		{"a relay writes the mark", store, []any{4, 2, "own"}, []any{"4", "2", "", "", int64(1)}, map[string]string{"shards": "4", "version": "2"}},
		{"the next one finds it", store, []any{4, 2, "own"}, []any{"4", "2", "", "", int64(0)}, map[string]string{"shards": "4", "version": "2"}},
		{"another layout changes nothing", store, []any{8, 3, "own"}, []any{"4", "2", "", "", int64(0)}, map[string]string{"shards": "4", "version": "2"}},
		{"an older relay changes nothing", store, []any{4, 1, "own"}, []any{"4", "2", "", "", int64(0)}, map[string]string{"shards": "4", "version": "2"}},
		{"a newer relay raises the version", store, []any{4, 3, "own"}, []any{"4", "3", "", "", int64(0)}, map[string]string{"shards": "4", "version": "3"}},
		{"an older migration is refused", move, []any{"begin", "me", 8, 2}, int64(3), map[string]string{"shards": "4", "version": "3"}},
		{"a migration begins", move, []any{"begin", "me", 8, 3}, int64(1), map[string]string{"shards": "4", "version": "3", "moving": "me"}},
		{"and again", move, []any{"begin", "me", 8, 3}, int64(1), map[string]string{"shards": "4", "version": "3", "moving": "me"}},
		{"a relay sees it and writes nothing", store, []any{4, 4, "own"}, []any{"4", "3", "me", "", int64(0)}, map[string]string{"shards": "4", "version": "3", "moving": "me"}},
		{"another one cannot abandon it", move, []any{"abandon", "you", 8, 3}, int64(0), map[string]string{"shards": "4", "version": "3", "moving": "me"}},
		{"nor end it", move, []any{"end", "you", 8, 3}, int64(0), map[string]string{"shards": "4", "version": "3", "moving": "me"}},
		{"it is abandoned", move, []any{"abandon", "me", 8, 3}, int64(1), map[string]string{"shards": "4", "version": "3"}},
		{"and does not end then", move, []any{"end", "me", 8, 3}, int64(0), map[string]string{"shards": "4", "version": "3"}},
		{"it begins anew", move, []any{"begin", "me", 8, 3}, int64(1), map[string]string{"shards": "4", "version": "3", "moving": "me"}},
		{"it ends", move, []any{"end", "me", 8, 3}, int64(1), ended},
		{"and again", move, []any{"end", "me", 8, 3}, int64(1), ended},
		{"and cannot be abandoned then", move, []any{"abandon", "me", 8, 3}, int64(0), ended},
		{"all of it is told", store, []any{8, 3, "own"}, []any{"8", "3", "", "1790000000123457", int64(0)}, ended},
		{"the next one begins", move, []any{"begin", "me", 2, 3}, int64(1), map[string]string{"shards": "8", "version": "3", "imported": "1790000000123457", "moving": "me"}},
	} {
		got, err := conn.Do(context.Background(), redisconn.Call{Script: step.script, Shard: conn.Shards()[0], Args: step.args})
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: the reply differs (-want +got):\n%s", step.name, diff)
		}
		fields, err := s.Client().HGetAll(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.mark, fields); diff != "" {
			t.Errorf("%s: the mark differs (-want +got):\n%s", step.name, diff)
		}
	}
}

// TestRelaysScript runs relays.lua alone, under a clock that moves.
func TestRelaysScript(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	at := time.UnixMicro(1_790_000_000_123_457)
	conn, err := redisconn.Open(t.Context(), redisconn.Options{
		URL: secret.New(s.URL("")), Clock: func() time.Time { return at },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	script := scriptFile(t, "relays.lua")
	for _, step := range []struct {
		after     time.Duration
		what, who string
		want      int64
		kept      int64
	}{
		{0, "count", "", 0, 0},
		{0, "here", "a", 1, 1},
		{0, "here", "a", 1, 1},
		{3 * time.Second, "here", "b", 2, 2},
		{2 * time.Second, "count", "", 2, 2},
		{time.Microsecond, "count", "", 1, 2},
		{0, "gone", "b", 0, 1},
		{0, "gone", "b", 0, 1},
		{time.Minute, "here", "c", 1, 1},
	} {
		at = at.Add(step.after)
		got := do(t, conn, script, step.what, step.who)
		kept, err := s.Client().ZCard(t.Context(), conn.Shards()[0].Prefix()).Result()
		if got != step.want || kept != step.kept || err != nil {
			t.Errorf("%s %s at %v: got %v relays of %d kept, %v, want %d of %d",
				step.what, step.who, at, got, kept, err, step.want, step.kept)
		}
	}
}
