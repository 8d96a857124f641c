// Package memotest is the conformance suite of [memo.Store]: every implementation runs it. It knows nothing of how notes
// are kept; what only one implementation can show belongs in that implementation's own tests.
package memotest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/memo"
)

// Subject is a store under test, and what the suite does to it from outside.
type Subject struct {
	// Store is the store, empty at first.
	Store memo.Store
	// Reopen closes the store and opens its data again; nil: its data goes with it.
	Reopen func() memo.Store
	// Break makes what is under the store unavailable; nil: there is nothing.
	Break func()
	// Unswept says that there is nothing to sweep: what is over goes by itself, some time.
	Unswept bool
}

// Harness makes a new, empty subject whose time is the clock's. What it needs to undo it leaves to t.Cleanup.
type Harness func(t *testing.T, c *Clock) Subject

// Clock is a clock that stands still until it is advanced. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at a fixed time.
func NewClock() *Clock { return &Clock{now: time.Date(2026, time.March, 14, 9, 26, 53, 0, time.UTC)} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Run checks every promise of [memo.Store], each on a subject of its own, in parallel.
func Run(t *testing.T, open Harness) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(p *probe)
	}{
		{"what was never saved", func(p *probe) { p.none(key("never")) }},
		{"save and load", saveAndLoad},
		{"replace", replace},
		{"forget", forget},
		{"time", times},
		{"sweep", sweep},
		{"keys apart", keysApart},
		{"bytes", everyByte},
		{"bounds", bounds},
		{"what is handed in and out is a copy", copies},
		{"saves at the same time", together},
		{"reopened", reopened},
		{"closed", closed},
		{"broken", broken},
		{"cancelled", cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clock := NewClock()
			c.run(&probe{T: t, clock: clock, Subject: open(t, clock)})
		})
	}
}

// probe is a subject with shorthands that fail the test on any error.
type probe struct {
	*testing.T
	Subject

	clock *Clock
}

const keep = time.Hour

func key(name string) memo.Key { return memo.Key{Owner: "agent/heron", Name: name} }

func (p *probe) save(k memo.Key, value string) {
	p.Helper()
	if err := p.Store.Save(p.Context(), k, []byte(value), keep); err != nil {
		p.Fatalf("save %q: %v", k, err)
	}
}

func (p *probe) load(k memo.Key) []byte {
	p.Helper()
	got, err := p.Store.Load(p.Context(), k)
	if err != nil {
		p.Fatalf("load %q: %v", k, err)
	}
	return got
}

func (p *probe) want(k memo.Key, value string) {
	p.Helper()
	if got := p.load(k); got == nil || string(got) != value {
		p.Errorf("load %q: got %.40q (nil: %t), want %.40q", k, got, got == nil, value)
	}
}

func (p *probe) none(k memo.Key) {
	p.Helper()
	if got := p.load(k); got != nil {
		p.Errorf("load %q: got %.40q, want nil", k, got)
	}
}

func saveAndLoad(p *probe) {
	p.save(key("token"), "first")
	p.want(key("token"), "first")
	p.want(key("token"), "first")
}

func replace(p *probe) {
	for i := range 3 {
		value := fmt.Sprint("value ", i)
		p.save(key("token"), value)
		p.want(key("token"), value)
	}
	p.clock.Advance(keep / 2)
	p.save(key("token"), "again")
	p.clock.Advance(keep - time.Second)
	p.want(key("token"), "again")
}

func forget(p *probe) {
	for name, do := range map[string]func(k memo.Key) error{
		"by nil":     func(k memo.Key) error { return p.Store.Save(p.Context(), k, nil, keep) },
		"by no time": func(k memo.Key) error { return p.Store.Save(p.Context(), k, []byte("x"), 0) },
		"by less":    func(k memo.Key) error { return p.Store.Save(p.Context(), k, []byte("x"), -time.Second) },
	} {
		p.save(key(name), "known")
		p.save(key(name+", other"), "stays")
		for range 2 { // what is not there can be forgotten too
			if err := do(key(name)); err != nil {
				p.Errorf("forget %s: %v", name, err)
			}
			p.none(key(name))
		}
		p.want(key(name+", other"), "stays")
		p.save(key(name), "once more")
		p.want(key(name), "once more")
	}
}

