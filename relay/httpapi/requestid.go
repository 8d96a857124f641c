package httpapi

import (
	"crypto/rand"
	"net/http"
)

// headerRequestID is spelled as net/http keys it, so that it can be set without being canonicalised.
const headerRequestID = "X-Request-Id"

// maxRequestID is the longest id that is taken over.
const maxRequestID = 128

// requestID takes the caller's id over when it is sane, and makes one when it is not.
func requestID(h http.Header) string {
	if v := h[headerRequestID]; len(v) == 1 && saneID(v[0]) {
		return v[0]
	}
	return "req_" + rand.Text()
}

// saneID says that the id is 1 to 128 printable ASCII characters without a space: safe in a header and in a log.
func saneID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}
