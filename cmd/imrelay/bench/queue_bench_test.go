package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// writers is how many put into a store at a time.
const writers = 64

// BenchmarkQueue is the embedded store alone: an event put, taken and marked as delivered, against a file to which the
// same bytes are only appended.
func BenchmarkQueue(b *testing.B) {
	job, body := openQueue(b), inbound(small).body
	file := openLog(b)
	c := compete(func(d time.Duration) slot {
		return crew{writers: writers, length: d}.run(b, func(writer, i int) error { return job.cycle(writer, i, body) })
	}, func(d time.Duration) slot {
		return crew{writers: writers, length: d}.run(b, func(int, int) error { return file.put(body) })
	})
	c.throughput(b, "G6", "queue alone, 64 writers, against a growing file", 0.25)
}

// crew is goroutines of this process that use a store.
type crew struct {
	writers int
	length  time.Duration
	// on has the processes of the store, if it has some.
	on server
}

// run calls fn from all writers until the time is over.
func (c crew) run(b *testing.B, fn func(writer, i int) error) slot {
	b.Helper()
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		s     slot
		fault error
	)
	before, began := look(c.on), time.Now()
	for w := range c.writers {
		group.Go(func() {
			n, err := 0, error(nil)
			for ; err == nil && time.Since(began) < c.length; n++ {
				err = fn(w, n)
			}
			mu.Lock()
			defer mu.Unlock()
			s.sent += int64(n)
			if err != nil {
				fault = err
			}
		})
	}
	group.Wait()
	s.took = time.Since(began)
	if fault != nil {
		b.Fatal(fault)
	}
	used := look(c.on).since(before)
	s.name, s.rate, s.foreign = c.on.name, s.perSecond(), used.foreign(s.took)
	s.cpu, s.store = each(used.self, s.sent), each(used.store, s.sent)
	return s
}

// lifecycles is a queue under test.
type lifecycles struct {
	queue *sqlitequeue.Queue
	count atomic.Uint64
}

func openQueue(b *testing.B) *lifecycles {
	b.Helper()
	ctx := context.Background()
	file, err := sqlitefile.Open(ctx, sqlitefile.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = file.Close() })
	q, err := sqlitequeue.Open(ctx, file, sqlitequeue.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = q.Close() })
	return &lifecycles{queue: q}
}

// cycle is one event's life. Whose event a writer gets to take is left to the queue.
func (l *lifecycles) cycle(writer, i int, body []byte) error {
	ctx := context.Background()
	n := l.count.Add(1)
	conv := "wxid_peer" + strconv.Itoa(writer+writers*(i%(conversations/writers)))
	placed, err := l.queue.Put(ctx, queue.Job{
		ID: fmt.Sprintf("evt_%020d", n), Key: queue.Key{Account: "wechat", Conversation: conv, Identity: strconv.FormatUint(n, 10)},
		Lane: queue.Lane{Agent: "openclaw", Account: "wechat", Conversation: conv}, Body: body,
	})
	if err != nil {
		return err
	}
	if len(placed) != 1 || !placed[0].Fresh {
		return fmt.Errorf("put: got %+v, want one fresh job", placed)
	}
	for {
		got, err := l.queue.Take(ctx, queue.Want{Agent: "openclaw", Max: 1})
		if err != nil {
			return err
		}
		if len(got.Leases) == 1 {
			return l.queue.Settle(ctx, got.Leases[0], queue.Verdict{Action: queue.Ack, Status: 200})
		}
		runtime.Gosched() // all that can be taken is with the others; what they take in return can be taken at once
	}
}

// growingLog is the least that a durable store can do: records are appended to a file, and whatever has gathered is
// made durable together. It finds, orders and removes nothing.
type growingLog struct {
	file *os.File
	wake chan struct{}

	mu   sync.Mutex
	next *cluster
}

// cluster is the records that become durable together.
type cluster struct {
	records []byte
	done    chan struct{}
	err     error
}

func openLog(b *testing.B) *growingLog {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	l := &growingLog{file: f, wake: make(chan struct{}, 1), next: &cluster{done: make(chan struct{})}}
	var group sync.WaitGroup
	group.Go(l.write)
	b.Cleanup(func() {
		close(l.wake)
		group.Wait()
		f.Close()
	})
	return l
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// put returns when the record is durable.
func (l *growingLog) put(record []byte) error {
	sum := crc32.Checksum(record, castagnoli)
	l.mu.Lock()
	c := l.next
	c.records = binary.LittleEndian.AppendUint32(c.records, uint32(len(record)))
	c.records = binary.LittleEndian.AppendUint32(c.records, sum)
	c.records = append(c.records, record...)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	<-c.done
	return c.err
}

func (l *growingLog) write() {
	var spare []byte
	for range l.wake {
		fresh := &cluster{done: make(chan struct{}), records: spare[:0]}
		l.mu.Lock()
		c := l.next
		l.next = fresh
		l.mu.Unlock()
		if _, c.err = l.file.Write(c.records); c.err == nil {
			c.err = syncData(l.file)
		}
		spare = c.records
		close(c.done)
	}
}