func times(p *probe) {
	long := 100 * 365 * 24 * time.Hour
	for name, d := range map[string]time.Duration{"short": time.Second, "hour": time.Hour, "century": long} {
		if err := p.Store.Save(p.Context(), key(name), []byte(name), d); err != nil {
			p.Fatalf("save %s: %v", name, err)
		}
	}
	p.clock.Advance(time.Second - time.Millisecond)
	p.want(key("short"), "short")
	p.clock.Advance(time.Millisecond)
	p.none(key("short"))
	p.want(key("hour"), "hour")
	p.clock.Advance(time.Hour)
	p.none(key("hour"))
	p.want(key("century"), "century")
	p.save(key("short"), "anew")
	p.want(key("short"), "anew")
}

func sweep(p *probe) {
	const many = 150
	for i := range many {
		p.save(key(fmt.Sprint("old ", i)), "old")
	}
	p.clock.Advance(keep / 2)
	p.save(key("young"), "young")
	p.clock.Advance(keep / 2)
	p.save(key("old 0"), "renewed")
	for range 2 {
		if err := p.Store.Sweep(p.Context()); err != nil {
			p.Fatalf("sweep: %v", err)
		}
	}
	p.want(key("young"), "young")
	p.want(key("old 0"), "renewed")
	p.clock.Advance(-keep / 2) // what is gone does not come back
	for i := 1; i < many; i++ {
		if got := p.load(key(fmt.Sprint("old ", i))); !p.Unswept && got != nil {
			p.Fatalf("note %d after a sweep: got %q, want none", i, got)
		}
	}
}

func keysApart(p *probe) {
	keys := []memo.Key{
		{Owner: "agent/a", Name: "b"},
		{Owner: "agent/a", Name: "B"},
		{Owner: "agent/a", Name: ""},
		{Owner: "", Name: ""},
		{Owner: "agent/b", Name: "b"},
		{Owner: "agent/a:b", Name: ""},
		{Owner: "agent/a", Name: "b "},
		{Owner: "agent", Name: "/ab"},
		{Owner: "agent/a", Name: "b:"},
		{Owner: "im/a", Name: "b"},
		{Owner: "1:a", Name: ":"},
		{Owner: "1:a:", Name: ""},
		{Owner: "agent/a", Name: "群聊@chatroom"},
		{Owner: "agent/a", Name: "a\x00b"},
		{Owner: "agent/a", Name: "a\x00c"},
		{Owner: "agent/a", Name: "\xff\xfe"},
		{Owner: "agent/a", Name: "\xff"},
		{Owner: "agent/a", Name: strings.Repeat("n", 4096)},
	}
	for i, k := range keys {
		p.save(k, fmt.Sprint("value ", i))
	}
	for i, k := range keys {
		p.want(k, fmt.Sprint("value ", i))
	}
	if err := p.Store.Save(p.Context(), keys[0], nil, keep); err != nil {
		p.Fatalf("forget: %v", err)
	}
	p.none(keys[0])
	for i, k := range keys[1:] {
		p.want(k, fmt.Sprint("value ", i+1))
	}
}

func everyByte(p *probe) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, value := range []string{"", "\x00", string(all), "\xff\xfe\xfd", "=", "-", "1:a:2:=b", "\r\n", "你好 🙂"} {
		p.save(key(fmt.Sprint(i)), value)
		p.want(key(fmt.Sprint(i)), value)
	}
}

func bounds(p *probe) {
	most := strings.Repeat("m", memo.MaxValue)
	p.save(key("most"), most)
	p.want(key("most"), most)
	err := p.Store.Save(p.Context(), key("most"), []byte(most+"m"), keep)
	if !errors.Is(err, memo.ErrTooLarge) || errors.Is(err, memo.ErrUnavailable) {
		p.Errorf("save of more: got %v, want %v alone", err, memo.ErrTooLarge)
	}
	p.want(key("most"), most)
}

func copies(p *probe) {
	value := []byte("given")
	if err := p.Store.Save(p.Context(), key("k"), value, keep); err != nil {
		p.Fatalf("save: %v", err)
	}
	copy(value, "wrong")
	p.want(key("k"), "given")
	copy(p.load(key("k")), "wrong")
	p.want(key("k"), "given")
}

