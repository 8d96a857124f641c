package signer_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
)

func BenchmarkSign(b *testing.B) {
	for name, s := range all(b, "bench secret") {
		for _, size := range []int{1 << 10, 100 << 10} {
			body := bytes.Repeat([]byte("x"), size)
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				h := make(http.Header, 8)
				b.ReportAllocs()
				for b.Loop() {
					s.Sign(h, "evt_0198c0de", now, body)
				}
			})
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1<<10)
	for name, s := range all(b, "bench secret") {
		b.Run(name, func(b *testing.B) {
			h := http.Header{}
			s.Sign(h, "evt_0198c0de", now, body)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Verify(h, body, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
