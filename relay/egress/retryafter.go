package egress

import (
	"net/http"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait that a Retry-After header is believed.
const MaxRetryAfter = time.Hour

// RetryAfter reads the value of a Retry-After header: whole seconds, or an HTTP date as seen from now. What is neither,
// or lies behind, is 0; what is further away than [MaxRetryAfter] is that.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if seconds, ok := digits(value); ok {
		return min(time.Duration(seconds)*time.Second, MaxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}

// digits reads a number of digits only. It stops counting above what matters, so that no length overflows.
func digits(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+int64(s[i]-'0'), int64(MaxRetryAfter/time.Second)+1)
	}
	return n, true
}
