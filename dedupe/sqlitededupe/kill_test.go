package sqlitededupe_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

const (
	rounds   = 20
	childDir = "SQLITEDEDUPE_TEST_DIR"
	childDo  = "SQLITEDEDUPE_TEST_DO"
	childKey = "SQLITEDEDUPE_TEST_KEY"
)

// TestMain is also the process that is killed: it goes to the step that it is told, says so, and waits.
func TestMain(m *testing.M) {
	if os.Getenv(childDir) == "" {
		os.Exit(m.Run())
	}
	if err := child(context.Background()); err != nil {
		os.Exit(say("error", err.Error()))
	}
}

// say tells the parent, and returns the exit code of one that was not killed.
func say(word, what string) int {
	if _, err := fmt.Fprintln(os.Stdout, word, what); err != nil {
		return 2
	}
	return 1
}

func child(ctx context.Context) error {
	file, err := sqlitefile.Open(ctx, sqlitefile.Options{Dir: os.Getenv(childDir)})
	if err != nil {
		return err
	}
	l, err := sqlitededupe.New(ctx, file, sqlitededupe.Options{Window: window})
	if err != nil {
		return err
	}
	key := os.Getenv(childKey)
	if do := os.Getenv(childDo); do != "many" {
		if err := steps[do].do(ctx, l, key); err != nil {
			return err
		}
		say("reached", do)
		_, err = io.ReadAll(os.Stdin) // never ends: the parent kills
		return err
	}
	return sendMany(ctx, l, key)
}

// sendMany sends until it is killed, and says each step that it has made.
func sendMany(ctx context.Context, l *sqlitededupe.Ledger, round string) error {
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for g := range cap(errs) {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%s-%d-%d", round, g, i)
				e, err := l.Claim(ctx, claimOf(key))
				if err == nil {
					err = l.Start(ctx, e, []byte("under way"))
				}
				if err != nil {
					errs <- err
					return
				}
				say("started", key)
				if err := l.Finish(ctx, e, dedupe.Done, []byte("sent "+key)); err != nil {
					errs <- err
					return
				}
				say("done", key)
			}
		})
	}
	wg.Wait()
	return <-errs
}

type killStep struct {
	do     func(ctx context.Context, l *sqlitededupe.Ledger, key string) error
	want   dedupe.Status
	record string
}

// then goes on from an entry that do returns.
func then(
	do func(ctx context.Context, l *sqlitededupe.Ledger, key string) (dedupe.Entry, error),
	more ...func(ctx context.Context, l *sqlitededupe.Ledger, e dedupe.Entry) error,
) func(ctx context.Context, l *sqlitededupe.Ledger, key string) error {
	return func(ctx context.Context, l *sqlitededupe.Ledger, key string) error {
		e, err := do(ctx, l, key)
		for _, f := range more {
			if err == nil {
				err = f(ctx, l, e)
			}
		}
		return err
	}
}

func claimStep(ctx context.Context, l *sqlitededupe.Ledger, key string) (dedupe.Entry, error) {
	return l.Claim(ctx, claimOf(key))
}

func takeStep(ctx context.Context, l *sqlitededupe.Ledger, key string) (dedupe.Entry, error) {
	c := queuedOf(key)
	c.Lane = "lane of " + key
	if _, err := l.Claim(ctx, c); err != nil {
		return dedupe.Entry{}, err
	}
	for {
		es, err := l.Take(ctx, 1)
		if err != nil || len(es) == 0 || es[0].Key == key {
			return append(es, dedupe.Entry{})[0], err
		}
	}
}

func startStep(ctx context.Context, l *sqlitededupe.Ledger, e dedupe.Entry) error {
	return l.Start(ctx, e, []byte("under way"))
}

func noteStep(ctx context.Context, l *sqlitededupe.Ledger, e dedupe.Entry) error {
	return l.Note(ctx, e, []byte("1 sent"))
}

