package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// onRedis is the base configuration on a Redis.
func onRedis(url string) string { return "redis: " + url + "\n" + baseConfig }

// A relay on Redis does its work, keeps nothing but its run file in the data folder, and finds everything again.
func TestRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := start(t, onRedis(server.URL("shards=4")))
	if a := r.inbound(text(1, "a", "x")); a.status != 200 || !strings.Contains(a.body, `"ok":true`) {
		t.Errorf("inbound: got %d %s", a.status, a.body)
	}
	entries, err := os.ReadDir(r.data)
	if err != nil || len(entries) != 1 || entries[0].Name() != "run.json" {
		t.Errorf("data folder: got %v, %v, want run.json alone", entries, err)
	}
	if a := r.do(http.MethodGet, "/readyz", ""); a.status != 200 {
		t.Errorf("readyz: got %d %s", a.status, a.body)
	}
	r.stop()
	r = start(t, onRedis(server.URL("shards=4")))
	if a := r.inbound(text(1, "a", "x")); a.status != 200 || !strings.Contains(a.body, `"duplicate":true`) {
		t.Errorf("the same message at another relay: got %d %s", a.status, a.body)
	}
}

// What only another configuration can heal is refused as a mistake in it.
func TestRedisRefused(t *testing.T) {
	t.Parallel()
	server, greedy := redistest.Start(t), redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	start(t, onRedis(server.URL("shards=4"))).stop()
	for _, row := range []struct {
		name, url string
		insecure  bool
		want      string
	}{
		{"another number of shards", server.URL("shards=8"), false, "shards=4"},
		{"an evicting policy", greedy.URL(""), false, "noeviction"},
		{"an evicting policy that is asked for", greedy.URL(""), true, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			cfg := parse(t, fmt.Sprintf(onRedis(row.url), "http://127.0.0.1:1", "http://127.0.0.1:1", t.TempDir()))
			d, err := daemon.New(t.Context(), cfg, daemon.Options{Log: zap.NewNop(), Insecure: row.insecure})
			if err == nil {
				err = d.Close()
			}
			mistake, _ := errors.AsType[*config.Error](err)
			switch {
			case row.want == "" && err != nil:
				t.Errorf("got %v, want it to start", err)
			case row.want != "" && (mistake == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want a mistake that says %s", err, row.want)
			}
		})
	}
}

// A password that Redis does not take is a mistake that is told at once; of a Redis that stays away its own error is.
func TestRedisUnreachable(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	if err := server.Client().Do(t.Context(), "ACL", "SETUSER", "default", "resetpass", ">hush-redis").Err(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, url string
		mistake   bool
		want      string
	}{
		{"no password", server.URL(""), true, "NOAUTH"},
		{"another password", "unix://:hush-other@" + server.Socket(), true, "WRONGPASS"},
		{"nobody is there", "redis://127.0.0.1:1", false, "connection refused"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			// It ends amid the second connect.
			ctx, cancel := context.WithTimeout(t.Context(), 1800*time.Millisecond)
			defer cancel()
			cfg := parse(t, fmt.Sprintf(onRedis(row.url), "http://127.0.0.1:1", "http://127.0.0.1:1", t.TempDir()))
			began := time.Now()
			_, err := daemon.New(ctx, cfg, daemon.Options{Log: zap.NewNop()})
			mistake, _ := errors.AsType[*config.Error](err)
			if err == nil || (mistake != nil) != row.mistake || !strings.Contains(err.Error(), row.want) ||
				strings.Contains(err.Error(), "hush") {
				t.Errorf("got %v after %v, want an error that says %s, a mistake: %v", err, time.Since(began), row.want, row.mistake)
			}
		})
	}
}

// A password that is changed under a relay is an outage, and over once it is right again.
func TestRedisPasswordChanges(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := start(t, onRedis("unix://:hush-one@"+server.Socket()+"?shards=4"))
	admin := server.Client()
	for _, args := range [][]any{{"ACL", "SETUSER", "default", "resetpass", ">hush-two"}, {"CLIENT", "KILL", "TYPE", "normal"}} {
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "an event is refused", func() bool { return r.inbound(text(1, "a", "x")).status == http.StatusServiceUnavailable })
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "default", ">hush-one").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an event is taken", func() bool { return r.inbound(text(1, "a", "x")).status == http.StatusOK })
}

