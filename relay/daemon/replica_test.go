package daemon_test

import (
	"net/http"
	"testing"

	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// A relay whose replicas are not there for the moment starts, takes nothing, and says so.
func TestNoReplicaToWaitFor(t *testing.T) {
	t.Parallel()
	r := start(t, onRedis(redistest.Start(t).URL("wait_replicas=1")))
	if a := r.inbound(text(1, "a", "x")); a.status != 503 || a.code(t) != "store_unavailable" {
		t.Errorf("inbound: got %d %s, want 503 store_unavailable", a.status, a.body)
	}
	if a := r.do(http.MethodGet, "/readyz", ""); a.status != 503 {
		t.Errorf("readyz: got %d %s, want 503", a.status, a.body)
	}
	if a := r.do(http.MethodGet, "/healthz", ""); a.status != 200 {
		t.Errorf("healthz: got %d, want 200", a.status)
	}
}
