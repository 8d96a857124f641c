//go:build linux

package sqlitefile_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

const envQuota = "IMRELAY_TEST_QUOTA"

// TestQuota runs TestQuotaChild in a process of its own, whose files may not grow: SQLite then meets a write error that is
// no ENOSPC, as it does when a quota is used up.
func TestQuota(t *testing.T) {
	t.Parallel()
	for name, final := range map[string]string{"a used-up quota heals": "no", "a broken disk does not": "yes"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestQuotaChild$", "-test.count=1")
			cmd.Env = append(os.Environ(), envQuota+"="+final)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("in a process with a limit: %v\n%s", err, out)
			}
		})
	}
}

// TestQuotaChild does nothing in the process that runs all tests.
func TestQuotaChild(t *testing.T) { //nolint:paralleltest // it limits the whole process
	final := os.Getenv(envQuota)
	if final == "" {
		return
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatalf("read limit: %v", err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	f := open(t, sqlitefile.Options{Probe: func() error {
		if final == "yes" {
			return nil
		}
		return syscall.EDQUOT
	}})
	limit := func(n uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: old.Max}); err != nil {
			t.Fatalf("set limit: %v", err)
		}
	}
	limit(256 << 10)
	var err error
	for id := 0; err == nil && id < 100; id++ {
		err = f.Do(t.Context(), sqlitefile.Accept, insert(id, make([]byte, 32<<10)))
	}
	want := sqlitefile.ErrFull
	if final == "yes" {
		want = sqlitefile.ErrFailed
	}
	if !errors.Is(err, want) {
		t.Errorf("Do at the limit: got %v, want %v", err, want)
	}
	limit(old.Cur)
	err = f.Do(t.Context(), sqlitefile.Accept, insert(1000, nil))
	if got := err != nil; got != (final == "yes") {
		t.Errorf("Do without the limit: got %v, want failed %s", err, final)
	}
}
