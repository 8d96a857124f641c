package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// ErrNotRunning says that no relay runs on the data folder.
var ErrNotRunning = errors.New("no relay is running on this data folder")

// runFileName is the file's name in the data folder.
const runFileName = "run.json"

// RunFile is what a running relay tells the commands on its machine. It is readable by its owner only, for it holds the
// admin token.
type RunFile struct {
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	URL        string    `json:"url"`
	AdminToken string    `json:"adminToken"`
}

// ReadRunFile returns what the relay on the data folder says of itself, or ErrNotRunning, also when the file was left
// behind by a relay that is gone.
func ReadRunFile(dataDir string) (RunFile, error) {
	b, err := os.ReadFile(filepath.Join(dataDir, runFileName))
	if errors.Is(err, os.ErrNotExist) {
		return RunFile{}, ErrNotRunning
	}
	if err != nil {
		return RunFile{}, fmt.Errorf("read run file: %w", err)
	}
	var f RunFile
	if err := json.Unmarshal(b, &f); err != nil {
		return RunFile{}, fmt.Errorf("read run file: %w", err)
	}
	if alive, err := process.PidExists(int32(f.PID)); err == nil && !alive { //nolint:gosec // pids fit
		return RunFile{}, ErrNotRunning
	}
	return f, nil
}

// write puts the file in place whole, so that nobody reads half of it.
func (f RunFile) write(dataDir string) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write run file: %w", err)
	}
	temp := filepath.Join(dataDir, runFileName+".new")
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write run file: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(dataDir, runFileName)); err != nil {
		return fmt.Errorf("write run file: %w", err)
	}
	return nil
}

// removeRunFile takes the file away if it is still ours.
func removeRunFile(dataDir string) error {
	path := filepath.Join(dataDir, runFileName)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil //nolint:nilerr // it is gone already
	}
	var f RunFile
	if json.Unmarshal(b, &f) == nil && f.PID != os.Getpid() {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove run file: %w", err)
	}
	return nil
}
