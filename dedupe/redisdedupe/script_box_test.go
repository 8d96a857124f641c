package redisdedupe_test

import (
	"time"
)

func boxScripts() []scripted {
	two := func(b *bench) {
		b.queue("s")
		b.run("claim", claimed{sum: "m", lane: "k", nonce: "cm", queued: true, payload: "more"}.args()...)
		b.queue("next")
	}
	lapsed := func(started bool) func(b *bench) {
		return func(b *bench) {
			two(b)
			b.take()
			if started {
				b.run("start", "s", now+3, "b", "", window, lease)
			}
			b.later(10 * time.Second)
		}
	}
	return []scripted{
		{script: "look", name: "at nothing", args: []any{5}, reply: "[]"},
		{script: "look", name: "at two lanes", before: two, args: []any{5}, reply: "[1000000000 1000000001]"},
		{script: "look", name: "at the first", before: two, args: []any{1}, reply: "[1000000000]"},
		{
			script: "look", name: "at a lapsed claim", before: lapsed(false), args: []any{5}, reply: "[1000000000 1000000001]",
			keys: map[string]string{"sends:held": "", "sends:ready": "k:1000000001 l:1000000000"},
		},
		{
			script: "look", name: "at a lapsed start", before: lapsed(true), args: []any{5}, reply: "[1000000001 1000000002]",
			keys: map[string]string{
				"sends:held": "", "line:l": "next:1000000002", "sends:over": "s:1100000000",
				"sends:wait": "m:1000000001 next:1000000002",
			},
		},
		{
			script: "take", name: "from two lanes", before: two, args: []any{5, "n", lease, 1 << 20},
			reply: "[0 1000000003 [o me …",
			keys: map[string]string{
				"sends:held": "k:1010000000 l:1010000000", "sends:ready": "", "took:n": "s m", "tick": "1000000004",
				"send:s": takenRow,
			},
		},
		{
			script: "take", name: "one", before: two, args: []any{1, "n", lease, 1 << 20}, reply: "[0 1000000003 [o me …",
			keys: map[string]string{"sends:held": "l:1010000000", "sends:ready": "k:1000000001", "took:n": "s"},
		},
		{
			script: "take", name: "no more than so many bytes", before: two, args: []any{5, "n", lease, 1},
			reply: "[0 1000000003 [o me …", keys: map[string]string{"sends:held": "l:1010000000", "took:n": "s"},
		},
		{script: "take", name: "nothing", args: []any{5, "n", lease, 1}, reply: "[0]", keys: map[string]string{"tick": ""}},
		{
			script: "take", name: "a row that is missing", before: func(b *bench) {
				two(b)
				b.raw.Del(b.Context(), prefix+"send:s")
			}, args: []any{1, "n", lease, 1}, reply: "[1]", again: "[0]",
			keys: map[string]string{
				"line:l": "next:1000000002", "sends:wait": "m:1000000001 next:1000000002", "sends:held": "",
				"sends:ready": "k:1000000001 l:1000000002",
			},
		},
		{
			script: "take", name: "again, without an answer", before: func(b *bench) {
				two(b)
				b.run("take", 5, "n", lease, 1<<20)
				b.later(5 * time.Second)
			}, args: []any{5, "n", lease, 1, "1"}, reply: "[0 1000000003 [o me …",
			keys: map[string]string{"sends:held": "k:1015000000 l:1015000000", "sends:ready": "", "took:n": "s m", "tick": "1000000004"},
		},
		{
			script: "take", name: "again, with room for one", before: func(b *bench) {
				two(b)
				b.run("take", 5, "n", lease, 1<<20)
			}, args: []any{1, "n", lease, 1, "1"}, reply: "[0 1000000003 [o me …",
			keys: map[string]string{
				"sends:held": "l:1010000000", "sends:ready": "k:1000000001", "sends:wait": "m:1000000001 next:1000000002 s:1000000000",
			},
		},
		{
			script: "take", name: "again, what has changed since", before: func(b *bench) {
				two(b)
				b.run("take", 5, "n", lease, 1<<20)
				b.run("start", "s", now+3, "b", "", window, lease)
				b.later(9 * time.Second)
			}, args: []any{5, "n", lease, 1, "1"}, reply: "[0 1000000004 [o me …",
			keys: map[string]string{"sends:held": "k:1019000000 l:1010000000"},
		},
		{
			script: "take", name: "again, what never ran", before: two, args: []any{5, "n", lease, 1, "1"}, reply: "[0]",
			keys: map[string]string{"sends:held": "", "took:n": ""},
		},
		{
			script: "take", name: "late, behind the question again", before: func(b *bench) {
				two(b)
				b.run("take", 5, "n", lease, 1, "1")
			}, args: []any{5, "n", lease, 1}, reply: "[0]", keys: map[string]string{"sends:held": ""},
		},
		{
			script: "count", name: "what waits", before: func(b *bench) {
				two(b)
				b.take()
			}, reply: "[2 1000000004]",
		},
		{script: "count", name: "what has lapsed", before: lapsed(false), reply: "[3 1010000000]"},
		{script: "count", name: "what was started and has lapsed", before: lapsed(true), reply: "[2 1010000000]"},
		{script: "find", name: "a held row", before: func(b *bench) { b.sync("s") }, args: []any{"me", "id-s"}, reply: "[running [o me …"},
		{script: "find", name: "a done row", before: ended("d"), args: []any{"me", "id-s"}, reply: "[d [o me …"},
		{script: "find", name: "another's", before: ended("d"), args: []any{"m", "e:id-s"}, reply: "<nil>"},
		{
			script: "find", name: "what is over", before: func(b *bench) {
				ended("d")(b)
				b.later(100 * time.Second)
			}, args: []any{"me", "id-s"}, reply: "<nil>",
		},
	}
}

