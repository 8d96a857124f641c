//go:build unix

package agents_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// toLane is the lane in the name of whom a reply goes to.
var toLane = regexp.MustCompile(`wxid_lane(\d+)`)

// ledger reads out of the books of the dead relay what became of the replies: each was sent, or the outcome is unknown. The
// log would not do: its last lines are lost with the process.
func (c *check) ledger() {
	c.t.Helper()
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
	c.unsure = map[words]int{}
	err = books.Export(ctx, func(rows []dedupe.Stored) error {
		for _, row := range rows {
			c.row(row.Entry)
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// row reads one.
func (c *check) row(e dedupe.Entry) {
	c.t.Helper()
	switch e.Status {
	case dedupe.Done:
	case dedupe.Unknown:
		c.sum.unsure++
		c.unsure[c.keyed(e)]++
	default:
		c.t.Errorf("the reply with the key %s is %s in the end", e.Key, e.Status)
	}
}

// keyed is the reply that the row is of, if the key tells, else its lane.
func (c *check) keyed(e dedupe.Entry) words {
	for id, w := range c.events {
		for part := 1; part <= c.parts; part++ {
			if e.Key == fmt.Sprint(id, "/", part) {
				return words{lane: w.lane, seq: w.seq, part: part}
			}
		}
	}
	var w words
	if to := toLane.FindStringSubmatch(e.Lane); to != nil {
		w.lane, _ = strconv.Atoi(to[1]) // it is digits
	}
	return w
}

// unknown takes a reply that did not reach the IM off those of unknown outcome; false: it is none.
func (c *check) unknown(w words) bool {
	for _, w := range []words{w, {lane: w.lane}} {
		if c.unsure[w] > 0 {
			c.unsure[w]--
			return true
		}
	}
	return false
}
