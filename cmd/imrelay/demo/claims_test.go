package demo_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/imrelay/imrelay/cmd/imrelay/demo"
)

// What the demo claims about a burst it would not claim of a broken relay.
func TestClaimsAreNotBlind(t *testing.T) {
	t.Parallel()
	want := []string{"A1", "A2", "A3"}
	for _, row := range []struct {
		name string
		got  []string
		ok   bool
	}{
		{"in order", []string{"A1", "A2", "A3"}, true},
		{"swapped", []string{"A2", "A1", "A3"}, false},
		{"missing", []string{"A1", "A3"}, false},
		{"repeated", []string{"A1", "A2", "A2", "A3"}, false},
	} {
		if got := demo.InOrder(row.got, want); got != row.ok {
			t.Errorf("order, %s: got %t, want %t", row.name, got, row.ok)
		}
	}
	a1, a2 := demo.Body("A1"), demo.Body("A2")
	changed := append([]byte(nil), a2...)
	changed[len(changed)-3] ^= 1
	for _, row := range []struct {
		name   string
		got    [][]byte
		signed error
		ok     bool
	}{
		{"whole", [][]byte{a1, a2}, nil, true},
		{"one bit changed", [][]byte{a1, changed}, nil, false},
		{"one twice", [][]byte{a1, a1}, nil, false},
		{"badly signed", [][]byte{a1, a2}, errors.New("mismatch"), false},
	} {
		if got := demo.Exactly(row.got, row.signed, []string{"A1", "A2"}); got != row.ok {
			t.Errorf("bytes, %s: got %t, want %t", row.name, got, row.ok)
		}
	}
}

func TestPushesAreJSON(t *testing.T) {
	t.Parallel()
	if body := demo.Body("斜杠/ \"引号\" 和\n换行"); !json.Valid(body) {
		t.Errorf("got %s, want JSON", body)
	}
}
