package redisdedupe_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/dedupetest"
	"github.com/imrelay/imrelay/dedupe/memdedupe"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

const (
	testWindow = 48 * time.Hour
	testLease  = 10 * time.Second
)

// Whatever two relays do in whatever order, they are told what the ledger in memory tells, and what is stored is whole.
func TestLikeTheModel(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--databases", "100", "--appendfsync", "no")
	for db := 1; db <= 8; db++ {
		seed := rand.Uint64()
		shards := []int{1, 2, 16}[db%3]
		t.Run(fmt.Sprintf("seed %d, %d shards", seed, shards), func(t *testing.T) {
			t.Parallel()
			clock := dedupetest.NewClock()
			url := fmt.Sprintf("%s&db=%d", server.URL(fmt.Sprintf("shards=%d", shards)), db)
			o := redisdedupe.Options{Window: testWindow, Lease: testLease}
			m := &modelled{
				T: t, r: rand.New(rand.NewPCG(seed, 1)), clock: clock, raw: rawClient(t, server, db),
				relays: []dedupe.Store{open(t, url, clock.Now, o), open(t, url, clock.Now, o)},
				model:  memdedupe.New(memdedupe.Options{Window: testWindow, Lease: testLease, Now: clock.Now}),
				conn:   connect(t, url, clock.Now), held: map[string]twin{},
			}
			for step := range 1200 {
				clock.Advance(time.Millisecond)
				m.step()
				if step%20 == 0 {
					m.whole()
				}
				if t.Failed() {
					t.Fatalf("at step %d after: %s", step, strings.Join(m.log[max(0, len(m.log)-25):], "; "))
				}
			}
		})
	}
}

func rawClient(tb testing.TB, server *redistest.Server, db int) *redis.Client {
	tb.Helper()
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: server.Socket(), DB: db})
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("close client: %v", err)
		}
	})
	return c
}

// twin is one entry as both ledgers gave it.
type twin struct{ real, model dedupe.Entry }

type modelled struct {
	*testing.T

	r      *rand.Rand
	clock  *dedupetest.Clock
	raw    *redis.Client
	relays []dedupe.Store
	model  *memdedupe.Ledger
	conn   *redisconn.Conn
	held   map[string]twin
	ids    int
	log    []string
}

func (m *modelled) did(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *modelled) relay() dedupe.Store { return m.relays[m.r.IntN(len(m.relays))] }

func (m *modelled) step() {
	switch n := m.r.IntN(100); {
	case n < 35:
		m.claim()
	case n < 65:
		m.settle()
	case n < 75:
		m.take()
	case n < 80:
		m.renew()
	case n < 85:
		m.find()
	case n < 88:
		for _, s := range []dedupe.Store{m.relay(), m.model} {
			if err := s.Sweep(m.Context()); err != nil {
				m.Errorf("sweep: %v", err)
			}
		}
	case n < 91:
		got, err := m.relay().Waiting(m.Context())
		want, _ := m.model.Waiting(m.Context())
		if got != want || err != nil {
			m.Errorf("waiting: got %d, %v; want %d", got, err, want)
		}
	case n < 99:
		m.pass(time.Duration(m.r.IntN(6000)) * time.Millisecond)
	default:
		// Whoever comes back after so long is nobody's concern: what he would find depends on who looked meanwhile.
		clear(m.held)
		m.pass(testWindow)
	}
}

func (m *modelled) pass(d time.Duration) {
	m.did("%v pass", d)
	m.clock.Advance(d)
}

// claim claims one of a few keys: some are always queued, some never, and some are both, but not resent.
func (m *modelled) claim() {
	m.ids++
	key := []string{"q1", "q2", "q3", "s1", "s2", "m1", "m2"}[m.r.IntN(7)]
	c := dedupe.Claim{
		Owner: "openclaw", Key: key, ID: fmt.Sprint("msg_", m.ids), Lane: fmt.Sprint("wechat/", m.r.IntN(3)),
		Digest: [32]byte{byte(m.r.IntN(10) / 9)}, Resend: key[0] != 'm' && m.r.IntN(3) == 0,
	}
	if key[0] == 'q' || key[0] == 'm' && m.r.IntN(2) == 0 {
		c.Payload = []byte(c.ID)
	}
	if m.r.IntN(20) == 0 {
		c.Key = c.ID
	}
	got, err := m.relay().Claim(m.Context(), c)
	want, _ := m.model.Claim(m.Context(), c)
	m.did("claim %s in %s as %s, queued %t, resend %t: %v", c.Key, c.Lane, c.ID, c.Payload != nil, c.Resend, want.Status)
	if err != nil {
		m.Errorf("claim: %v", err)
	}
	m.same("claim", got, want)
	if want.Status == dedupe.Claimed {
		m.held[want.ID] = twin{got, want}
	}
}

func (m *modelled) same(what string, got, want dedupe.Entry) {
	m.Helper()
	if say(got) != say(want) {
		m.Errorf("%s: got\n%s, want\n%s", what, say(got), say(want))
	}
}

// say is what both ledgers must agree on. Tokens and seqs are each ledger's own.
func say(e dedupe.Entry) string {
	payload := "-"
	if e.Status == dedupe.Waiting || e.Status == dedupe.Claimed {
		payload = fmt.Sprintf("%q", e.Payload)
	}
	return fmt.Sprint(e.Owner, e.Key, e.ID, e.Lane, e.Digest[0], e.Status, e.Token != 0, payload, e.Record == nil, string(e.Record),
		e.Accepted.UnixMicro())
}

func (m *modelled) anyHeld() (twin, bool) {
	ids := make([]string, 0, len(m.held))
	for id := range m.held {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return twin{}, false
	}
	slices.Sort(ids)
	return m.held[ids[m.r.IntN(len(ids))]], true
}

