package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// store is where the relay under test keeps its messages.
type store struct {
	name string
	// fsync is the appendfsync of the Redis; empty: the embedded store.
	fsync string
}

var (
	embedded = store{name: "embedded"}
	always   = store{name: "redis-always", fsync: "always"}
	everysec = store{name: "redis-everysec", fsync: "everysec"}

	// redises are those on Redis: one that loses nothing at a power cut, as the embedded store, and one that may lose a
	// second.
	redises = []store{always, everysec}
	// safe are those that lose nothing.
	safe = []store{embedded, always}
)

// of names what is measured and where it was kept.
func (s store) of(what string) string {
	if s.fsync == "" {
		return what
	}
	return what + ", " + strings.Replace(s.name, "-", " ", 1)
}

// open starts what the store needs.
func (s store) open(tb testing.TB) *backing {
	tb.Helper()
	if s.fsync == "" {
		return &backing{}
	}
	host, port, err := net.SplitHostPort(freeAddr(tb))
	if err != nil {
		tb.Fatal(err)
	}
	// A rewrite of the file would fall into one round and not into another. The files of a round are small.
	r := redistest.Start(tb, "--appendfsync", s.fsync, "--auto-aof-rewrite-percentage", "0",
		"--hash-max-listpack-value", "256", "--bind", host, "--port", port)
	b := &backing{socket: r.Socket(), host: host, port: port, url: "redis://" + net.JoinHostPort(host, port)}
	if shards := os.Getenv("BENCH_SHARDS"); shards != "" {
		b.url += "?shards=" + url.QueryEscape(shards)
	}
	pid := b.number(tb, "server", "process_id")
	b.pids = []int{int(pid)}
	return b
}

// backing is the Redis behind relays, which use it over TCP; with the embedded store all is empty.
type backing struct {
	host, port, url string
	// socket is for questions of ours.
	socket string
	pids   []int
}

// env is what a relay is told of it.
func (b *backing) env() []string {
	if b.url == "" {
		return nil
	}
	return []string{"IMRELAY_REDIS=" + b.url}
}

// memory is what all of Redis has resident, in MB.
func (b *backing) memory() (mb float64) {
	for _, pid := range b.pids {
		now, _ := memory(pid)
		mb += now
	}
	return mb
}

// number asks Redis for one figure that INFO has.
func (b *backing) number(tb testing.TB, section, field string) float64 {
	tb.Helper()
	text, err := ask(b.socket, "INFO "+section)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := infoField(text, field)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// ask sends one command of single words to a Redis and returns its bulk reply.
func ask(socket, command string) (string, error) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "unix", socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprint(c, command+"\r\n"); err != nil {
		return "", err
	}
	r := bufio.NewReader(c)
	head, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	head = strings.TrimSpace(head)
	size, bulk := strings.CutPrefix(head, "$")
	if !bulk {
		return strings.TrimLeft(head, "+:"), nil
	}
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 {
		return "", fmt.Errorf("redis answered %q", head)
	}
	text := make([]byte, n)
	for got := 0; got < n; {
		k, err := r.Read(text[got:])
		if err != nil {
			return "", err
		}
		got += k
	}
	return string(text), nil
}

// infoField finds a number in what INFO tells.
func infoField(text, field string) (float64, error) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == field {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("INFO has no %s: %w", field, os.ErrNotExist)
}