// A data folder whose run file is of a relay that answers is refused, also when that has no store; one that was left
// behind is not, whoever answers at its address by now.
func TestRedisFolder(t *testing.T) {
	t.Parallel()
	server, lost := redistest.Start(t), redistest.Start(t)
	there, away := start(t, onRedis(server.URL("shards=4"))), start(t, onRedis(lost.URL("")))
	lost.Kill()
	stranger := newFake(t, says(http.StatusOK, `{"status":"healthy"}`))
	down := newFake(t, says(http.StatusServiceUnavailable, `{"error":{"code":"store_unavailable","message":"x"}}`))
	for _, row := range []struct {
		name, url, token string
		locked           bool
	}{
		{"of a relay that runs", there.url, adminToken, true},
		{"of a relay whose Redis is away", away.url, adminToken, true},
		{"of one that is gone", "http://127.0.0.1:1", adminToken, false},
		{"of one whose port another relay has", there.url, "hush-former-token", false},
		{"of one whose port another program has", stranger.URL, adminToken, false},
		{"of one whose port is a gateway's", down.URL, adminToken, false},
		{"without a token", there.url, "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			file := fmt.Sprintf(`{"pid":%d,"url":%q,"adminToken":%q}`, os.Getppid(), row.url, row.token)
			if err := os.WriteFile(filepath.Join(data, "run.json"), []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := parse(t, fmt.Sprintf(onRedis(server.URL("shards=4")), "http://127.0.0.1:1", "http://127.0.0.1:1", data))
			d, err := daemon.New(t.Context(), cfg, daemon.Options{Log: zap.NewNop()})
			if err == nil {
				err = d.Close()
			}
			locked, _ := errors.AsType[*daemon.LockedError](err)
			if row.locked && (locked == nil || locked.PID != os.Getppid()) || !row.locked && err != nil {
				t.Errorf("got %v, want it locked %v", err, row.locked)
			}
		})
	}
}

// LookAtRedis changes nothing and says what is there.
func TestLookAtRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendfsync", "everysec")
	look := func(options string) daemon.RedisReport {
		t.Helper()
		cfg := parse(t, fmt.Sprintf(onRedis(server.URL(options)), "http://127.0.0.1:1", "http://127.0.0.1:1", t.TempDir()))
		r, err := daemon.LookAtRedis(t.Context(), cfg)
		if err != nil {
			t.Fatalf("look: %v", err)
		}
		return r
	}
	if r := look("shards=8"); r.Relays != 0 || len(r.Problems) != 1 || r.Problems[0].Severe || !strings.Contains(r.Loss, "second") {
		t.Errorf("before a relay ran: got %+v", r)
	}
	r := start(t, onRedis(server.URL("shards=4")))
	defer r.stop()
	if r := look("shards=8"); r.Relays != 1 || len(r.Problems) != 2 || !r.Problems[0].Severe {
		t.Errorf("with another number of shards: got %+v", r)
	}
}

// A loop whose events and sends come to different relays is paused like any other, and so for both.
func TestLoopOverTwoRelays(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	config := strings.Replace(onRedis(server.URL("shards=4")), "admin:", "loop: {turns: 5, window: 60s, pause: 10m}\nadmin:", 1)
	relays := []*rig{start(t, config), start(t, config)}
	for i := range 5 {
		if a := relays[i%2].inbound(text(int64(i+1), "wxid_loop", "hi")); a.status != 200 {
			t.Fatalf("event %d: got %d %s", i+1, a.status, a.body)
		}
		if a := relays[(i+1)%2].send(`{"to":"wxid_loop","text":"hi"}`); a.status != 200 {
			t.Fatalf("send %d: got %d %s", i+1, a.status, a.body)
		}
	}
	for i, r := range relays {
		if a := r.inbound(text(int64(6+i), "wxid_loop", "hi")); a.status != 202 {
			t.Errorf("event %d: got %d %s, want it queued", 6+i, a.status, a.body)
		}
		if a := r.admin(http.MethodGet, "pauses", ""); !strings.Contains(a.body, "wxid_loop") || !strings.Contains(a.body, "more than 5 turns") {
			t.Errorf("pauses at relay %d: got %s", i, a.body)
		}
	}
	if a := relays[1].admin(http.MethodPost, "resume", `{"im":"wechat","conversation":"wxid_loop"}`); a.status != 200 {
		t.Errorf("resume: got %d %s", a.status, a.body)
	}
	eventually(t, "both events delivered", func() bool {
		return len(relays[0].agent.requests())+len(relays[1].agent.requests()) == 7
	})
}
