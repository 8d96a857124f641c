// Package connector is what the connectors have in common. [Wire] is what the daemon gives them, [Inlet], [Alarm] and
// [Hosted] included. Those that speak HTTP share the reading of ids as text, waits, the IM's own words, what a status
// means for a send, and the fetching of media for IMs that do not fetch by themselves. It calls no IM, and what a 200
// means is each connector's own business.
package connector

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	// DefaultTimeout bounds a call where the configuration does not.
	DefaultTimeout = 10 * time.Second
	longestCode    = 64
	longestDetail  = 200
	longestID      = 256
)

// Call makes the call. Every error is an [*outbound.SendError]: nothing written is surely not sent, anything else may
// have been.
func Call(ctx context.Context, d egress.Doer, c egress.Call) (egress.Answer, error) {
	a, err := d.Do(ctx, c)
	if err == nil {
		return a, nil
	}
	out := &outbound.SendError{Reason: outbound.Uncertain, Err: err}
	if e, ok := errors.AsType[*egress.Error](err); ok {
		// As the code, for the log: it is none of the IM's words, which stay out of there.
		out.Code = e.Reason
		if !e.Written {
			out.Reason = outbound.NotSent
		}
	}
	return a, out
}

// Status judges an answer by its status alone: 2xx is no error, 429 is throttled, 408, 425, 502 and 503 are surely not
// sent, other 5xx but 501 may have been, and all else, redirects included, is refused for good. The error has the IM's
// words.
func Status(a egress.Answer, hide ...string) *outbound.SendError {
	if a.Status >= 200 && a.Status <= 299 {
		return nil
	}
	out := Words(a.Body, hide...)
	if out.Code == "" {
		out.Code = strconv.Itoa(a.Status)
	}
	switch {
	case a.Status == http.StatusTooManyRequests:
		out.Reason = outbound.Throttled
	case a.Status == http.StatusBadGateway, a.Status == http.StatusServiceUnavailable,
		a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly:
		out.Reason = outbound.NotSent
	case a.Status >= http.StatusInternalServerError && a.Status != http.StatusNotImplemented:
		out.Reason = outbound.Uncertain
	default:
		out.Reason = outbound.Rejected
		return out
	}
	out.After = Wait(a)
	return out
}

// Wait is how long the answer asks to be left alone: its Retry-After header, or what its body says; 0: it does not say.
func Wait(a egress.Answer) time.Duration {
	if d := egress.RetryAfter(a.Header.Get("Retry-After"), time.Now()); d > 0 {
		return d
	}
	units := []struct {
		path string
		unit time.Duration
	}{
		{"retry_after", time.Second},
		{"retryAfter", time.Second},
		{"retry_after_ms", time.Millisecond},
		{"parameters.retry_after", time.Second},
		{"error.retry_after", time.Second},
	}
	for _, u := range units {
		if n := gjson.GetBytes(a.Body, u.path).Float(); n > 0 {
			return time.Duration(min(n*float64(u.unit), float64(egress.MaxRetryAfter)))
		}
	}
	return 0
}

// Words reads the IM's own code and text from an answer, as far as they may be shown: see [Clean].
func Words(body []byte, hide ...string) *outbound.SendError {
	out := &outbound.SendError{}
	if !json.Valid(body) {
		if text := strings.TrimSpace(string(body)); !strings.HasPrefix(text, "<") {
			out.Detail = Clean(text, longestDetail, hide...)
		}
		return out
	}
	code := First(body, "error.code", "errcode", "error_code", "retcode", "code", "ret")
	detail := First(body, "error.message", "error", "errmsg", "error_description", "description", "message", "msg",
		"wording", "detail")
	out.Code, out.Detail = Clean(code, longestCode, hide...), Clean(detail, longestDetail, hide...)
	return out
}

// First is the first of the paths that holds a text or a number, as text.
func First(body []byte, paths ...string) string {
	for _, p := range paths {
		if s := Text(gjson.GetBytes(body, p)); s != "" {
			return s
		}
	}
	return ""
}

// Text is a JSON string's text or a number's digits as they stand, so that 64-bit ids survive; empty for all else.
func Text(r gjson.Result) string {
	switch r.Type {
	case gjson.String:
		return r.Str
	case gjson.Number:
		return r.Raw
	}
	return ""
}

// ID is the first of the paths that holds an id, as text; one that is too long to be an id is none.
func ID(body []byte, paths ...string) string {
	if id := First(body, paths...); len(id) <= longestID {
		return id
	}
	return ""
}

var urls = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+`)

// Clean makes foreign text fit to be shown: bounded, on one line, and without URLs and what must be hidden, such as
// tokens and the message's text.
func Clean(s string, limit int, hide ...string) string {
	const shortestHidden = 4
	for _, h := range hide {
		if len(h) >= shortestHidden {
			s = strings.ReplaceAll(s, h, "…")
		}
	}
	s = urls.ReplaceAllString(s, "…")
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if runes := []rune(s); len(runes) > limit {
		s = string(runes[:limit-1]) + "…"
	}
	return strings.TrimSpace(s)
}
