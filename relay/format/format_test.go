package format_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format"
)

// member is what both ways of going through an object must agree on.
type member struct {
	Name, Raw, Str string
	Type           gjson.Type
	Index          int
}

func byMembers(v gjson.Result) (all []member) {
	for m := format.MembersOf(v); m.Next(); {
		x := m.Value()
		all = append(all, member{string(m.Name()), x.Raw, x.Str, x.Type, x.Index})
		if m.Raw() != x.Raw {
			all = append(all, member{Name: "raw", Raw: m.Raw()})
		}
	}
	return all
}

func byForEach(v gjson.Result) (all []member) {
	if !v.IsObject() {
		return nil
	}
	v.ForEach(func(k, x gjson.Result) bool {
		name := []byte(strings.ReplaceAll(k.Str, "_", ""))
		for i, c := range name {
			if 'A' <= c && c <= 'Z' {
				name[i] += 'a' - 'A'
			}
		}
		if len(name) > 16 {
			name = nil
		}
		if x.Type != gjson.Null {
			all = append(all, member{string(name), x.Raw, x.Str, x.Type, x.Index})
		}
		return true
	})
	return all
}

// objects are the shapes that a hand-written walk gets wrong.
var objects = []string{
	`{}`, ` { } `, `[1]`, `"x"`, `{"a":1}`, "\n{ \"a\" : 1 ,\t\"b\" : [1,2] , \"c\":{\"d\":\"}\"} }\r\n",
	`{"a":null,"b":true,"c":false,"d":-1.5e3,"e":""}`, `{"a":"\"","b":"\\","c":"\\\"","d":"x\\\\"}`,
	`{"a\"b":1,"\u0041_b":2,"":3,"___":4,"A_VERY_LONG_NAME_INDEED":5,"sixteen_letters_ab":6}`,
	`{"a":"0123456789abcde\"0123456789abcdef\\","b":"0123456789abcdef0123456789abcdef\\\"x","c":1}`,
	`{"a":"0123456789abcd\\","b":"0123456789abcde\\","c":"0123456789abcdef\\","d":1}`,
	`{"a":{"b":[{"c":"]}"}]},"d":[[],{}],"e":[]}`, `{"a":1,"a":2}`, `{"a":"\ud83d\ude00 \n"}`,
	`{"a":"\b\f\n\r\t\/\"\\","b":"x\u660E\u5929y\u0000","c":"\ud83d","d":"\ud83dx","e":"\ud83d\u0041","f":"\ude00\ud83d\ude00"}`,
}

func FuzzMembers(f *testing.F) {
	for _, o := range objects {
		f.Add([]byte(o))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := format.Open(body)
		if err != nil {
			return
		}
		if diff := cmp.Diff(byForEach(v), byMembers(v)); diff != "" {
			t.Errorf("Members of %q (-gjson +ours):\n%s", body, diff)
		}
	})
}

func TestRounded(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"7265419038812345000": true, "-7265419038812345000": true, "9007199254741000": true, "18446744073709551000": true,
		"7265419038812345100": false, "9007199254740000": false, "5000": false, "": false, "x000": false,
		"99999999999999999999000": false,
	} {
		if got := format.Rounded(id); got != want {
			t.Errorf("Rounded(%q) = %v, want %v", id, got, want)
		}
	}
}

func TestFingerprintCountsBorders(t *testing.T) {
	t.Parallel()
	if a, b := format.Fingerprint("ab", "c"), format.Fingerprint("a", "bc"); a == b {
		t.Errorf("two splits of one text have the same fingerprint %q", a)
	}
	if a, b := format.Fingerprint("a", ""), format.Fingerprint("a"); a == b {
		t.Errorf("a missing part and an empty one have the same fingerprint %q", a)
	}
}

// TestBatchOfTooMany keeps a body whole that would become more events than anybody means to send.
func TestBatchOfTooMany(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		messages  int
		envelopes int
		kind      string
	}{
		{"as many as are split", 1000, 1000, format.KindText},
		{"one more", 1001, 1, format.KindOther},
		{"far more", 200_000, 1, format.KindOther},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := []byte(`[` + strings.Repeat(`null,{},{"a":1},`, tt.messages) + `{}]`)
			list, err := format.Open(body)
			if err != nil {
				t.Fatal(err)
			}
			read := func(_ gjson.Result, raw []byte) relay.Envelope {
				return relay.Envelope{Kind: format.KindText, Raw: raw}
			}
			got := format.Batch(body, list, read)
			if len(got) != tt.envelopes || got[0].Kind != tt.kind {
				t.Fatalf("got %d envelopes of kind %q, want %d of %q", len(got), got[0].Kind, tt.envelopes, tt.kind)
			}
			if tt.envelopes == 1 && len(got[0].Raw) != len(body) {
				t.Errorf("got %d bytes to deliver, want the whole body of %d", len(got[0].Raw), len(body))
			}
		})
	}
}
