package bench

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
)

// result is one line of the table.
type result struct {
	// goal is the target's name; what is what was measured.
	goal, what string
	// ours and theirs are the two figures in words; theirs is empty where nothing is compared.
	ours, theirs string
	// value is what the target is about: a ratio, a time, a size.
	value float64
	unit  string
	// atLeast and atMost are the target; both 0: there is none.
	atLeast, atMost float64
	// rival is whose theirs is, where it is not whom the table is headed with.
	rival string
	// cpu is the CPU time in µs a message: the relay's, that of the Redis behind it, and theirs; 0: not known.
	cpu, storeCPU, rivalCPU float64
	// foreign is the share of the machine that others had meanwhile.
	foreign float64
}

func (r *result) target() string {
	switch {
	case r.atLeast > 0:
		return fmt.Sprintf("≥ %g", r.atLeast)
	case r.atMost > 0:
		return fmt.Sprintf("≤ %g", r.atMost)
	}
	return ""
}

func (r *result) verdict() string {
	switch {
	case r.atLeast == 0 && r.atMost == 0:
		return ""
	case r.value >= r.atLeast && (r.atMost == 0 || r.value <= r.atMost):
		return "met"
	}
	return "missed"
}

// table gathers the results of all benchmarks of the process.
type table struct {
	mu     sync.Mutex
	rows   []result
	before string // the load average at the start
	rival  string // the name of what the relay was compared with
}

var results table

func (t *table) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// compared notes what the relay is compared with.
func (t *table) compared(rival string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rival = rival
}

// write prints the table, if there is one.
func (t *table) write(out io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rows) == 0 {
		return
	}
	rival := t.rival
	if rival == "" {
		rival = "the other"
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "goal\twhat\timrelay\t%s\tfigure\ttarget\t\tCPU µs\tredis\t(%s)\tothers\n", rival, rival)
	slices.SortStableFunc(t.rows, func(a, b result) int { return goalNumber(a.goal) - goalNumber(b.goal) })
	for _, r := range t.rows {
		theirs := r.theirs
		if r.rival != "" && r.rival != rival {
			theirs += " " + r.rival
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f%%\n", r.goal, r.what, r.ours, theirs,
			figure(r.value)+r.unit, r.target(), r.verdict(), dash(r.cpu), dash(r.storeCPU), dash(r.rivalCPU), 100*r.foreign)
	}
	if err := w.Flush(); err != nil {
		return
	}
	t.notes(out)
}

// notes say what the reader must know to believe the table.
func (t *table) notes(out io.Writer) {
	fmt.Fprintf(out, "\nothers: the share of the machine that other processes used meanwhile; load average %s before, %s after\n",
		orUnknown(t.before), orUnknown(loadAverage()))
	if t.rival == "floor" {
		fmt.Fprintln(out, "NO NGINX HERE: ratios are against a reverse proxy of net/http, and say nothing of the targets")
	}
	if hostBusy() == 0 {
		fmt.Fprintln(out, "NO /proc HERE: CPU and memory are not measured")
	}
	if inMemory(os.TempDir()) {
		fmt.Fprintln(out, "DATA IN MEMORY: the temporary folder keeps nothing, so durability cost nothing; set TMPDIR to a disk")
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// figure shows a value with three digits that count.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func dash(v float64) string {
	if v == 0 {
		return "-"
	}
	return figure(v)
}

// goalNumber orders G2 before G10.
func goalNumber(goal string) (n int) {
	for _, c := range goal {
		if c >= '0' && c <= '9' {
			n = n*10 + int(c-'0')
		}
	}
	if n == 0 {
		return 1000
	}
	return n
}
