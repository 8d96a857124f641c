package demo_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/demo"
	"github.com/imrelay/imrelay/cmd/imrelay/term"
)

func TestRound(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		o     demo.Options
		wants []string
	}{
		{"plain", demo.Options{}, []string{"1  A private message", " --> relay", "   ok the signature is right", "claims held."}},
		{"terminal", demo.Options{Style: term.Coloured()}, []string{"──▶", "✓", "╭", "\x1b[32m"}},
		{"chinese", demo.Options{Chinese: true}, []string{"1  一条私聊消息", "签名正确", "检查全部成立"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			row.o.Out, row.o.Once = &out, true
			if err := demo.Run(t.Context(), row.o); err != nil {
				t.Fatalf("run: %v\n%s", err, out.String())
			}
			for _, want := range row.wants {
				if !strings.Contains(out.String(), want) {
					t.Errorf("got no %q in\n%s", want, out.String())
				}
			}
			if plain := row.o.Style.Plain(); plain == strings.Contains(out.String(), "\x1b") {
				t.Errorf("plain %t, and yet:\n%s", plain, out.String())
			}
		})
	}
}

// A demo that is told to stop in the middle says so, and leaves in time.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	err := demo.Run(ctx, demo.Options{Out: &out, Once: true})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}
