package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/imrelay/imrelay/cmd/imrelay/term"
	"github.com/imrelay/imrelay/relay/config"
)

// The exit codes.
const (
	codeDone       = 0
	codeFailed     = 1
	codeMisused    = 2
	codeNotRunning = 3
	codeDegraded   = 4
	codeLocked     = 75
	codeConfig     = 78
)

// failure is why a command ends with another code than 0.
type failure struct {
	code int
	// what is one line, but for a bad configuration, which has one for each mistake. Empty: all was said on stdout.
	what string
	// hint says what to do.
	hint string
	err  error
}

// Error implements error.
func (f *failure) Error() string { return f.what }

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.err }

// silent is a failure that the command's own output has told already.
func silent(code int) *failure { return &failure{code: code} }

// misused is a misuse that only the command itself can see.
func misused(hint, format string, args ...any) *failure {
	return &failure{code: codeMisused, what: fmt.Sprintf(format, args...), hint: hint}
}

// failed is a failure with the general code.
func failed(err error, hint string) *failure {
	return &failure{code: codeFailed, what: err.Error(), hint: hint, err: err}
}

// failureOf finds code and hint for an error that a command returned.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*config.Error](err); ok {
		return &failure{code: codeConfig, what: e.Error(), hint: e.Hint, err: err}
	}
	if errors.Is(err, context.Canceled) {
		return &failure{code: codeFailed, what: "interrupted", err: err}
	}
	return failed(err, "")
}

// print writes the failure: what, then the hint.
func (f *failure) print(w io.Writer, s term.Style) {
	if f.what == "" {
		return
	}
	var b strings.Builder
	for line := range strings.Lines(f.what) {
		fmt.Fprintf(&b, "%s %s\n", s.Red("imrelay:"), term.Clean(strings.TrimRight(line, "\n")))
	}
	if f.hint != "" {
		fmt.Fprintf(&b, "%s %s\n", s.Yellow("hint:"), term.Clean(f.hint))
	}
	fmt.Fprint(w, b.String())
}