// takenRow is the row of queue once take has it with the nonce n, as the fourth number.
const takenRow = head + " e=1010000000 g=1 i=id-s k=key l=l n=n o=me p=text q=1000000000 s=w t=1000000003"

func storeScripts() []scripted {
	// row is one row of an import; its seq is to be 2000000000.
	row := func(sum, status, over, version string) []any {
		return []any{
			sum, "me", "key", "id-" + sum, "l", digest, status, "900000000", over, ".r", "text", version, "2000000000",
		}
	}
	in := func(mode string, rows ...[]any) []any {
		args := []any{mode}
		for _, r := range rows {
			args = append(args, r...)
		}
		return args
	}
	const doneRow = "a=900000000 d=" + digest + " i=id-s k=key l=l o=me r=.r s=d v=1050000000"
	return []scripted{
		{
			script: "sweep", name: "what is over", before: func(b *bench) {
				ended("d")(b)
				b.later(100 * time.Second)
			}, args: []any{500}, reply: "1", again: "0",
			keys: map[string]string{"send:s": "", "id:2:me:id-s": "", "sends:over": ""},
		},
		{
			script: "sweep", name: "what is not", before: func(b *bench) {
				ended("d")(b)
				b.later(99 * time.Second)
			}, args: []any{500}, reply: "0", keys: map[string]string{"sends:over": "s:1100000000"},
		},
		{
			script: "sweep", name: "what is held, or has been prolonged", before: func(b *bench) {
				b.sync("s")
				b.run("start", "s", now, "b", "", window, lease)
				b.sync("later")
				b.run("start", "later", now+1, "b", "", window, lease)
				b.later(5 * time.Second)
				b.run("finish", "later", now+1, "f", "", window, "d")
				b.later(95 * time.Second)
				b.run("claim", claimed{sum: "s", lane: "l", nonce: "n"}.args()...)
			}, args: []any{500}, reply: "1", again: "0",
			keys: map[string]string{"sends:over": "later:1105000000"},
		},
		{
			script: "sweep", name: "what is gone", before: func(b *bench) {
				ended("d")(b)
				b.raw.Del(b.Context(), prefix+"send:s")
				b.later(100 * time.Second)
			}, args: []any{500}, reply: "1", again: "0", keys: map[string]string{"sends:over": ""},
		},
		{
			script: "rows", name: "that wait", before: func(b *bench) {
				b.queue("s")
				b.queue("next")
			}, args: []any{"wait", 0, 1, 1 << 20}, reply: "[1 [o me k key i id-s …",
		},
		{
			script: "rows", name: "that wait, the last", before: func(b *bench) {
				b.queue("s")
				b.queue("next")
			}, args: []any{"wait", 1, 2, 1 << 20}, reply: "[0 [o me k key i id-next …",
		},
		{
			script: "rows", name: "within the bytes", before: func(b *bench) {
				b.queue("s")
				b.queue("next")
			}, args: []any{"wait", 0, 5, 1}, reply: "[1 [o me k key i id-s …",
		},
		{script: "rows", name: "that are finished", before: ended("d"), args: []any{"over", 0, 5, 1}, reply: "[0 [o me …"},
		{
			script: "import", name: "rows", args: in("", row("s", "d", "1050000000", ""), row("w", "w", "", "5")), reply: "[kept kept]",
			again: "[there there]",
			keys: map[string]string{
				"send:s": doneRow, "sends:over": "s:1050000000", "sends:wait": "w:2000000000", "line:l": "w:2000000000",
				"sends:ready": "l:2000000000", "id:2:me:id-s": "s", "id:2:me:id-w": "w", "tick": "", "seq": "2000000000",
			},
		},
		{
			script: "import", name: "with a void pointer", before: func(b *bench) {
				b.run("claim", claimed{sum: "s", nonce: "n", mode: "fence", version: "5"}.args()...)
			}, args: in("", row("s", "d", "1050000000", "5")), reply: "[void]", keys: map[string]string{"send:s": "x=5"},
		},
		{
			script: "import", name: "where only the pointer leads", args: in("fence", row("s", "d", "1050000000", "5")), reply: "[none]",
			keys: map[string]string{"send:s": "x=5"},
		},
		{
			script: "import", name: "where the row is", before: ended("u"), args: in("fence", row("s", "d", "1050000000", "5")),
			reply: "[there]",
		},
	}
}