// settle takes a step with an entry, often with one that has long been another's.
func (m *modelled) settle() {
	t, ok := m.anyHeld()
	if !ok {
		return
	}
	m.ids++
	record := []byte(fmt.Sprint("record ", m.ids))
	if m.r.IntN(3) == 0 {
		record = nil
	}
	status := []dedupe.Status{dedupe.Done, dedupe.Unknown, dedupe.Failed}[m.r.IntN(3)]
	n, ended := m.r.IntN(7), false
	step := func(s dedupe.Store, e dedupe.Entry) error {
		switch n {
		case 0, 1, 2:
			return s.Start(m.Context(), e, record)
		case 3:
			return s.Note(m.Context(), e, record)
		case 4:
			ended = true
			return s.Release(m.Context(), e, record)
		}
		ended = true
		return s.Finish(m.Context(), e, status, record)
	}
	got, want := step(m.relay(), t.real), step(m.model, t.model)
	m.did("step %d of %s %s as %v: %v", n, t.real.Key, t.real.ID, status, want)
	if errors.Is(got, dedupe.ErrLost) != errors.Is(want, dedupe.ErrLost) || (got == nil) != (want == nil) {
		m.Errorf("step: got %v, want %v", got, want)
	}
	if ended && m.r.IntN(4) != 0 {
		delete(m.held, t.model.ID)
	}
}

func (m *modelled) take() {
	limit := m.r.IntN(4)
	got, err := m.relay().Take(m.Context(), limit)
	want, _ := m.model.Take(m.Context(), limit)
	if err != nil || len(got) != len(want) {
		m.Errorf("take %d: got %d, %v; want %d", limit, len(got), err, len(want))
		return
	}
	for i := range want {
		m.did("take %s %s", want[i].Key, want[i].ID)
		m.same("take", got[i], want[i])
		m.held[want[i].ID] = twin{got[i], want[i]}
	}
}

func (m *modelled) renew() {
	var real, model []dedupe.Entry
	for range 3 {
		if t, ok := m.anyHeld(); ok {
			real, model = append(real, t.real), append(model, t.model)
		}
	}
	got, err := m.relay().Renew(m.Context(), real)
	want, _ := m.model.Renew(m.Context(), model)
	m.did("renew %d, %d kept", len(real), len(want))
	if err != nil || len(got) != len(want) {
		m.Errorf("renew: got %d, %v; want %d", len(got), err, len(want))
	}
}

func (m *modelled) find() {
	id := fmt.Sprint("msg_", max(1, m.ids-m.r.IntN(60)))
	got, err := m.relay().Find(m.Context(), "openclaw", id)
	want, missing := m.model.Find(m.Context(), "openclaw", id)
	m.did("find %s", id)
	if errors.Is(err, dedupe.ErrNotFound) != (missing != nil) {
		m.Errorf("find %s: got %v, want %v", id, err, missing)
		return
	}
	m.same("find", got, want)
}

// whole looks at what is stored: a lane with rows is ready or held and not both, by its head; every row in a line waits or
// is held, and every other one that lasts is found when its window is over.
func (m *modelled) whole() {
	ctx := m.Context()
	for _, shard := range m.conn.Shards() {
		p := shard.Prefix()
		waiting := m.members(ctx, p+"sends:wait")
		ready, held := m.members(ctx, p+"sends:ready"), m.members(ctx, p+"sends:held")
		over := m.members(ctx, p+"sends:over")
		inLine := map[string]float64{}
		for _, line := range m.raw.Keys(ctx, p+"line:*").Val() {
			lane := strings.TrimPrefix(line, p+"line:")
			rows := m.raw.ZRangeWithScores(ctx, line, 0, -1).Val()
			_, isReady := ready[lane]
			_, isHeld := held[lane]
			if isReady == isHeld || isReady && ready[lane] != rows[0].Score {
				m.Errorf("lane %s: ready %t, held %t, ready by %.0f, its head is %.0f", lane, isReady, isHeld, ready[lane], rows[0].Score)
			}
			for _, row := range rows {
				inLine[fmt.Sprint(row.Member)] = row.Score
			}
			delete(ready, lane)
			delete(held, lane)
		}
		if len(ready)+len(held) > 0 || len(inLine) != len(waiting) {
			m.Errorf("shard %d: %d lanes without rows, %d rows in lines, %d waiting", shard.Index(), len(ready)+len(held), len(inLine), len(waiting))
		}
		for _, row := range m.raw.Keys(ctx, p+"send:*").Val() {
			m.wholeRow(row, strings.TrimPrefix(row, p+"send:"), inLine, over)
		}
	}
}

func (m *modelled) wholeRow(key, sum string, inLine, over map[string]float64) {
	row := m.raw.HGetAll(m.Context(), key).Val()
	_, queued := inLine[sum]
	_, listed := over[sum]
	life := m.raw.PTTL(m.Context(), key).Val()
	finished := row["s"] != "" && row["g"] != "1"
	switch {
	case queued != (row["g"] == "1"), queued && life > 0:
		m.Errorf("row %v: in a line %t, lives %v", row, queued, life)
	case finished != listed:
		m.Errorf("row %v: finished %t, listed %t", row, finished, listed)
	case !queued && life <= 0:
		m.Errorf("row %v is never collected", row)
	}
}

func (m *modelled) members(ctx context.Context, key string) map[string]float64 {
	out := map[string]float64{}
	for _, z := range m.raw.ZRangeWithScores(ctx, key, 0, -1).Val() {
		out[fmt.Sprint(z.Member)] = z.Score
	}
	return out
}
