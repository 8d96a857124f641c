package doctor_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/doctor"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
)

var now = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// patient is a relay with one agent at a URL, stopped, on a fresh folder.
func patient(t *testing.T, kind, url string) doctor.Patient {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only to find a free port
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := fmt.Sprintf("listen: %s\ndata: %q\nims: {wechat: {format: wechat}}\nagents: {one: {kind: %s, url: %q, "+
		"secret: 0d9f2c7be1a84f5a}}\n", l.Addr(), filepath.Join(t.TempDir(), "data"), kind, url)
	cfg, err := config.Parse("imrelay.yaml", []byte(file), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return doctor.Patient{Config: cfg, Now: now}
}

// examine returns the findings as "state name: detail; fix" lines.
func examine(t *testing.T, p doctor.Patient) string {
	t.Helper()
	var told []doctor.Finding
	findings := doctor.Examine(t.Context(), p, func(f doctor.Finding) { told = append(told, f) })
	if len(told) != len(findings) {
		t.Errorf("told %d of %d findings", len(told), len(findings))
	}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s: %s; %s\n", f.State, f.Name, f.Detail, f.Fix)
		if (f.Fix == "") != (f.State == doctor.OK) {
			t.Errorf("%s %s has the fix %q", f.State, f.Name, f.Fix)
		}
	}
	return b.String()
}

// agent starts an agent that answers with a status and a date.
func agent(t *testing.T, status int, date time.Time) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("%s was asked", r.URL.Path)
		}
		w.Header().Set("Date", date.UTC().Format(http.TimeFormat))
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/wechat_abot/webhook"
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		make func(t *testing.T) doctor.Patient
		want string
	}{
		{"all is well", func(t *testing.T) doctor.Patient {
			t.Helper()
			return patient(t, "openclaw", agent(t, 200, time.Now()))
		}, "ok agent one: /healthz answers 200"},
		{"an agent that is still starting", func(t *testing.T) doctor.Patient {
			t.Helper()
			return patient(t, "openclaw", agent(t, 503, time.Now()))
		}, "warn agent one: /healthz answers 503"},
		{"an agent with another clock", func(t *testing.T) doctor.Patient {
			t.Helper()
			return patient(t, "openclaw", agent(t, 200, time.Now().Add(-time.Hour)))
		}, "warn agent one: its clock is 1h0m"},
		{"a webhook is not asked", func(t *testing.T) doctor.Patient {
			t.Helper()
			return patient(t, "webhook", agent(t, 200, time.Now()))
		}, "takes connections"},
		{"loopback in a container, and somebody is there", func(t *testing.T) doctor.Patient {
			t.Helper()
			p := patient(t, "openclaw", agent(t, 200, time.Now()))
			p.Container = true
			return p
		}, "ok agent one: /healthz answers 200"},
		{"loopback in a container, and nobody is there", func(t *testing.T) doctor.Patient {
			t.Helper()
			p := patient(t, "webhook", "http://127.0.0.1:1/hook")
			p.Container = true
			return p
		}, "connection refused; inside a container 127.0.0.1 is the container itself"},
		{"nobody there", func(t *testing.T) doctor.Patient {
			t.Helper()
			return patient(t, "webhook", "http://127.0.0.1:1/hook")
		}, "fail agent one: 127.0.0.1:1 cannot be reached: connection refused"},
		{"a clock that was never set", func(t *testing.T) doctor.Patient {
			t.Helper()
			p := patient(t, "webhook", "http://127.0.0.1:1/hook")
			p.Now = time.Unix(0, 0)
			return p
		}, "fail clock: it shows 1970-01-01"},
		{"a file in place of the folder", func(t *testing.T) doctor.Patient {
			t.Helper()
			p := patient(t, "webhook", "http://127.0.0.1:1/hook")
			if err := os.WriteFile(p.Config.Data, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return p
		}, "fail data: "},
		{"a running relay that does not answer", func(t *testing.T) doctor.Patient {
			t.Helper()
			p := patient(t, "webhook", "http://127.0.0.1:1/hook")
			p.Running = &daemon.RunFile{PID: 1, URL: "http://127.0.0.1:1"}
			return p
		}, "fail relay: it does not say whether it is ready"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := examine(t, row.make(t)); !strings.Contains(got, row.want) {
				t.Errorf("got\n%swant %q", got, row.want)
			}
		})
	}
}

func TestExposedAccounts(t *testing.T) {
	t.Parallel()
	p := patient(t, "webhook", "http://127.0.0.1:1/hook")
	p.Config.Listen = "0.0.0.0:0"
	if got, want := examine(t, p), "warn im wechat: anybody who reaches 0.0.0.0:0"; !strings.Contains(got, want) {
		t.Errorf("got\n%swant %q", got, want)
	}
}

func TestWorst(t *testing.T) {
	t.Parallel()
	ok, warn, fail := doctor.Finding{State: doctor.OK}, doctor.Finding{State: doctor.Warn}, doctor.Finding{State: doctor.Fail}
	for _, row := range []struct {
		name string
		in   []doctor.Finding
		want doctor.State
	}{
		{"nothing", nil, doctor.OK},
		{"ok", []doctor.Finding{ok, ok}, doctor.OK},
		{"warned", []doctor.Finding{ok, warn, ok}, doctor.Warn},
		{"failed, then warned", []doctor.Finding{fail, warn}, doctor.Fail},
		{"warned, then failed", []doctor.Finding{warn, fail}, doctor.Fail},
	} {
		if got := doctor.Worst(row.in); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}
