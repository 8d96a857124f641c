package memotest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/memo"
)

// What no piece of an export may have more of.
const (
	pieceNotes = 1000
	pieceBytes = 8 << 20
)

// RunMove checks that a store's notes can be taken over by another: from makes stores that are [memo.Exporter]s, to those
// that are also [memo.Importer]s.
func RunMove(t *testing.T, from, to Harness) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(source, target *probe)
	}{
		{"nothing", func(source, target *probe) { target.take(source.export()...) }},
		{"all of it", moveAll},
		{"many and large ones", moveMany},
		{"again", moveAgain},
		{"what is there stays", moveOnto},
		{"an error of who takes them", moveRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			clock := NewClock()
			c.run(&probe{T: t, clock: clock, Subject: from(t, clock)}, &probe{T: t, clock: clock, Subject: to(t, clock)})
		})
	}
}

// export returns the pieces that the store hands out.
func (p *probe) export() (pieces [][]memo.Note) {
	p.Helper()
	e, ok := p.Store.(memo.Exporter)
	if !ok {
		p.Fatalf("%T is no memo.Exporter", p.Store)
	}
	err := e.Export(p.Context(), func(notes []memo.Note) error {
		size := 0
		for _, n := range notes {
			size += len(n.Value)
		}
		if len(notes) == 0 || len(notes) > pieceNotes || size > pieceBytes {
			p.Errorf("piece: got %d notes of %d bytes, want 1 to %d of at most %d", len(notes), size, pieceNotes, pieceBytes)
		}
		pieces = append(pieces, notes)
		return nil
	})
	if err != nil {
		p.Fatalf("export: %v", err)
	}
	return pieces
}

// take imports the pieces.
func (p *probe) take(pieces ...[]memo.Note) {
	p.Helper()
	i, ok := p.Store.(memo.Importer)
	if !ok {
		p.Fatalf("%T is no memo.Importer", p.Store)
	}
	for _, notes := range pieces {
		if err := i.Import(p.Context(), notes); err != nil {
			p.Fatalf("import: %v", err)
		}
	}
}

func moveAll(source, target *probe) {
	keys := map[memo.Key]string{
		key("token"): "t \x00\xff", key("empty"): "", {Owner: "im/wechat", Name: "群"}: "x", {Owner: "a:b", Name: ":\x00\xfe"}: "=",
	}
	for k, value := range keys {
		source.save(k, value)
	}
	source.save(key("forgotten"), "x")
	if err := source.Store.Save(source.Context(), key("forgotten"), nil, keep); err != nil {
		source.Fatalf("forget: %v", err)
	}
	if err := source.Store.Save(source.Context(), key("over"), []byte("x"), time.Second); err != nil {
		source.Fatalf("save: %v", err)
	}
	source.clock.Advance(keep / 2)
	pieces := source.export()
	target.take(pieces...)
	for side, all := range map[string][][]memo.Note{"source": pieces, "target": target.export()} {
		found := map[memo.Key]string{}
		for _, n := range slices.Concat(all...) {
			found[n.Key] = string(n.Value)
		}
		if !maps.Equal(found, keys) {
			target.Errorf("notes of the %s: got %q, want %q", side, found, keys)
		}
	}
	for k, value := range keys {
		target.want(k, value)
		source.want(k, value)
	}
	target.none(key("forgotten"))
	target.none(key("over"))
	target.clock.Advance(keep/2 - time.Second)
	target.want(key("token"), keys[key("token")])
	target.clock.Advance(time.Second)
	target.none(key("token"))
}

func moveMany(source, target *probe) {
	const many, large = 700, 40
	for i := range many {
		source.save(key(fmt.Sprint("small ", i)), fmt.Sprint(i))
	}
	most := strings.Repeat("m", memo.MaxValue-3)
	for i := range large {
		source.save(key(fmt.Sprint("large ", i)), most+fmt.Sprint(i))
	}
	pieces := source.export()
	if len(pieces) < 2 {
		source.Errorf("pieces: got %d, want several", len(pieces))
	}
	target.take(pieces...)
	for i := range many {
		target.want(key(fmt.Sprint("small ", i)), fmt.Sprint(i))
	}
	for i := range large {
		target.want(key(fmt.Sprint("large ", i)), most+fmt.Sprint(i))
	}
}

func moveAgain(source, target *probe) {
	source.save(key("a"), "a")
	source.save(key("b"), "b")
	pieces := source.export()
	target.take(pieces...)
	target.take(pieces...)
	target.want(key("a"), "a")
	target.want(key("b"), "b")
}

func moveOnto(source, target *probe) {
	source.save(key("there"), "old")
	source.save(key("over"), "moved")
	target.save(key("there"), "new")
	if err := target.Store.Save(target.Context(), key("over"), []byte("x"), time.Second); err != nil {
		target.Fatalf("save: %v", err)
	}
	target.clock.Advance(time.Second)
	target.take(source.export()...)
	target.want(key("there"), "new")
	target.want(key("over"), "moved")
}

func moveRefused(source, _ *probe) {
	source.save(key("k"), "x")
	e, ok := source.Store.(memo.Exporter)
	if !ok {
		source.Fatalf("%T is no memo.Exporter", source.Store)
	}
	refused := errors.New("no room")
	err := e.Export(source.Context(), func([]memo.Note) error { return refused })
	if !errors.Is(err, refused) || errors.Is(err, memo.ErrUnavailable) {
		source.Errorf("export: got %v, want %v alone", err, refused)
	}
}
