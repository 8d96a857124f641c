package redisqueue_test

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// auditor checks what is stored, past the queue.
type auditor struct {
	testing.TB

	raw *redis.Client
}

func newAuditor(tb testing.TB, w *world) *auditor {
	tb.Helper()
	u, err := url.Parse(w.url)
	if err != nil {
		tb.Fatalf("parse URL: %v", err)
	}
	db, err := strconv.Atoi(u.Query().Get("db"))
	if err != nil {
		tb.Fatalf("parse database: %v", err)
	}
	raw := redis.NewClient(&redis.Options{Network: "unix", Addr: w.server.Socket(), DB: db})
	tb.Cleanup(func() { _ = raw.Close() })
	return &auditor{TB: tb, raw: raw}
}

// books is what the keys of all shards say.
type books struct {
	in      map[string][]string // by lane: the sets it is in
	work    map[string]int      // by lane: its queued and parked jobs
	seats   map[string]string
	listed  map[string]string // by job: queued, parked, done or dead
	states  map[string]string // by job: its state
	bytes   int
	counted int
}

// whole fails unless what is stored agrees with itself: each lane with work is in the one set that its seat tells, and
// only those are; each job is in the one index of its state, and in its lane; nothing is left of what is gone.
func (a *auditor) whole() {
	a.Helper()
	b := a.read()
	for lane, n := range b.work {
		want := wanted(b.seats[lane])
		if got := strings.Join(b.in[lane], ","); got != want {
			a.Errorf("lane %q with %d jobs and seat %q: got it in %s, want %s", lane, n, b.seats[lane], got, want)
		}
	}
	for lane, in := range b.in {
		if b.work[lane] == 0 {
			a.Errorf("lane %q without work: got it in %v, want it nowhere", lane, in)
		}
	}
	for id, state := range b.states {
		if b.listed[id] != state {
			a.Errorf("job %s of state %s: got it listed as %q", id, state, b.listed[id])
		}
	}
	for id := range b.listed {
		if b.states[id] == "" {
			a.Errorf("job %s: got it listed as %s, want it gone", id, b.listed[id])
		}
	}
	if b.bytes != b.counted {
		a.Errorf("bytes of delivered bodies: got %d, want %d", b.counted, b.bytes)
	}
}

// wanted is the set that a seat tells of.
func wanted(seat string) string {
	if seat == "" {
		return "calm:"
	}
	flags := strings.Fields(seat)[5]
	switch {
	case flags[0] == 'l':
		return "leased:"
	case flags[4] == '1':
		return "held:"
	case flags[3] == '1':
		return "rough:"
	}
	return "calm:"
}

var stateNames = map[string]string{"": "queued:", "1": "queued:", "2": "parked:", "3": "done:", "4": "dead:"}

func (a *auditor) read() *books {
	a.Helper()
	b := &books{
		in: map[string][]string{}, work: map[string]int{}, seats: map[string]string{}, listed: map[string]string{},
		states: map[string]string{},
	}
	ctx := a.Context()
	keys, err := a.raw.Keys(ctx, "{imrelay:*").Result()
	if err != nil {
		a.Fatalf("list keys: %v", err)
	}
	for _, key := range keys {
		_, name, _ := strings.Cut(key, "}:")
		kind, rest, _ := strings.Cut(name, ":")
		switch kind += ":"; kind {
		case "calm:", "rough:", "leased:", "held:":
			for _, lane := range a.raw.ZRange(ctx, key, 0, -1).Val() {
				b.in[lane] = append(b.in[lane], kind)
			}
		case "queued:", "parked:", "done:", "dead:":
			for _, id := range a.raw.ZRange(ctx, key, 0, -1).Val() {
				b.listed[id] += kind
			}
		case "lane:":
			b.work[rest] += int(a.raw.LLen(ctx, key).Val())
		case "aside:":
			b.work[rest] += int(a.raw.ZCard(ctx, key).Val())
		case "at:":
			b.seats[rest] = a.raw.Get(ctx, key).Val()
		case "job:":
			b.job(a.raw.HGetAll(ctx, key).Val(), rest)
		case "bytes:":
			n, _ := a.raw.Get(ctx, key).Int()
			b.counted += n
		}
	}
	return b
}

func (b *books) job(fields map[string]string, id string) {
	b.states[id] = stateNames[fields["s"]]
	if b.states[id] == "done:" {
		b.bytes += len(fields["b"])
	}
	if fields["z"] != fmt.Sprint(len(fields["b"])) {
		b.states[id] = "of a wrong size"
	}
}

// busy is how long the server has worked, in seconds.
func (a *auditor) busy() float64 {
	a.Helper()
	return a.info("cpu", "used_cpu_user_main_thread:") + a.info("cpu", "used_cpu_sys_main_thread:")
}

// scripts is how many scripts the server has run.
func (a *auditor) scripts() float64 {
	a.Helper()
	return a.info("commandstats", "cmdstat_evalsha:calls=")
}

// info is the number behind some words of a section of INFO.
func (a *auditor) info(section, words string) float64 {
	a.Helper()
	info, err := a.raw.Info(a.Context(), section).Result()
	if err != nil {
		a.Fatalf("INFO: %v", err)
	}
	_, rest, _ := strings.Cut(info, words)
	number, _, _ := strings.Cut(rest, "\r")
	number, _, _ = strings.Cut(number, ",")
	n, _ := strconv.ParseFloat(number, 64)
	return n
}
