package sqlitequeue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// The test binary is also the other process of these tests: what it does is told by the environment.
const (
	envRole = "IMRELAY_TEST_ROLE"
	envDir  = "IMRELAY_TEST_DIR"
	envFrom = "IMRELAY_TEST_FROM"
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(envRole) {
	case "":
		os.Exit(m.Run())
	case "lock":
		_, err = sqlitefile.Open(context.Background(), sqlitefile.Options{Dir: os.Getenv(envDir)})
	case "work":
		err = work(context.Background(), os.Getenv(envDir), os.Getenv(envFrom))
	}
	if err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		os.Exit(1)
	}
}

// child starts the test binary in a role and returns its output.
func child(t *testing.T, role, dir, from string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"="+role, envDir+"="+dir, envFrom+"="+from)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("start process: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start process: %v", err)
	}
	return cmd, out
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(t)
	cmd, out := child(t, "lock", w.files.Dir, "")
	said, err := io.ReadAll(out)
	if err != nil {
		t.Fatalf("read output: %v", err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("second process: got no error")
	}
	if want := fmt.Sprintf("locked by process %d\n", os.Getpid()); !strings.Contains(string(said), want) {
		t.Errorf("second process said %q, want %q in it", said, want)
	}
}

// work puts jobs and acks every other one until it is killed, and says what was acknowledged.
func work(ctx context.Context, dir, from string) error {
	f, err := sqlitefile.Open(ctx, sqlitefile.Options{Dir: dir})
	if err != nil {
		return err
	}
	q, err := sqlitequeue.Open(ctx, f, sqlitequeue.Options{})
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(from)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "ready", n)
	for {
		j := sample(n, 20)
		n++
		if _, err := q.Put(ctx, j); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "put", j.ID)
		if n%2 == 0 {
			continue
		}
		taken, err := q.Take(ctx, queue.Want{Agent: "crane", Max: 1, Troubled: 1})
		if err != nil {
			return err
		}
		for _, l := range taken.Leases {
			if err := q.Settle(ctx, l, queue.Verdict{Action: queue.Ack, Counted: true}); err != nil {
				return err
			}
			fmt.Fprintln(os.Stdout, "ack", l.Job.ID)
		}
	}
}

// TestKill kills a working process twenty times: whatever it said was done is done.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	said := map[string]string{}
	from := 0
	for range 20 {
		cmd, out := child(t, "work", dir, strconv.Itoa(from))
		lines, stop := bufio.NewScanner(out), 5+random.IntN(150)
		for n := 0; lines.Scan(); n++ {
			what, id, _ := strings.Cut(lines.Text(), " ")
			switch {
			case what == "error:":
				t.Fatalf("seed %d: process said %q", seed, lines.Text())
			case what != "ready":
				said[id] = what
			}
			if what == "put" {
				from++
			}
			if n == stop {
				if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
					t.Fatalf("kill: %v", err)
				}
			}
		}
		err := cmd.Wait()
		if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != -1 {
			t.Fatalf("seed %d: process ended with %v, want it killed", seed, err)
		}
		from++ // one may have been put and not said
	}
	w := newWorld(t)
	w.files.Dir, w.opts.Clock = dir, nil
	q := w.open(t)
	for id, what := range said {
		j, err := q.Get(t.Context(), id)
		if err != nil {
			t.Errorf("seed %d: Get of %s: %v", seed, id, err)
		}
		if what == "ack" && j.State != queue.Delivered {
			t.Errorf("seed %d: %s: got %v, want it delivered", seed, id, j.State)
		}
	}
	if len(said) < 100 {
		t.Errorf("jobs: got %d, want at least 100", len(said))
	}
}

// disk is a small one of the test's own.
type disk struct {
	t       *testing.T
	ballast string
	space   *sqlitefile.Space // where it could not be mounted
}

const diskSize = 20 << 20

// smallDisk puts the store on a disk of 20 MiB: a tmpfs where the test may mount one, else the file is told so.
func smallDisk(t *testing.T, o *sqlitefile.Options) *disk {
	t.Helper()
	at := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatalf("make folder: %v", err)
	}
	o.Dir = filepath.Join(at, "data")
	d := &disk{t: t, ballast: filepath.Join(at, "ballast")}
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, fmt.Sprint("size=", diskSize)); err != nil {
		d.space = &sqlitefile.Space{Free: diskSize, Total: diskSize}
		o.Space = func() (sqlitefile.Space, error) { return *d.space, nil }
		return d
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return d
}

