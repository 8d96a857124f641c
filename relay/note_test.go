package relay_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay"
)

// Every field of a note is read back as it was stored, those that are added later too.
func TestReadNote(t *testing.T) {
	t.Parallel()
	var want relay.Note
	for v, i := reflect.ValueOf(&want).Elem(), 0; i < v.NumField(); i++ {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("<&> 你 \"" + v.Type().Field(i).Name)
		case reflect.Bool:
			f.SetBool(true)
		default:
			t.Fatalf("no value for a %v", f.Kind())
		}
	}
	stored, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := relay.ReadNote(stored)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s, %v", diff, err)
	}
	if _, err := relay.ReadNote([]byte(`{"sender":`)); err == nil {
		t.Error("half a note was read")
	}
}
