package metrics_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/metrics"
)

// scrape returns what a scraper sees.
func scrape(t *testing.T, r *metrics.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return w.Body.String()
}

// Everything that is told is served under its name.
func TestHandler(t *testing.T) {
	t.Parallel()
	r := metrics.New("1.2.3")
	r.Inbound("wechat", "accepted")
	r.Inbound("wechat", "accepted")
	r.Braked("wechat")
	r.Attempt("openclaw", "retry", 20*time.Millisecond)
	r.Delivered("openclaw", 3*time.Second)
	r.Ended("wechat", "sent", time.Second)
	r.Called("wechat", "throttled", time.Second)
	r.Held("wechat", 2*time.Second)
	r.Sampled(func(context.Context) ([]metrics.Sample, error) {
		return []metrics.Sample{{
			Name: "imrelay_queue_events", Help: "x", Labels: map[string]string{"state": "queued"}, Value: 7,
		}}, nil
	})
	got := scrape(t, r)
	for _, want := range []string{
		`imrelay_inbound_messages_total{im="wechat",result="accepted"} 2`,
		`imrelay_loop_pauses_total{im="wechat"} 1`,
		`imrelay_delivery_attempts_total{agent="openclaw",decision="retry"} 1`,
		`imrelay_delivery_attempt_seconds_bucket{agent="openclaw",le="0.025"} 1`,
		`imrelay_delivery_attempt_seconds_bucket{agent="openclaw",le="0.01"} 0`,
		`imrelay_delivery_seconds_sum{agent="openclaw"} 3`,
		`imrelay_outbound_sends_total{im="wechat",outcome="sent"} 1`,
		`imrelay_outbound_calls_total{im="wechat",outcome="throttled"} 1`,
		`imrelay_outbound_held_seconds_sum{im="wechat"} 2`,
		`imrelay_queue_events{state="queued"} 7`,
		`imrelay_build_info{version="1.2.3"} 1`,
		`go_goroutines`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %s in\n%s", want, got)
		}
	}
}

// A store that does not answer costs its own samples and no others.
func TestFailingSamples(t *testing.T) {
	t.Parallel()
	r := metrics.New("1")
	r.Sampled(func(context.Context) ([]metrics.Sample, error) { return nil, errors.New("away") })
	if got := scrape(t, r); !strings.Contains(got, "imrelay_build_info") {
		t.Errorf("got\n%s", got)
	}
}