// together saves one key from many sides: one of the values stays, whole, and what one side has saved it finds.
func together(p *probe) {
	var sides sync.WaitGroup
	values := make([]string, 8)
	for i := range values {
		values[i] = strings.Repeat(fmt.Sprint(i), 5000)
		sides.Go(func() {
			own := key(fmt.Sprint("own ", i))
			for n := range 10 {
				value := fmt.Sprint("turn ", n)
				err := errors.Join(
					p.Store.Save(p.Context(), key("shared"), []byte(values[i]), keep),
					p.Store.Save(p.Context(), own, []byte(value), keep),
				)
				got, e := p.Store.Load(p.Context(), own)
				if err = errors.Join(err, e); err != nil || string(got) != value {
					p.Errorf("side %d: got %q, %v, want %q", i, got, err, value)
					return
				}
			}
		})
	}
	sides.Wait()
	if got := p.load(key("shared")); !slices.Contains(values, string(got)) {
		p.Errorf("shared note: got %d bytes %.20q, want one of the values", len(got), got)
	}
}

func reopened(p *probe) {
	if p.Reopen == nil {
		return
	}
	p.save(key("k"), "kept \xff\x00")
	p.save(key("gone"), "forgotten")
	p.save(key("empty"), "")
	if err := p.Store.Save(p.Context(), key("gone"), nil, keep); err != nil {
		p.Fatalf("forget: %v", err)
	}
	p.Store = p.Reopen()
	p.want(key("k"), "kept \xff\x00")
	p.want(key("empty"), "")
	p.none(key("gone"))
	p.save(key("k"), "replaced")
	p.clock.Advance(keep - time.Second)
	p.Store = p.Reopen()
	p.want(key("k"), "replaced")
	p.clock.Advance(time.Second)
	p.none(key("k"))
}

// calls are all that a store can be asked for.
func (p *probe) calls(ctx context.Context) map[string]error {
	_, load := p.Store.Load(ctx, key("k"))
	all := map[string]error{
		"load": load, "save": p.Store.Save(ctx, key("k"), []byte("wrong"), keep),
		"forget": p.Store.Save(ctx, key("k"), nil, keep), "sweep": p.Store.Sweep(ctx),
	}
	if e, ok := p.Store.(memo.Exporter); ok {
		all["export"] = e.Export(ctx, func([]memo.Note) error { return nil })
	}
	if i, ok := p.Store.(memo.Importer); ok {
		all["import"] = i.Import(ctx, []memo.Note{{Key: key("k"), Value: []byte("wrong"), Over: p.clock.Now().Add(keep)}})
	}
	return all
}

func closed(p *probe) {
	p.save(key("k"), "kept")
	for range 2 {
		if err := p.Store.Close(); err != nil {
			p.Fatalf("close: %v", err)
		}
	}
	for name, err := range p.calls(p.Context()) {
		if !errors.Is(err, memo.ErrUnavailable) {
			p.Errorf("%s after close: got %v, want %v", name, err, memo.ErrUnavailable)
		}
	}
	if p.Reopen != nil {
		p.Store = p.Reopen()
		p.want(key("k"), "kept")
	}
}

func broken(p *probe) {
	if p.Break == nil {
		return
	}
	p.save(key("k"), "kept")
	p.Break()
	for name, err := range p.calls(p.Context()) {
		if name == "sweep" && p.Unswept {
			continue
		}
		if !errors.Is(err, memo.ErrUnavailable) {
			p.Errorf("%s of what is away: got %v, want %v", name, err, memo.ErrUnavailable)
		}
	}
}

func cancelled(p *probe) {
	p.save(key("k"), "kept")
	ctx, cancel := context.WithCancel(p.Context())
	cancel()
	for name, err := range p.calls(ctx) {
		if !errors.Is(err, context.Canceled) || !errors.Is(err, memo.ErrUnavailable) {
			p.Errorf("%s with a context that is over: got %v, want %v and %v", name, err, context.Canceled, memo.ErrUnavailable)
		}
	}
	p.want(key("k"), "kept")
}
