package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

func TestWireReadsMessages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 5000)
	const head = "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\nX-Y:  z \r\n\r\n"
	stream := head + "hello" + "HTTP/1.1 202 Accepted\r\nContent-Length: 50000\r\n\r\n" + long + head + "again"
	readers := map[string]func(io.Reader) io.Reader{
		"byte by byte": iotest.OneByteReader, "by halves": iotest.HalfReader, "at once": func(r io.Reader) io.Reader { return r },
	}
	for name, cut := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(&pipe{Reader: cut(strings.NewReader(stream))})
			for i, want := range []string{"hello", long, "again"} {
				head, body, err := w.next()
				if err != nil || string(body) != want {
					t.Fatalf("message %d: got %.20q (%d bytes), %v, want %.20q (%d bytes)", i, body, len(body), err, want, len(want))
				}
				if i == 0 && string(header(head, "x-y")) != "z" {
					t.Errorf("got field %q, want z", header(head, "x-y"))
				}
				if i == 1 && status(head) != 202 {
					t.Errorf("got status %d, want 202", status(head))
				}
			}
			if _, _, err := w.next(); !errors.Is(err, io.EOF) {
				t.Errorf("got %v at the end, want EOF", err)
			}
		})
	}
}

func TestWireRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stream string
		want   error
	}{
		"no length":     {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", errHead},
		"a bad length":  {"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", errHead},
		"a huge length": {"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", errTooLong},
		"half a head":   {"GET / HTTP/1.1\r\nHost", io.ErrUnexpectedEOF},
		"half a body":   {"GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1234", io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := newWire(&pipe{Reader: strings.NewReader(c.stream)}).next(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// pipe is a connection of which only reading works.
type pipe struct {
	net.Conn
	io.Reader
}

func (p *pipe) Read(b []byte) (int, error) { return p.Reader.Read(b) }

func TestShapesAreWhatTheySay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shape shape
		size  int
	}{
		"inbound": {inbound(small), small}, "large": {inbound(large), large}, "outbound": {outbound(), small},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, at := c.shape.request("127.0.0.1:1")
			at.write(raw, firstID+42, uint64(time.Now().UnixNano()), 7)
			head, body, err := newWire(&pipe{Reader: bytes.NewReader(raw)}).next()
			if err != nil {
				t.Fatal(err)
			}
			if len(body) != c.size || !json.Valid(body) {
				t.Errorf("got %d bytes, valid JSON: %v; want %d, true", len(body), json.Valid(body), c.size)
			}
			if !bytes.Contains(body, []byte("7000000000000000042")) || !bytes.Contains(body, []byte("wxid_peer00000007")) {
				t.Errorf("got body %.300s, want id 7000000000000000042 and conversation 7 in it", body)
			}
			if bytes.Contains(body, []byte(idDigits)) || bytes.Contains(body, []byte(convDigits)) {
				t.Errorf("got body %.300s, want no digits left as they were", body)
			}
			if !bytes.HasPrefix(head, []byte("POST "+c.shape.path+" HTTP/1.1\r\n")) {
				t.Errorf("got head %.100s, want a POST to %s", head, c.shape.path)
			}
		})
	}
}

func TestBatchFindsFaults(t *testing.T) {
	t.Parallel()
	post := func(b *batch, n uint64, change func([]byte)) {
		raw, at := b.shape.request("a")
		at.write(raw, b.first+n, 1, n%b.convs)
		body := raw[bytes.Index(raw, []byte("\r\n\r\n"))+4:]
		if change != nil {
			change(body)
		}
		b.receive(body, time.Now())
	}
	for name, c := range map[string]struct {
		do   func(b *batch)
		sent int64
		want string
	}{
		"none":  {func(b *batch) { post(b, 0, nil); post(b, 1, nil); post(b, 2, nil) }, 3, ""},
		"lost":  {func(b *batch) { post(b, 0, nil); post(b, 2, nil) }, 3, "got 2 messages, want 3"},
		"twice": {func(b *batch) { post(b, 0, nil); post(b, 0, nil) }, 1, "1 messages that were repeated"},
		"late":  {func(b *batch) { post(b, 4, nil); post(b, 0, nil) }, 2, "1 messages that were out of order"},
		"changed": {
			func(b *batch) { post(b, 0, nil); post(b, 1, func(body []byte) { body[len(body)-3] = '"' }) }, 1,
			"1 messages that were changed",
		},
		"shortened": {func(b *batch) { post(b, 0, nil); b.receive([]byte("{}"), time.Now()) }, 1, "of another run"},
		"foreign":   {func(b *batch) { post(b, 0, nil); post(b, maxBatch+1, nil) }, 1, "of another run"},
	} {
		for kind, s := range map[string]shape{"inbound": inbound(small), "outbound": outbound()} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				b := newBatch(firstID, s, 4, 2)
				c.do(b)
				err := b.fault(c.sent)
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			})
		}
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	b := newBatch(firstID, inbound(small), 1, 1)
	b.delays = make([]atomic.Int64, 100)
	for i := range b.delays {
		b.delays[i].Store(int64(100-i) * int64(time.Millisecond))
	}
	for q, want := range map[float64]time.Duration{0.5: 51 * time.Millisecond, 0.99: 100 * time.Millisecond} {
		if got := b.quantile(q); got != want {
			t.Errorf("quantile %g: got %v, want %v", q, got, want)
		}
	}
	if got := median([]float64{3, 1, 2, 10}); got != 2.5 {
		t.Errorf("median: got %g, want 2.5", got)
	}
}

