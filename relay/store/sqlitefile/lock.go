package sqlitefile

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// lockDir takes the folder's lock and writes our pid into it. The file stays behind when the lock is given back: to
// remove it would let two others each lock a file of that name.
func lockDir(dir string) (*flock.Flock, error) {
	path := filepath.Join(dir, "lock")
	l := flock.New(path, flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock store: %w", err)
	}
	if !ok {
		return nil, &LockedError{PID: holder(path)}
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write lock: %w", errJoinUnlock(err, l))
	}
	return l, nil
}

func errJoinUnlock(err error, l *flock.Flock) error {
	if e := l.Unlock(); e != nil {
		return fmt.Errorf("%w (and unlock: %w)", err, e)
	}
	return err
}

func holder(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}
