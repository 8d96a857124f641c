package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	httpconnector "github.com/imrelay/imrelay/outbound/connector/http"
	"github.com/imrelay/imrelay/outbound/limit"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// realIM is an IM behind a socket. It hangs up after every hangUp-th message that it took.
type realIM struct {
	*httptest.Server
	hangUp int64

	n  atomic.Int64
	mu sync.Mutex
	// taken counts what reached the IM, by text.
	taken map[string]int
	order map[string][]string
}

func newRealIM(tb testing.TB, hangUp int64) *realIM {
	tb.Helper()
	im := &realIM{hangUp: hangUp, taken: map[string]int{}, order: map[string][]string{}}
	im.Server = httptest.NewServer(http.HandlerFunc(im.serve))
	tb.Cleanup(im.Close)
	return im
}

func (im *realIM) serve(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	to, text := gjson.GetBytes(b, "to").Str, gjson.GetBytes(b, "text").Str
	im.mu.Lock()
	im.taken[text]++
	im.order[to] = append(im.order[to], text)
	im.mu.Unlock()
	n := im.n.Add(1)
	if im.hangUp > 0 && n%im.hangUp == 0 {
		panic(http.ErrAbortHandler)
	}
	_, _ = fmt.Fprintf(w, `{"messageId":%d}`, 7265419038812340000+n)
}

// openReal makes a running Sender over a SQLite file and sockets; what it returns undoes that.
func openReal(tb testing.TB, dir string, im *realIM) (s *outbound.Sender, undo func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	file, err := sqlitefile.Open(ctx, sqlitefile.Options{Dir: dir})
	if err != nil {
		tb.Fatalf("open file: %v", err)
	}
	store, err := sqlitededupe.New(ctx, file, sqlitededupe.Options{Window: 48 * time.Hour})
	if err != nil {
		tb.Fatalf("open ledger: %v", err)
	}
	client := egress.New(egress.Options{})
	c, err := httpconnector.New(httpconnector.Config{URL: im.URL}, connector.Wire{Doer: client, Timeout: 5 * time.Second})
	if err != nil {
		tb.Fatalf("new connector: %v", err)
	}
	s, err = outbound.New(outbound.Options{
		Store: store, Limiter: &limit.Limiter{}, Accounts: outbound.Table{"wechat": {Connector: c}}, Hold: testHold,
		Log: zap.NewNop(),
	})
	if err != nil {
		tb.Fatalf("new: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("run: %v", err)
		}
		client.Close()
		if err := errors.Join(store.Close(), file.Close()); err != nil {
			tb.Errorf("close: %v", err)
		}
	}
}

// TestNoDoubleSend: agents that repeat every request, and an IM that hangs up on some: each key reaches the IM at most
// once, and the outcome is either sent or unknown.
func TestNoDoubleSend(t *testing.T) {
	t.Parallel()
	im := newRealIM(t, 20)
	s, undo := openReal(t, t.TempDir(), im)
	defer undo()
	const keys = 400
	var wg sync.WaitGroup
	var sent, unknown atomic.Int64
	for w := range 16 {
		wg.Go(func() {
			for i := range keys {
				// Each key is asked for by two workers, one of them twice.
				if i%8 != w/2 {
					continue
				}
				for range 1 + w%2 {
					req := keyed(fmt.Sprintf("k%d", i), fmt.Sprintf("text %d", i))
					req.To = fmt.Sprintf("wxid_%d", i%50)
					_, err := s.Send(t.Context(), req)
					if err == nil {
						sent.Add(1)
						continue
					}
					wantCode(t, i, err, outbound.CodeDeliveryUnknown)
					unknown.Add(1)
				}
			}
		})
	}
	wg.Wait()
	im.mu.Lock()
	defer im.mu.Unlock()
	if len(im.taken) != keys {
		t.Errorf("texts at the IM: got %d, want %d", len(im.taken), keys)
	}
	for text, n := range im.taken {
		if n != 1 {
			t.Errorf("%q reached the IM %d times, want once", text, n)
		}
	}
	if unknown.Load() != 3*keys/20 || sent.Load() != 3*keys*19/20 {
		t.Errorf("answers: got %d sent and %d unknown, want %d and %d", sent.Load(), unknown.Load(), 3*keys*19/20, 3*keys/20)
	}
}

// TestQueuedSendsOutliveTheFile: what was queued before the file was closed is sent after, once and in order.
func TestQueuedSendsOutliveTheFile(t *testing.T) {
	t.Parallel()
	im, dir := newRealIM(t, 0), t.TempDir()
	const each = 30
	var ids []string
	s, undo := openReal(t, dir, im)
	for i := range each {
		for _, to := range []string{"wxid_alice", "wxid_bob"} {
			req := request(fmt.Sprintf("%s %02d", to, i))
			req.To = to
			rep, err := s.Enqueue(t.Context(), req)
			if err != nil {
				t.Fatalf("enqueue: %v", err)
			}
			ids = append(ids, rep.ID)
		}
		if i%10 == 9 {
			undo()
			s, undo = openReal(t, dir, im)
		}
	}
	defer func() { undo() }()
	deadline := time.Now().Add(20 * time.Second)
	for _, id := range ids {
		for {
			rep, err := s.Lookup(t.Context(), "openclaw", id)
			if err != nil {
				t.Fatalf("lookup: %v", err)
			}
			if rep.Status == outbound.StatusSent {
				break
			}
			if rep.Status != outbound.StatusQueued || time.Now().After(deadline) {
				t.Fatalf("status of %s: got %+v, want sent", id, rep)
			}
			pass(5 * time.Millisecond)
		}
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	for to, texts := range im.order {
		for i, text := range texts {
			if want := fmt.Sprintf("%s %02d", to, i); text != want || len(texts) != each {
				t.Fatalf("message %d of %d: got %q, want %q of %d", i, len(texts), text, want, each)
			}
		}
	}
}

func BenchmarkSend(b *testing.B) {
	im := newRealIM(b, 0)
	s, undo := openReal(b, b.TempDir(), im)
	defer undo()
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			req := keyed(fmt.Sprint(i), "hello")
			req.To = fmt.Sprint(i % 1000)
			if _, err := s.Send(context.WithoutCancel(b.Context()), req); err != nil {
				b.Errorf("send: %v", err)
			}
		}
	})
}
