package egress_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/egress"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 12, 29, 12, 26, 40, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                                0,
		"0":                               0,
		"7":                               7 * time.Second,
		" 7 ":                             7 * time.Second,
		"007":                             7 * time.Second,
		"3600":                            time.Hour,
		"3601":                            time.Hour,
		"99999999999999999999999999":      time.Hour,
		"-1":                              0,
		"+1":                              0,
		"1.5":                             0,
		"1e3":                             0,
		"7 s":                             0,
		"soon":                            0,
		"٧":                               0,
		"Mon, 29 Dec 2025 12:27:00 GMT":   20 * time.Second,
		"Monday, 29-Dec-25 12:27:00 GMT":  20 * time.Second,
		"Mon Dec 29 12:27:00 2025":        20 * time.Second,
		"Mon, 29 Dec 2025 12:26:00 GMT":   0,
		"Tue, 30 Dec 2025 12:26:00 GMT":   time.Hour,
		"Fri, 31 Dec 9999 23:59:59 GMT":   time.Hour,
		"Mon, 01 Jan 0001 00:00:00 GMT":   0,
		"Mon, 29 Dec 2025 12:27:00 CET":   0,
		"Mon, 32 Dec 2025 12:27:00 GMT":   0,
		"2025-12-29T12:27:00Z":            0,
		strings.Repeat("9", 1<<16):        time.Hour,
		strings.Repeat("0", 1<<16) + "12": 12 * time.Second,
	} {
		if got := egress.RetryAfter(value, now); got != want {
			t.Errorf("%.40q: got %v, want %v", value, got, want)
		}
	}
}

// FuzzRetryAfter checks that any value gives a wait within bounds, and that what was written as a wait is read as one.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "7", "-7", "3601", "18446744073709551617", "Mon, 29 Dec 2025 12:27:00 GMT", "soon"} {
		f.Add(seed, int64(1767011200))
	}
	f.Fuzz(func(t *testing.T, value string, unix int64) {
		now := time.Unix(unix%(1<<37), 0)
		got := egress.RetryAfter(value, now)
		if got < 0 || got > egress.MaxRetryAfter || got%time.Second != 0 {
			t.Fatalf("%q: got %v, want whole seconds up to an hour", value, got)
		}
		if now.Year() < 1 || now.Year() > 9998 {
			return
		}
		date := now.Add(got).UTC().Format(http.TimeFormat)
		if again := egress.RetryAfter(date, now); again != got {
			t.Fatalf("%q: got %v for the date of %v", date, again, got)
		}
	})
}
