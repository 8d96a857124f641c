package daemon_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
)

// Machines get one JSON object a line, soon and whole at the end; persons get columns; the level can be changed.
func TestLogger(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		config   config.Log
		terminal bool
		json     bool
	}{
		{"auto to a pipe", config.Log{Level: "info", Format: "auto"}, false, true},
		{"auto to a terminal", config.Log{Level: "info", Format: "auto"}, true, false},
		{"json to a terminal", config.Log{Level: "info", Format: "json"}, true, true},
		{"console to a pipe", config.Log{Level: "info", Format: "console"}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out := &buffer{}
			log, level, closeLog, err := daemon.NewLogger(tc.config, out, tc.terminal)
			if err != nil {
				t.Fatal(err)
			}
			log.Debug("not this")
			log.Info("first", zap.String("event", "x"))
			eventually(t, "the line is written while the log is open", func() bool { return strings.Contains(out.String(), "first") })
			level.SetLevel(zap.DebugLevel)
			log.Debug("second")
			if err := closeLog(); err != nil {
				t.Errorf("close: %v", err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) != 2 || !strings.Contains(lines[1], "second") {
				t.Fatalf("got %q", lines)
			}
			var o map[string]any
			if err := json.Unmarshal([]byte(lines[0]), &o); (err == nil) != tc.json {
				t.Errorf("line %q: is JSON: %v, want %v", lines[0], err == nil, tc.json)
			}
		})
	}
}

// A configured file gets the lines in place of the terminal, as JSON.
func TestLogFile(t *testing.T) {
	t.Parallel()
	path, out := filepath.Join(t.TempDir(), "relay.log"), &buffer{}
	log, _, closeLog, err := daemon.NewLogger(config.Log{Level: "info", Format: "auto", File: path}, out, true)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("to the file")
	if err := closeLog(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(b), `{"level":"info"`) || out.String() != "" {
		t.Errorf("file: %q, %v; terminal: %q", b, err, out.String())
	}
}
