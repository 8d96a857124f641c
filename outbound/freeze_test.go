package outbound_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

// A call that took long to begin is called off when half of the claim's lease is gone and was not renewed.
func TestNothingIsSentOnAStaleClaim(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		running bool // claims are renewed
		sent    int
		want    outbound.Code
	}{
		{"renewed", true, 1, ""},
		{"not renewed", false, 0, outbound.CodeUpstreamUnavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				im := &fakeIM{answer: func(n int, m outbound.Message) error {
					if n == 0 {
						pass(11 * time.Second)
					}
					if err := m.Ready(); err != nil {
						return &outbound.SendError{Reason: outbound.NotSent, Err: err}
					}
					sent++
					return nil
				}}
				r := newRig(t, im, func(o *outbound.Options) { o.Lease = 10 * time.Second })
				if row.running {
					r.running()
				}
				_, err := r.Send(t.Context(), keyed("k", "hello"))
				if row.want != "" {
					wantCode(t, nil, err, row.want)
				} else if err != nil {
					t.Errorf("send: %v", err)
				}
				if sent != row.sent {
					t.Errorf("got %d sends, want %d", sent, row.sent)
				}
			})
		})
	}
}

// While a shared ledger is out of reach nothing is sent, not even what has no key to remember.
func TestNothingIsSentWithoutASharedLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &brokenStore{Store: newLedger()}
		r := newRig(t, &fakeIM{}, func(o *outbound.Options) { o.Store, o.Lease = store, 10*time.Second })
		r.mustSend(request("hello"))
		r.wantCalls(1)
		store.fail("claim", errDisk)
		r.refused(request("hello"), outbound.CodeStoreUnavailable)
		r.wantCalls(1)
	})
}
