package redisdedupe_test

import (
	"strings"
	"time"
)

// What rows look like: the fields that all have, and the rows that sync and queue make.
const (
	head        = "a=1000000000 d=" + digest
	startedHead = "a=1000000000 b=1 d=" + digest
	syncRow     = head + " e=1010000000 i=id-s k=key l=l n=cs o=me t=1000000000"
	queuedRow   = head + " g=1 i=id-s k=key l=l n=cs o=me p=text q=1000000000 s=w"
)

// ended leaves a finished row that was claimed as sum.
func ended(status string) func(b *bench) {
	return func(b *bench) {
		b.sync("s")
		b.run("finish", "s", now, "f", ".r", window, status)
	}
}

func claimScripts() []scripted {
	call := func(f func(c *claimed)) []any {
		c := claimed{sum: "s", lane: "l", nonce: "n"}
		if f != nil {
			f(&c)
		}
		return c.args()
	}
	as := func(mode, version string) []any { return call(func(c *claimed) { c.mode, c.version = mode, version }) }
	queue := func(c *claimed) { c.queued, c.payload = true, "text" }
	resend := func(c *claimed) { c.resend = "1" }
	both := func(c *claimed) { queue(c); resend(c) }
	other := func(c *claimed) { c.digest = strings.Repeat("x", 32) }
	started := func(b *bench) {
		b.sync("s")
		b.run("start", "s", now, "b", "", window, lease)
	}
	voided := func(b *bench) {
		b.run("claim", as("fence", "900000000")...)
	}
	return []scripted{
		{
			script: "claim", name: "a new key", args: call(nil), reply: "[claimed 1000000000 [a 1000000000]]",
			again: "[claimed 1000000000 [o me …",
			keys: map[string]string{
				"send:s": strings.Replace(syncRow, "n=cs", "n=n", 1), "id:2:me:id-s": "s", "tick": "1000000000", "sends:over": "",
			},
		},
		{
			script: "claim", name: "a new key, queued", args: call(queue), reply: "[queued  [a 1000000000 q 1000000000]]",
			again: "[w  [o me …",
			keys: map[string]string{
				"send:s": strings.Replace(queuedRow, "n=cs", "n=n", 1), "id:2:me:id-s": "s", "line:l": "s:1000000000",
				"sends:wait": "s:1000000000", "sends:ready": "l:1000000000", "sends:held": "", "sends:over": "",
			},
		},
		{
			script: "claim", name: "a new key, queued behind one of a shard ahead", args: append(call(queue)[:14], 2_000_000_000),
			reply: "[queued  [a 1000000000 q 2000000000]]", again: "[w  [o me …",
			keys: map[string]string{"line:l": "s:2000000000", "seq": "2000000000", "tick": "", "skew": ""},
		},
		{
			script: "claim", name: "a new key, queued behind what is ahead", before: func(b *bench) {
				b.run("claim", append(claimed{sum: "first", lane: "l", nonce: "c", queued: true}.args()[:14], 2_000_000_000)...)
			}, args: call(queue), reply: "[queued  [a 1000000000 q 2000000001]]", again: "[w  [o me …",
			keys: map[string]string{"line:l": "first:2000000000 s:2000000001", "seq": "2000000001", "tick": ""},
		},
		{
			script: "claim", name: "other content", before: func(b *bench) { b.sync("s") }, args: call(other),
			reply: "[conflict  [o me …", keys: map[string]string{"send:s": syncRow},
		},
		{
			script: "claim", name: "a held row", before: func(b *bench) { b.sync("s") }, args: call(resend),
			reply: "[running  [o me …", keys: map[string]string{"send:s": syncRow},
		},
		{
			script: "claim", name: "a waiting row", before: func(b *bench) { b.queue("s") }, args: call(both),
			reply: "[w  [o me …", keys: map[string]string{"send:s": queuedRow, "sends:wait": "s:1000000000"},
		},
		{script: "claim", name: "a done row", before: ended("d"), args: call(resend), reply: "[d  [o me …"},
		{script: "claim", name: "an unknown row", before: ended("u"), args: call(nil), reply: "[u  [o me …"},
		{
			script: "claim", name: "an unknown row, to resend it", before: ended("u"), args: call(resend),
			reply: "[claimed 1000000001 [o me …",
			keys: map[string]string{
				"send:s":     head + " e=1010000000 i=id-s k=key l=l n=n o=me r=.r s=u t=1000000001 v=1100000000",
				"sends:over": "s:1100000000",
			},
		},
		{
			script: "claim", name: "an unknown row, to queue it", before: ended("u"), args: call(both),
			reply: "[queued  [o me …", again: "[w  [o me …",
			keys: map[string]string{
				"send:s":     head + " g=1 i=id-s k=key l=l n=n o=me p=text q=1000000001 r=.r s=w",
				"sends:over": "", "sends:wait": "s:1000000001", "sends:ready": "l:1000000001",
			},
		},
		{
			script: "claim", name: "a failed row", before: ended("f"), args: call(nil), reply: "[claimed 1000000001 [o me …",
		},
		{
			script: "claim", name: "a lapsed claim", before: func(b *bench) {
				b.sync("s")
				b.later(10 * time.Second)
			}, args: call(nil), reply: "[claimed 1010000000 [a 1010000000]]", again: "[claimed 1010000000 [o me …",
		},
		{
			script: "claim", name: "a held row, the clock being set back", before: func(b *bench) {
				b.sync("s")
				b.later(-time.Hour)
			}, args: call(nil), reply: "[running  [o me …", keys: map[string]string{"tick": "1000000000", "skew": "3600000000"},
		},
		{
			script: "claim", name: "a held row, the clock being set back a little", before: func(b *bench) {
				b.sync("s")
				b.later(-time.Second)
			}, args: call(nil), reply: "[running  [o me …", keys: map[string]string{"skew": ""},
		},
		{
			script: "claim", name: "a lapsed start", before: func(b *bench) {
				started(b)
				b.later(10 * time.Second)
			}, args: call(nil), reply: "[u  [o me …",
		},
		{
			script: "claim", name: "a lapsed start of a background send", before: func(b *bench) {
				b.queue("s")
				b.queue("next")
				b.take()
				b.run("start", "s", now+2, "b", "", window, lease)
				b.later(10 * time.Second)
			}, args: call(nil), reply: "[u  [o me …",
			keys: map[string]string{
				"line:l": "next:1000000001", "sends:wait": "next:1000000001", "sends:ready": "l:1000000001", "sends:held": "",
				"sends:over": "s:1100000000",
				"send:s":     startedHead + " e=1010000000 i=id-s k=key l=l n=b o=me q=1000000000 s=u t=1000000002 v=1100000000",
			},
		},
		{
			script: "claim", name: "a row that is over", before: func(b *bench) {
				ended("d")(b)
				b.later(100 * time.Second)
			}, args: call(func(c *claimed) { c.queued = true }), reply: "[queued  [a 1100000000 q 1100000000]]",
			again: "[w  [o me …", keys: map[string]string{"sends:over": ""},
		},
		{
			script: "claim", name: "where only a young pointer leads", args: as("look", "999990000"), reply: "[young]",
			keys: map[string]string{"send:s": ""},
		},
		{
			script: "claim", name: "where only an old pointer leads", args: as("look", "900000000"), reply: "[none]",
			keys: map[string]string{"send:s": "x=900000000"},
		},
		{
			script: "claim", name: "without patience", args: as("fence", "999990000"), reply: "[none]",
			keys: map[string]string{"send:s": "x=999990000"},
		},
		{
			script: "claim", name: "where only a pointer leads, and the row is", before: ended("f"), args: as("look", "900000000"),
			reply: "[claimed 1000000001 [o me …",
		},
		{
			script: "claim", name: "with a void pointer", before: voided, args: as("", "900000000"), reply: "[void]",
			keys: map[string]string{"send:s": "x=900000000"},
		},
		{
			script: "claim", name: "with an older pointer than the void one", before: voided, args: as("", "899999999"),
			reply: "[void]",
		},
		{
			script: "claim", name: "with a newer pointer than the void one", before: voided, args: as("", "900000001"),
			reply: "[claimed 1000000000 …",
			keys:  map[string]string{"send:s": strings.Replace(syncRow, "n=cs", "n=n", 1) + " x=900000000"},
		},
		{
			script: "claim", name: "keeps what is void when it makes the row anew", before: func(b *bench) {
				voided(b)
				b.run("claim", as("", "900000001")...)
				b.later(10 * time.Second)
			}, args: func() []any {
				c := claimed{sum: "s", lane: "l", nonce: "n2", version: "900000001"}
				return c.args()
			}(), reply: "[claimed 1010000000 [a 1010000000]]", again: "[claimed 1010000000 [x 900000000 …",
		},
	}
}

