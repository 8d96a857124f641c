package httpapi_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/httpapi"
)

// TestCodes holds the one table to the codes of both halves, and the description to the table.
func TestCodes(t *testing.T) {
	t.Parallel()
	want := map[httpapi.Code]int{
		// The relay's other codes have the words of the sender's.
		httpapi.Code(relay.CodeEmptyBody): 400, httpapi.Code(relay.CodeInvalidJSON): 400,

		httpapi.Code(outbound.CodeInProgress): 409, httpapi.Code(outbound.CodeKeyReused): 422,
		httpapi.Code(outbound.CodeForbidden): 403, httpapi.Code(outbound.CodeAmbiguous): 400,
		httpapi.Code(outbound.CodeUnknownIM): 400, httpapi.Code(outbound.CodeCannotSend): 501,
		httpapi.Code(outbound.CodeInvalid): 400, httpapi.Code(outbound.CodeRateLimited): 429,
		httpapi.Code(outbound.CodeUpstreamRateLimited): 429, httpapi.Code(outbound.CodeUpstreamRejected): 502,
		httpapi.Code(outbound.CodeUpstreamUnavailable): 503, httpapi.Code(outbound.CodeDeliveryUnknown): 504,
		httpapi.Code(outbound.CodeStoreUnavailable): 503, httpapi.Code(outbound.CodeShuttingDown): 503,
		httpapi.Code(outbound.CodeNotFound): 404,

		httpapi.CodeBodyIncomplete: 400, httpapi.CodeUnauthorized: 401, httpapi.CodeSourceNotAllowed: 403,
		httpapi.CodeMethodNotAllowed: 405, httpapi.CodeRequestTimeout: 408, httpapi.CodeBodyTooLarge: 413,
		httpapi.CodeUnsupportedType: 415, "unsupported_media": 400, httpapi.CodeInternal: 500, httpapi.CodeTooManyConnections: 503,
	}
	for _, code := range []relay.Code{
		relay.CodeAccountAmbiguous, relay.CodeAccountUnknown, relay.CodeStoreUnavailable, relay.CodeShuttingDown,
	} {
		if want[httpapi.Code(code)] == 0 {
			t.Errorf("%s is no code of the API", code)
		}
	}
	for code, status := range want {
		if got := code.Status(); got != status {
			t.Errorf("%s: got status %d, want %d", code, got, status)
		}
	}
	if got := httpapi.Code("no_such_code").Status(); got != http.StatusInternalServerError {
		t.Errorf("unknown code: got status %d, want 500", got)
	}
	described := document(t).Components.Schemas["ErrorWords"].Value.Properties["code"].Value.Enum
	for code := range want {
		if !slices.Contains(described, any(string(code))) {
			t.Errorf("%s is not described", code)
		}
	}
	if len(described) != len(want) {
		t.Errorf("got %d codes described, want %d", len(described), len(want))
	}
}
