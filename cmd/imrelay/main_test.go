package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"imrelay": main})
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_PROXY", "*")
			e.Setenv("LANG", "C")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "ready": ready, "signal": signalRelay, "agent": fakeAgent, "im": fakeIM, "post": post,
			"eventually": eventually, "freeport": freePort, "busyport": busyPort, "mode": mode, "capture": capture,
			"empty": empty,
			"lines": lines, "logged": logged,
			"redis": func(ts *testscript.TestScript, _ bool, args []string) { newRedis(t, ts, args) },
		},
	})
}

// exits runs a command that must exit with the given code: exits CODE COMMAND [ARGS...].
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("got exit code %d, want %d", got, want)
	}
}

// ready waits for the relay on a data folder and sets URL: ready DATA.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	var run daemon.RunFile
	within(ts, "no relay is ready on "+args[0], func() bool {
		var err error
		if run, err = daemon.ReadRunFile(dir); err != nil {
			return false
		}
		status, _ := ask(http.MethodGet, run.URL+"/readyz", nil, nil)
		return status == http.StatusOK
	})
	ts.Setenv("URL", run.URL)
}

// within polls, because what is waited for is another process's doing.
func within(ts *testscript.TestScript, otherwise string, cond func() bool) {
	for deadline := time.Now().Add(patience); !cond(); {
		if time.Now().After(deadline) {
			ts.Fatalf("%s", otherwise)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// signalRelay signals the relay on a data folder: signal HUP DATA.
func signalRelay(ts *testscript.TestScript, _ bool, args []string) {
	run, err := daemon.ReadRunFile(ts.MkAbs(args[1]))
	ts.Check(err)
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	ts.Check(syscall.Kill(run.PID, signals[args[0]]))
}

// fakeAgent starts an agent that answers every post with a status, and sets OPENCLAW_WEBHOOK_URL: agent STATUS. With
// hang for a status it does not answer as long as somebody waits.
func fakeAgent(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[0])
	hangs := args[0] == "hang"
	if !hangs {
		ts.Check(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost && hangs {
			<-r.Context().Done()
			return
		}
		if r.Method == http.MethodPost {
			w.WriteHeader(status)
		}
		fmt.Fprint(w, `{"ok":true}`)
	}))
	ts.Defer(s.Close)
	ts.Setenv("OPENCLAW_WEBHOOK_URL", s.URL+"/wechat_abot/webhook")
}

// fakeIM starts an IM that answers every send with a status, and sets IM_SEND_URL: im STATUS.
func fakeIM(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		fmt.Fprint(w, `{"messageId":"7265419038812349001"}`)
	}))
	ts.Defer(s.Close)
	ts.Setenv("IM_SEND_URL", s.URL+"/send")
}

// post posts a file and checks the status; the answer goes to the file "answer": post STATUS URL FILE [HEADER...].
func post(ts *testscript.TestScript, _ bool, args []string) {
	h := http.Header{"Content-Type": {"application/json"}}
	for _, line := range args[3:] {
		name, value, _ := strings.Cut(line, ":")
		h.Set(name, strings.TrimSpace(value))
	}
	status, body := ask(http.MethodPost, args[1], h, []byte(ts.ReadFile(args[2])))
	ts.Check(os.WriteFile(ts.MkAbs("answer"), body, 0o600))
	if want := args[0]; want != strconv.Itoa(status) {
		ts.Fatalf("got status %d, want %s: %s", status, want, body)
	}
}

// ask makes one call; status 0: there was no answer.
func ask(method, url string, h http.Header, body []byte) (int, []byte) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body)) //nolint:noctx // the client bounds it
	if err != nil {
		return 0, nil
	}
	req.Header = h
	if h == nil {
		req.Header = http.Header{}
	}
	resp, err := caller.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, answer
}

var caller = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// eventually runs a command until its stdout holds a text: eventually TEXT COMMAND [ARGS...].
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	within(ts, "stdout never held "+args[0], func() bool {
		return ts.Exec(args[1], args[2:]...) == nil && strings.Contains(ts.ReadFile("stdout"), args[0])
	})
}

// lines runs a command until its stdout has so many lines: lines N COMMAND [ARGS...].
func lines(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	within(ts, "stdout never had so many lines", func() bool {
		return ts.Exec(args[1], args[2:]...) == nil && strings.Count(ts.ReadFile("stdout"), "\n") == n
	})
}

// logged waits until a file holds a text: logged TEXT FILE.
func logged(ts *testscript.TestScript, _ bool, args []string) {
	within(ts, "the log never held "+args[0], func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[1]))
		return err == nil && bytes.Contains(b, []byte(args[0]))
	})
}

// freePort sets a variable to an address on which nobody listens: freeport NAME.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// busyPort sets a variable to an address on which we listen: busyport NAME.
func busyPort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed when the script ends
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// newRedis starts a Redis, which is there until all scripts have ended, and sets a variable to its URL: redis NAME.
func newRedis(t *testing.T, ts *testscript.TestScript, args []string) {
	t.Helper()
	ts.Setenv(args[0], redistest.Start(t).URL(""))
}

// mode checks a file's permissions: mode 600 FILE.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[0] {
		ts.Fatalf("%s: got mode %s, want %s", args[1], got, args[0])
	}
}

// capture sets a variable to a field of the first JSON line of a file, or of stdout: capture NAME FIELD FILE.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	line, _, _ := strings.Cut(ts.ReadFile(args[2]), "\n")
	var v map[string]any
	ts.Check(json.Unmarshal([]byte(line), &v))
	ts.Setenv(args[0], fmt.Sprint(v[args[1]]))
}

// empty checks that a folder holds nothing: empty FOLDER.
func empty(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(entries) > 0 {
		ts.Fatalf("got %v, want nothing", entries)
	}
}

func TestNobodyForgotAScript(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"completion", "config", "dead", "demo", "doctor", "events", "help", "send", "serve", "sign", "store", "verify",
		"version",
	} {
		if _, err := os.Stat(filepath.Join("testdata", "script", name+".txtar")); err != nil {
			t.Errorf("command %s has no script: %v", name, err)
		}
	}
}
