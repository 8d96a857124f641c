//go:build unix

package agents_test

import (
	"context"
	"net/http"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// ledger reads what became of the replies, out of the books of the dead relay: each that was queued was sent or refused, or
// the outcome is unknown. What it answered to sends of the agent's own tells the same.
func (c *check) ledger() {
	c.t.Helper()
	c.unsure = map[words]bool{}
	for _, call := range c.door.passed() {
		for _, w := range wordsIn(string(call.body)) {
			if call.status == http.StatusGatewayTimeout {
				c.unsure[w.message()] = true
			}
		}
	}
	ctx := context.Background()
	file, err := sqlitefile.Open(ctx, sqlitefile.Options{Dir: c.relay.Data()})
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	books, err := sqlitededupe.New(ctx, file, sqlitededupe.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = books.Close() }()
	for _, line := range lines(c.t, c.relay) {
		if line.Get("event").Str != "reply.queued" {
			continue
		}
		id := line.Get("id").Str
		w, mine := c.events[line.Get("eventId").Str]
		e, err := books.Find(ctx, "agent:"+agentName, id)
		if err != nil {
			c.t.Errorf("the reply %s to lane %d message %d was queued and is gone: %v", id, w.lane, w.seq, err)
			continue
		}
		switch e.Status {
		case dedupe.Done:
		case dedupe.Unknown:
			if mine {
				c.unsure[w] = true
			}
		default:
			c.t.Errorf("the reply %s to lane %d message %d is %s in the end", id, w.lane, w.seq, e.Status)
		}
	}
}
