//go:build unix

package agents_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

// lines are those of the relay's log.
func lines(t *testing.T, r *fleettest.Relay) (all []gjson.Result) {
	t.Helper()
	raw, err := r.Log()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		if json.Valid(line) {
			all = append(all, gjson.ParseBytes(line))
		}
	}
	return all
}
