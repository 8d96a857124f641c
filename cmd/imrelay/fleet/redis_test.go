//go:build unix

package fleet_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// Redis goes away under load and comes back with what it had. Meanwhile nothing is promised, and said soon.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		away, back func(s *redistest.Server)
	}{
		{"killed", (*redistest.Server).Kill, (*redistest.Server).Restart},
		{"frozen", (*redistest.Server).Freeze, (*redistest.Server).Thaw},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			f := newFleet(t, 2, s.URL(""), "")
			f.load()
			f.run(time.Second)
			var outages []span
			var unready []time.Duration
			for range 3 {
				release, _ := f.held("a")
				f.agent.Fault()
				row.away(s)
				began := time.Now()
				release()
				f.run(500 * time.Millisecond)
				unready = append(unready, f.unready(2*time.Second)...)
				outages = append(outages, span{began, time.Now()})
				row.back(s)
				f.run(2 * time.Second)
			}
			f.sentOnce()
			c := f.quiet()
			sum := f.verify(c)
			for _, o := range outages {
				sum.Slowest -= o.to.Sub(o.from) / time.Duration(len(outages))
			}
			if sum.Slowest > atLast {
				t.Errorf("delivered %s later than the outage explains, want at most %s", sum.Slowest, atLast)
			}
			f.resumed(c.Accepted, outages)
			f.outage("pushes", f.feed.Refused())
			f.outage("sends", slices.DeleteFunc(f.sends.Refused(), func(r fleettest.Refused) bool {
				return r.Code() == "in_progress" // after the outage, while nobody knows what became of the first try
			}))
			f.prompt("readyz without the store", unready)
			f.answered()
		})
	}
}

// span is a time when Redis was away.
type span struct{ from, to time.Time }

// unready asks for the readiness of all relays while the store is away. It returns how long the answers took.
func (f *fleet) unready(d time.Duration) (took []time.Duration) {
	f.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, r := range f.relays {
			a := r.Ask(f.t.Context(), http.MethodGet, "/readyz", nil, nil)
			if took = append(took, a.Took); a.Status != http.StatusServiceUnavailable {
				f.t.Errorf("readyz of relay %s: got %s, want 503", r.Name, a)
			}
		}
		f.run(100 * time.Millisecond)
	}
	return took
}

// resumed checks that nothing was promised during the outages, and that relaying went on soon after each.
func (f *fleet) resumed(accepted [][]fleettest.Accepted, outages []span) {
	f.t.Helper()
	// What was asked before the outage may be answered from what Redis said before it.
	const underway = 300 * time.Millisecond
	promised, delivered := make([]time.Duration, len(outages)), make([]time.Duration, len(outages))
	for i, o := range outages {
		after := map[string]bool{}
		promised[i], delivered[i] = fleettest.Patience, fleettest.Patience
		for _, a := range slices.Concat(accepted...) {
			if a.Asked.After(o.from.Add(underway)) && a.At.Before(o.to) {
				f.t.Errorf("%s was promised without the store", a.ID)
			}
			if a.Asked.After(o.from) && a.At.After(o.to) {
				after[a.ID] = true
				promised[i] = min(promised[i], a.At.Sub(o.to))
			}
		}
		for _, l := range f.agent.Landed() {
			if after[l.Event] && l.At.After(o.to) {
				delivered[i] = min(delivered[i], l.At.Sub(o.to))
			}
		}
	}
	f.prompt("the first promise after an outage", promised)
	f.prompt("the first delivery after an outage", delivered)
}

// Redis loses everything under load. What is accepted afterwards arrives, and nothing waits for what is gone.
func TestRedisEmptied(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		args  []string
		empty func(t *testing.T, s *redistest.Server)
	}{
		{"flushed", nil, func(t *testing.T, s *redistest.Server) {
			t.Helper()
			if err := s.Client().FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}},
		{"restarted without persistence", []string{"--appendonly", "no"}, func(_ *testing.T, s *redistest.Server) {
			s.Kill()
			s.Restart()
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, row.args...)
			f := newFleet(t, 2, s.URL(""), "")
			f.feed.Forgets = true
			f.load()
			var emptied time.Time
			for range 2 {
				f.run(time.Second)
				release, _ := f.held("a")
				f.agent.Fault()
				row.empty(t, s)
				emptied = time.Now()
				release()
			}
			f.run(3 * time.Second)
			sent := f.sends.Stop()
			c := f.quiet()
			c.Forgotten = emptied
			f.verify(c)
			f.resumed(c.Accepted, []span{{emptied, emptied}})
			f.answered()
			if !slices.ContainsFunc(sent, func(s fleettest.Sent) bool { return s.Status == 200 && s.At.After(emptied) }) {
				t.Error("nothing was sent after Redis was emptied")
			}
		})
	}
}
