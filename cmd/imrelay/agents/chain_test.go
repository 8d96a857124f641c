//go:build unix

package agents_test

import (
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

// chain brings one more message, when all is calm, and follows it in the log from its acceptance to the IM's id of the
// reply.
func (r *rig) chain() {
	r.t.Helper()
	if !r.answers {
		return
	}
	a := r.relay.Push(r.t.Context(), fleettest.Push(lanes, 1))
	id := a.Get("eventId").Str
	if a.Status/100 != 2 || id == "" {
		r.t.Fatalf("got %s, want a message accepted", a)
	}
	var got []gjson.Result
	for deadline := time.Now().Add(fleettest.Patience); len(got) == 0; got = r.steps(id) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s cannot be followed in the log", id)
		}
		r.wait(50 * time.Millisecond)
	}
	queued, sent := got[0], got[1]
	if queued.Get("id").Str == "" || queued.Get("id").Str != sent.Get("id").Str || sent.Get("messageId").Str == "" {
		r.t.Errorf("got %s, then %s, want one id and the IM's", queued, sent)
	}
}

// steps are the lines of an event's first reply, queued and sent, once all steps of the event are in the log.
func (r *rig) steps(id string) (reply []gjson.Result) {
	r.t.Helper()
	all := []string{"inbound.accepted", "delivery.attempted", "reply.queued", "outbound.sent"}
	at := map[string]gjson.Result{}
	for _, line := range lines(r.t, r.relay) {
		name := line.Get("event").Str
		if line.Get("eventId").Str == id && !at[name].Exists() {
			at[name] = line
		}
	}
	for _, name := range all {
		if !at[name].Exists() {
			return nil
		}
	}
	return []gjson.Result{at["reply.queued"], at["outbound.sent"]}
}