func finishStep(ctx context.Context, l *sqlitededupe.Ledger, e dedupe.Entry) error {
	return l.Finish(ctx, e, dedupe.Done, []byte("sent"))
}

func releaseStep(ctx context.Context, l *sqlitededupe.Ledger, e dedupe.Entry) error {
	return l.Release(ctx, e, []byte("1 sent"))
}

// steps are where the process is killed, and what a claim of the key then finds.
var steps = map[string]killStep{
	"claim":          {then(claimStep), dedupe.Claimed, ""},
	"start":          {then(claimStep, startStep), dedupe.Unknown, "under way"},
	"note":           {then(claimStep, startStep, noteStep), dedupe.Claimed, "1 sent"},
	"finish":         {then(claimStep, startStep, finishStep), dedupe.Done, "sent"},
	"release":        {then(claimStep, startStep, releaseStep), dedupe.Claimed, "1 sent"},
	"take":           {then(takeStep), dedupe.Waiting, ""},
	"queued start":   {then(takeStep, startStep), dedupe.Unknown, "under way"},
	"queued note":    {then(takeStep, startStep, noteStep), dedupe.Waiting, "1 sent"},
	"queued finish":  {then(takeStep, startStep, finishStep), dedupe.Done, "sent"},
	"queued release": {then(takeStep, startStep, releaseStep), dedupe.Waiting, "1 sent"},
}

// A process that is killed after a step leaves what the step promised, round after round in one file.
func TestKilledAfterEachStep(t *testing.T) {
	t.Parallel()
	for name, s := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for round := range rounds {
				key := fmt.Sprintf("k%d", round)
				killed(t, dir, name, key, func(line string) bool { return strings.HasPrefix(line, "reached") })
				d := openDisk(t, dir, sqlitededupe.Options{Window: window})
				for earlier := range round + 1 {
					want := s.want
					if want == dedupe.Claimed && earlier < round {
						continue // this test claimed it, a round ago
					}
					key := fmt.Sprintf("k%d", earlier)
					if e := claim(t, d.ledger, claimOf(key), want); string(e.Record) != s.record {
						t.Fatalf("record of %s: got %q, want %q", key, e.Record, s.record)
					}
				}
				d.close(t)
			}
		})
	}
}

// A process that is killed in the middle of many sends at once has lost none of what it said: what was done is done,
// and what was started is never free.
func TestKilledAmongMany(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range rounds {
		said := map[string]string{}
		killed(t, dir, "many", fmt.Sprintf("r%d", round), func(line string) bool {
			word, key, _ := strings.Cut(line, " ")
			if word == "error" {
				t.Fatalf("child: %s", line)
			}
			if said[key] != "done" {
				said[key] = word
			}
			return len(said) > 5*(round+1)
		})
		d := openDisk(t, dir, sqlitededupe.Options{Window: window})
		for key, word := range said {
			e, err := d.ledger.Claim(t.Context(), claimOf(key))
			must(t, err)
			done := e.Status == dedupe.Done && string(e.Record) == "sent "+key
			unknown := e.Status == dedupe.Unknown && string(e.Record) == "under way"
			if !done && (word == "done" || !unknown) {
				t.Fatalf("%s, of which %q was said: got %v with %q", key, word, e.Status, e.Record)
			}
		}
		d.close(t)
	}
}

// killed runs the child until enough says that a line of it was the last one needed, and kills it.
func killed(t *testing.T, dir, do, key string, enough func(line string) bool) {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childDo+"="+do, childKey+"="+key)
	_, err = cmd.StdinPipe() // open until it is killed
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	reached := false
	for !reached && lines.Scan() {
		reached = enough(lines.Text())
	}
	kill := cmd.Process.Kill()
	for lines.Scan() {
		enough(lines.Text()) // what was said before the kill counts
	}
	wait := cmd.Wait()
	if !reached || kill != nil {
		t.Fatalf("child at %s: reached %t, kill %v, wait %v", do, reached, kill, wait)
	}
}