func holderScripts() []scripted {
	held := func(b *bench) { b.sync("s") }
	taken := func(b *bench) {
		b.queue("s")
		b.queue("next")
		b.take()
	}
	const token, queuedToken = now, now + 2
	startedRow := startedHead + " e=1011000000 i=id-s k=key l=l n=n o=me r=.r s=u t=1000000000 v=1101000000"
	after := func(f func(b *bench), d time.Duration) func(b *bench) {
		return func(b *bench) {
			f(b)
			b.later(d)
		}
	}
	aSecond := func(f func(b *bench)) func(b *bench) { return after(f, time.Second) }
	start := func(f func(b *bench), token int) func(b *bench) {
		return func(b *bench) {
			f(b)
			b.run("start", "s", token, "b", ".b", window, lease)
		}
	}
	heldLine := map[string]string{
		"line:l": "next:1000000001 s:1000000000", "sends:wait": "next:1000000001 s:1000000000", "sends:ready": "",
		"sends:held": "l:1011000000", "sends:over": "",
	}
	return []scripted{
		{
			script: "start", name: "a claim", before: aSecond(held), args: []any{"s", token, "n", ".r", window, lease}, reply: "1",
			keys: map[string]string{"send:s": startedRow, "sends:over": "s:1101000000"},
		},
		{
			script: "start", name: "a background send", before: aSecond(taken), args: []any{"s", queuedToken, "n", ".r", window, lease},
			reply: "1", keys: heldLine,
		},
		{
			script: "start", name: "with another's token", before: held, args: []any{"s", token + 1, "n", ".r", window, lease},
			reply: "0", keys: map[string]string{"send:s": syncRow},
		},
		{
			script: "start", name: "too late", before: after(held, 10*time.Second),
			args: []any{"s", token, "n", ".r", window, lease}, reply: "0",
		},
		{script: "start", name: "nothing", args: []any{"s", token, "n", ".r", window, lease}, reply: "0"},
		{
			script: "note", name: "a start", before: aSecond(start(held, token)), args: []any{"s", token, "n", "", window, lease},
			reply: "1",
			keys: map[string]string{
				"send:s":     head + " e=1011000000 i=id-s k=key l=l n=n o=me s=f t=1000000000 v=1101000000",
				"sends:over": "s:1100000000",
			},
		},
		{
			script: "note", name: "a background send", before: aSecond(start(taken, queuedToken)),
			args: []any{"s", queuedToken, "n", ".r", window, lease}, reply: "1", keys: heldLine,
		},
		{
			script: "note", name: "too late", before: after(start(held, token), 10*time.Second),
			args: []any{"s", token, "n", "", window, lease}, reply: "0",
		},
		{
			script: "finish", name: "a start", before: aSecond(start(held, token)), args: []any{"s", token, "n", ".r", window, "d"},
			reply: "1",
			keys: map[string]string{
				"send:s": head + " i=id-s k=key l=l n=n o=me r=.r s=d v=1101000000", "sends:over": "s:1100000000",
			},
		},
		{
			script: "finish", name: "a background send", before: aSecond(start(taken, queuedToken)),
			args: []any{"s", queuedToken, "n", ".r", window, "f"}, reply: "1",
			keys: map[string]string{
				"send:s":     head + " i=id-s k=key l=l n=n o=me q=1000000000 r=.r s=f v=1101000000",
				"sends:over": "s:1101000000", "line:l": "next:1000000001", "sends:wait": "next:1000000001", "sends:held": "",
				"sends:ready": "l:1000000001",
			},
		},
		{
			script: "finish", name: "a lapsed start", before: after(start(held, token), 10*time.Second),
			args: []any{"s", token, "n", ".r", window, "d"}, reply: "1",
		},
		{
			script: "finish", name: "a lapsed claim", before: after(held, 10*time.Second),
			args: []any{"s", token, "n", ".r", window, "d"}, reply: "0",
		},
		{
			script: "release", name: "a claim", before: held, args: []any{"s", token, "n", "", window}, reply: "1",
			keys: map[string]string{"send:s": "n=n", "id:2:me:id-s": "", "sends:over": ""},
		},
		{
			script: "release", name: "a start", before: start(held, token), args: []any{"s", token, "n", "", window}, reply: "1",
			keys: map[string]string{"send:s": "n=n", "id:2:me:id-s": "", "sends:over": ""},
		},
		{
			script: "release", name: "with a record", before: held, args: []any{"s", token, "n", ".", window}, reply: "1",
			keys: map[string]string{
				"send:s": head + " i=id-s k=key l=l n=n o=me r=. s=f v=1100000000", "sends:over": "s:1100000000",
			},
		},
		{
			script: "release", name: "a background send", before: start(taken, queuedToken),
			args: []any{"s", queuedToken, "n", "", window}, reply: "1",
			keys: map[string]string{
				"send:s":     strings.Replace(queuedRow, "n=cs", "n=n", 1),
				"sends:wait": "next:1000000001 s:1000000000", "sends:held": "", "sends:ready": "l:1000000000",
			},
		},
		{
			script: "release", name: "too late", before: after(start(held, token), 10*time.Second),
			args: []any{"s", token, "n", "", window}, reply: "0",
		},
		{
			script: "renew", name: "what is held", before: func(b *bench) {
				taken(b)
				b.sync("sync")
				b.sync("other")
				b.later(time.Second)
			}, args: []any{lease, "s", queuedToken, "sync", queuedToken + 1, "other", 7, "none", 8}, reply: "[1 2]",
			keys: map[string]string{"sends:held": "l:1011000000"},
		},
		{
			script: "renew", name: "too late", before: after(start(held, token), 10*time.Second), args: []any{lease, "s", token},
			reply: "[]",
		},
	}
}
