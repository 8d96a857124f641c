package connector_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

func TestClean(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, want string
	}{
		{"plain", "no such friend", "no such friend"},
		{"secret", "bad token tok-123", "bad token …"},
		{"URL", "POST https://im.example/send?key=abc failed", "POST … failed"},
		{"lines and controls", " a\r\nb\x00\x1b[31mc ", "a  b[31mc"},
		{"not UTF-8", "a\xffb", "ab"},
		{"long", strings.Repeat("长", 300), strings.Repeat("长", 199) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := connector.Clean(tt.in, 200, "tok-123", "")
			if got != tt.want || !utf8.ValidString(got) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	header := func(v string) http.Header { return http.Header{"Retry-After": {v}} }
	tests := []struct {
		name string
		in   egress.Answer
		want time.Duration
	}{
		{"nothing", egress.Answer{}, 0},
		{"seconds", egress.Answer{Header: header("14")}, 14 * time.Second},
		{"the header goes before the body", egress.Answer{Header: header("14"), Body: []byte(`{"retry_after":3}`)}, 14 * time.Second},
		{"garbage", egress.Answer{Header: header("soon"), Body: []byte(`{"retry_after":"soon"}`)}, 0},
		{"a text with digits", egress.Answer{Body: []byte(`{"retry_after":"3"}`)}, 3 * time.Second},
		{"below nothing", egress.Answer{Body: []byte(`{"retry_after":-3}`)}, 0},
		{"no JSON", egress.Answer{Body: []byte(`<html>`)}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := connector.Wait(tt.in); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