func TestLoadReachesTheSink(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shape shape
		load  load
	}{
		"closed loop": {inbound(small), load{conns: 8, count: 400}},
		"going on":    {inbound(small), load{conns: 8, count: 80, from: 160}},
		"open loop":   {inbound(small), load{conns: 4, count: 100, rate: 2000}},
		"large":       {inbound(large), load{conns: 4, count: 40}},
		"outbound":    {outbound(), load{conns: 4, count: 40}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSink(t)
			l := c.load
			l.addr, l.want, l.wantText = s.addr, 200, `"ok":true`
			l.batch = newBatch(numbers.take(), c.shape, 16, l.conns)
			s.batch.Store(l.batch)
			o, err := l.run()
			if err != nil || o.sent != int64(l.count) {
				t.Fatalf("got %d sent, %v, want %d", o.sent, err, l.count)
			}
			if err := l.batch.fault(o.sent); err != nil {
				t.Error(err)
			}
			if timed := l.rate > 0; timed != (len(o.waits) > 0) {
				t.Errorf("got %d waits, want some: %v", len(o.waits), timed)
			}
		})
	}
}

func TestLoadRefusesAnswers(t *testing.T) {
	t.Parallel()
	s := startSink(t)
	for name, c := range map[string]struct {
		status int
		text   string
		want   string
	}{
		"status": {202, "", "got status 200, want 202"}, "text": {200, `"queued":true`, "want \"queued\":true in it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := load{addr: s.addr, conns: 1, count: 1, want: c.status, wantText: c.text}
			l.batch = newBatch(numbers.take(), inbound(small), 1, 1)
			if _, err := l.run(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestSinkMissesSignatures(t *testing.T) {
	t.Parallel()
	s := startSink(t)
	l := load{addr: s.addr, conns: 1, count: 2 * signedEvery, want: 200}
	l.batch = newBatch(numbers.take(), inbound(small), 1, 1)
	l.batch.signed = true
	s.batch.Store(l.batch)
	if _, err := l.run(); err != nil {
		t.Fatal(err)
	}
	if got := l.batch.unsigned.Load(); got != 2 {
		t.Errorf("got %d messages without a signature, want 2", got)
	}
}

func TestTableSaysWhatItCompares(t *testing.T) {
	t.Parallel()
	tab := table{rival: "floor", before: "0.50"}
	tab.add(result{goal: "G10", what: "ten", value: 0.1, atLeast: 0.12})
	tab.add(result{goal: "-", what: "start", value: 31.26, unit: " ms"})
	tab.add(result{goal: "G7", what: "seven", ours: "0.80 ms", value: 0.8, unit: " ms", atMost: 1, cpu: 45, foreign: 0.031})
	var out bytes.Buffer
	tab.write(&out)
	fields := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for _, want := range []string{
		"goal what imrelay floor figure target CPU µs redis (floor) others G7 seven 0.80 ms 0.80 ms ≤ 1 met 45.0 - - 3%",
		"G10 ten 0.10 ≥ 0.12 missed - - - 0% - start 31.3 ms - - - 0%", "NO NGINX HERE", "load average 0.50 before",
	} {
		if !strings.Contains(fields(out.String()), want) {
			t.Errorf("got\n%s\nwant %q in it", out.String(), want)
		}
	}
	out.Reset()
	if new(table).write(&out); out.Len() != 0 {
		t.Errorf("got %q for no results, want nothing", out.String())
	}
}

// TestRelayUnderLoad sees to it that the benchmarks find a relay that they know how to talk to.
func TestRelayUnderLoad(t *testing.T) {
	t.Parallel()
	for _, st := range safe {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			underLoad(t, st.open(t))
		})
	}
}

func underLoad(t *testing.T, back *backing) {
	t.Helper()
	s := startSink(t)
	relay := launch(t, t.TempDir(), func() *exec.Cmd {
		cmd := reexec("imrelay", "serve")
		cmd.Env = append(cmd.Env, back.env()...)
		return cmd
	}, s)
	r := &rig{tb: t, sink: s, relay: relay, rival: startFloor(t, s)}
	patient := inbound(small)
	patient.headers = "Prefer: wait=30\r\n"
	l := passed(8, 0)
	l.count = 160
	r.through(r.relay.server, patient, l)
	r.through(r.rival, patient, l)
	l = sent(8, 0)
	l.count = 80
	r.through(r.relay.server, outbound(), l)

	h := &heap{rig: r, batch: newBatch(numbers.take(), async(), 64, 64)}
	h.batch.signed = true
	r.relay.pause()
	h.grow(128)
	if got := h.batch.count.Load(); got != 0 {
		t.Errorf("got %d deliveries to a paused agent, want none", got)
	}
	h.relay = r.relay.again(s)
	h.drain()
}

func TestRateOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want float64
		bad  bool
	}{
		"as printed": {
			text: "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"83367.12\",\"0.71\"\n", want: 83367.12,
		},
		"nothing":       {bad: true},
		"another order": {text: "\"test\",\"avg_latency_ms\",\"rps\"\n\"SET\",\"0.71\",\"83367.12\"\n", bad: true},
		"another test":  {text: "\"test\",\"rps\"\n\"GET\",\"83367.12\"\n", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := rateOf(c.text)
			if got != c.want || (err != nil) != c.bad {
				t.Errorf("got %g, %v, want %g, an error: %v", got, err, c.want, c.bad)
			}
		})
	}
}

func TestRedisTellsFigures(t *testing.T) {
	t.Parallel()
	back := always.open(t)
	if got := back.number(t, "server", "process_id"); got != float64(back.pids[0]) {
		t.Errorf("got process %g, want %d", got, back.pids[0])
	}
	if got := back.number(t, "memory", "used_memory"); got < 100_000 {
		t.Errorf("got %g bytes used, want what an empty server has", got)
	}
	if _, err := infoField("# Memory\r\nused_memory:1\r\n", "used"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v for a field that is not there, want that it does not exist", err)
	}
}
