package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// The states of a dependency.
const (
	StateOK       = "ok"
	StateDegraded = "degraded"
	StateFailed   = "failed"
)

// HealthLine is what readyz says of one dependency.
type HealthLine struct {
	// Name is the dependency: "store", "agent openclaw".
	Name string `json:"name"`
	// State is ok, degraded (the relay does its work without it for now) or failed (it cannot).
	State string `json:"state"`
	// Detail says what is wrong, in words that are safe to show.
	Detail string `json:"detail,omitempty"`
}

// Health knows the state of what the relay depends on.
type Health interface {
	// Health returns one line for each dependency. It answers at once, from what is known.
	Health(ctx context.Context) []HealthLine
}

// readyJSON is readyz as JSON.
type readyJSON struct {
	Ready  bool         `json:"ready"`
	Checks []HealthLine `json:"checks"`
}

// healthz says that the process lives.
func healthz(c *call) error {
	return c.encodeJSON(http.StatusOK, struct {
		Status  string `json:"status"`
		Uptime  int64  `json:"uptime"`
		Version string `json:"version"`
	}{"healthy", int64(time.Since(c.s.started) / time.Second), c.s.o.Version})
}

// readyz says whether the relay can take work: one line for each dependency, as text, or as JSON to who accepts that.
func readyz(c *call) error {
	lines := c.s.o.Health.Health(c.r.Context())
	if c.s.isStopping() {
		lines = append([]HealthLine{{Name: "relay", State: StateFailed, Detail: "stopping"}}, lines...)
	}
	status := http.StatusOK
	for _, line := range lines {
		if line.State == StateFailed {
			status = http.StatusServiceUnavailable
		}
	}
	c.Header()["Cache-Control"] = noStore
	if strings.Contains(c.r.Header.Get("Accept"), "application/json") {
		return c.encodeJSON(status, readyJSON{Ready: status == http.StatusOK, Checks: lines})
	}
	return c.writeText(status, lines)
}

// writeText writes one line for each dependency.
func (c *call) writeText(status int, lines []HealthLine) error {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line.Name + ": " + line.State)
		if line.Detail != "" {
			b.WriteString(" (" + strings.ReplaceAll(line.Detail, "\n", " ") + ")")
		}
		b.WriteByte('\n')
	}
	c.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	c.WriteHeader(status)
	_, err := c.Write([]byte(b.String()))
	return err
}
