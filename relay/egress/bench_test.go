package egress_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/egress"
)

// serveLean answers every request of 1 KiB without looking at it, so that a benchmark measures the client.
func serveLean(tb testing.TB) string {
	tb.Helper()
	ln := listen(tb)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerLean(c)
		}
	}()
	return "http://" + ln.Addr().String() + "/wechat_abot/webhook"
}

func answerLean(c net.Conn) {
	defer func() { _ = c.Close() }()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 29 Dec 2025 12:26:40 GMT\r\n" +
		"Content-Length: 11\r\n\r\n{\"ok\":true}")
	buf := make([]byte, 16<<10)
	for {
		have, want := 0, -1
		for want < 0 || have < want {
			n, err := c.Read(buf[have:])
			if err != nil {
				return
			}
			have += n
			if i := bytes.Index(buf[:have], []byte("\r\n\r\n")); want < 0 && i >= 0 {
				want = i + 4 + 1024
			}
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func benchCall(url string) egress.Call {
	return egress.Call{
		Method: http.MethodPost, URL: url, Body: bytes.Repeat([]byte("x"), 1024), Timeout: 5 * time.Second,
		Header: http.Header{
			"Content-Type":            {"application/json"},
			"X-Wechat-Abot-Signature": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
			"X-Relay-Event-Id":        {"evt_0198c0de-0000-7000-8000-000000000000"},
			"X-Relay-Attempt":         {"1"},
		},
	}
}

// BenchmarkDo measures calls one after the other and from many goroutines, and http.Client's beside them: this package
// is worth its lines only while it costs clearly less.
func BenchmarkDo(b *testing.B) {
	own := egress.New(egress.Options{})
	b.Cleanup(own.Close)
	std := &http.Client{Transport: &http.Transport{
		MaxIdleConns: 1024, MaxIdleConnsPerHost: 512, DisableCompression: true, WriteBufferSize: 8 << 10,
	}}
	b.Cleanup(std.CloseIdleConnections)
	for _, row := range []struct {
		name string
		do   func(ctx context.Context, call egress.Call) error
	}{
		{"own", func(ctx context.Context, call egress.Call) error {
			_, err := own.Do(ctx, call)
			return err
		}},
		{"http.Client", func(ctx context.Context, call egress.Call) error { return doStd(ctx, std, call) }},
	} {
		call := benchCall(serveLean(b))
		b.Run(row.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := row.do(b.Context(), call); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(row.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := row.do(b.Context(), call); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// doStd makes the same call with net/http.
func doStd(ctx context.Context, c *http.Client, call egress.Call) error {
	ctx, cancel := context.WithTimeout(ctx, call.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, call.Method, call.URL, bytes.NewReader(call.Body))
	if err != nil {
		return err
	}
	req.Header = call.Header
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	_, err = io.ReadAll(io.LimitReader(resp.Body, egress.MaxAnswer))
	return errors.Join(err, resp.Body.Close())
}