// fill leaves so many bytes free.
func (d *disk) fill(left uint64) {
	d.t.Helper()
	if d.space != nil {
		d.space.Free = left
		return
	}
	d.empty()
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(d.ballast), &st); err != nil {
		d.t.Fatalf("look at disk: %v", err)
	}
	if err := os.WriteFile(d.ballast, make([]byte, st.Bavail*uint64(st.Bsize)-left), 0o600); err != nil {
		d.t.Fatalf("fill disk: %v", err)
	}
}

func (d *disk) empty() {
	d.t.Helper()
	if d.space != nil {
		d.space.Free = diskSize
	} else if err := os.Remove(d.ballast); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Fatalf("empty disk: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := smallDisk(t, &w.files)
	now := time.Unix(1_700_000_000, 0)
	w.files.Now = func() time.Time { return now }
	q := w.open(t)
	t.Cleanup(func() { w.close(t) })
	const jobs = 800
	for n := range jobs {
		put(t, q, sample(n, 1000))
	}
	ls := take(t, q)
	tests := []struct {
		name   string
		left   uint64
		settle []queue.Lease
		all    bool
	}{
		// So few that the log has room for each of them, should no checkpoint come by.
		{"under the reserve", 3 << 20, ls[:jobs/8], true},
		{"not a byte left", 0, ls[jobs/8:], false},
	}
	settled := map[string]bool{}
	for i, tt := range tests {
		d.fill(tt.left)
		now = now.Add(time.Second)
		if _, err := q.Put(t.Context(), sample(jobs+i, 1000)); !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("%s: Put: got %v, want %v", tt.name, err, queue.ErrUnavailable)
		}
		for _, l := range tt.settle {
			err := q.Settle(t.Context(), l, acked)
			settled[l.Job.ID] = err == nil
			if tt.all && err != nil || err != nil && !errors.Is(err, queue.ErrUnavailable) {
				t.Fatalf("%s: Settle: %v", tt.name, err)
			}
		}
	}
	d.empty()
	now = now.Add(time.Second)
	put(t, q, sample(2*jobs, 1000))
	q = w.reopen(t)
	for id, want := range settled {
		j, err := q.Get(t.Context(), id)
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		if got := j.State == queue.Delivered; got != want {
			t.Errorf("%s delivered: got %v, want %v", id, got, want)
		}
	}
}

// TestDiskFullUnseen lets the disk itself say that it is full: what was accepted is there, and it heals.
func TestDiskFullUnseen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := smallDisk(t, &w.files)
	if d.space != nil { // no disk of our own: commits fail instead, as they would there
		var commits int
		w.files.BeforeCommit = func() error {
			if commits++; d.space.Free == 0 && commits%2 == 0 {
				return syscall.ENOSPC
			}
			return nil
		}
	}
	w.files.Space = func() (sqlitefile.Space, error) { return sqlitefile.Space{Free: 1 << 40, Total: 1 << 41}, nil }
	q := w.open(t)
	t.Cleanup(func() { w.close(t) })
	put(t, q, sample(0, 1000))
	d.fill(0)
	accepted := []int{0}
	refused := 0
	for n := 1; n < 5000 && refused < 20; n++ {
		switch _, err := q.Put(t.Context(), sample(n, 1000)); {
		case err == nil:
			accepted = append(accepted, n)
		case errors.Is(err, queue.ErrUnavailable):
			refused++
		default:
			t.Fatalf("Put: %v", err)
		}
	}
	if err := w.file.Err(); err != nil || refused == 0 {
		t.Fatalf("after %d accepted: refused %d, Err %v, want some refused and none", len(accepted), refused, err)
	}
	d.empty()
	put(t, q, sample(9000, 1000))
	q = w.reopen(t)
	for _, n := range append(accepted, 9000) {
		if _, err := q.Get(t.Context(), sample(n, 1000).ID); err != nil {
			t.Errorf("Get of job %d: %v", n, err)
		}
	}
}
