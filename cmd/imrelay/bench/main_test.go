package bench

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/imrelay/imrelay/cmd/imrelay/cli"
)

// role is the variable that makes this test binary play another program.
const role = "IMRELAY_BENCH_ROLE"

// scratch is a folder for what all benchmarks share.
var scratch string

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "floor":
		fmt.Fprintln(os.Stderr, floor(os.Args[1], os.Args[2]))
		os.Exit(1)
	case "imrelay":
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := cli.Run(ctx, cli.Env{
			Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			Hangups: func() <-chan os.Signal { return nil },
		})
		stop()
		os.Exit(code)
	}
	os.Exit(run(m))
}

// run runs the tests and benchmarks in a folder of their own, and prints the table.
func run(m *testing.M) int {
	flag.Parse()
	var err error
	if scratch, err = os.MkdirTemp("", "imrelay-bench-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	results.before = loadAverage()
	code := m.Run()
	results.write(os.Stdout)
	return code
}

// reexec is this test binary in another role.
func reexec(as string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.CommandContext(context.Background(), self, args...)
	cmd.Env = append(cmd.Env, role+"="+as)
	return cmd
}

// floor is the least that a Go program does for a request that it passes on: it stands in for nginx where there is none.
func floor(addr, to string) error {
	target := &url.URL{Scheme: "http", Host: to}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true},
	}
	s := &http.Server{Addr: addr, Handler: proxy}
	return s.ListenAndServe()
}
