// Package formattest is the suite that every format must pass, and the tools to test one on recorded bodies.
package formattest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Golden reads every *.json of the folder and compares what comes out with the .golden file beside it. With -update it
// writes that file. Every body also goes through [Check].
func Golden(t *testing.T, f relay.Format, folder, self string) {
	t.Helper()
	for _, path := range samples(t, folder) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
			t.Parallel()
			body := read(t, path)
			Check(t, f, body, self)
			envelopes, err := f.Read(body, self)
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
			got := render(t, body, envelopes)
			golden := strings.TrimSuffix(path, ".json") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, golden)), string(got)); diff != "" {
				t.Errorf("envelopes differ from %s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// Seed gives the bodies of the folder to a fuzz test, and some that are nobody's.
func Seed(f *testing.F, folder string) {
	f.Helper()
	for _, path := range samples(f, folder) {
		f.Add(read(f, path))
	}
	for _, bodies := range []map[string][]byte{Bad(), Odd()} {
		for _, body := range bodies {
			if len(body) < 1<<10 { // the deep ones would only slow it down
				f.Add(body)
			}
		}
	}
}

func samples(tb testing.TB, folder string) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no samples in %s (%v)", folder, err)
	}
	return paths
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// render writes envelopes so that people can read and compare them.
func render(tb testing.TB, body []byte, envelopes []relay.Envelope) []byte {
	tb.Helper()
	type shown struct {
		relay.Envelope
		At  string
		Raw string
	}
	all := make([]shown, len(envelopes))
	for i, e := range envelopes {
		all[i] = shown{Envelope: e, Raw: string(e.Raw)}
		if bytes.Equal(e.Raw, body) {
			all[i].Raw = "(the body)"
		}
		if !e.At.IsZero() {
			all[i].At = e.At.Format(time.RFC3339Nano)
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(all); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// limit is far beyond what reading any body needs, and below what one of a megabyte takes if the work grows with its
// square. A busy machine may keep a reader waiting, but not every time: of so many tries the fastest counts.
const (
	limit = 2 * time.Second
	tries = 5
)

// quick says how long reading the body takes at best. It stops at the first try within the limit.
func quick(f relay.Format, body []byte) time.Duration {
	best := time.Duration(math.MaxInt64)
	for try := 0; try < tries && best > limit; try++ {
		began := time.Now()
		_, _ = f.Read(body, "me")
		best = min(best, time.Since(began))
	}
	return best
}

// Run checks what must hold for every format, whatever it reads.
func Run(t *testing.T, f relay.Format) {
	t.Helper()
	for name, body := range Bad() {
		t.Run("bad/"+name, func(t *testing.T) {
			t.Parallel()
			if _, err := f.Read(body, "me"); !errors.Is(err, relay.ErrNotJSON) {
				t.Errorf("Read(%.40q) error = %v, want %v", body, err, relay.ErrNotJSON)
			}
		})
	}
	for name, body := range Odd() {
		t.Run("odd/"+name, func(t *testing.T) {
			t.Parallel()
			Check(t, f, body, "me")
			Check(t, f, body, "")
			if took := quick(f, body); took > limit {
				t.Errorf("reading %d bytes took %v, want at most %v", len(body), took, limit)
			}
			envelopes, err := f.Read(body, "me")
			if err != nil || len(envelopes) != 1 {
				t.Fatalf("Read(%.40q) = %d envelopes, %v, want 1 and no error", body, len(envelopes), err)
			}
			if e := envelopes[0]; e.Identity != "" {
				t.Errorf("Read(%.40q) has identity %q, want none: it has no id", body, e.Identity)
			}
		})
	}
}

// Bad are bodies that are not JSON, or too deep to be anybody's message.
func Bad() map[string][]byte {
	return map[string][]byte{
		"empty":           {},
		"blank":           []byte(" \n"),
		"text":            []byte("hello"),
		"cut":             []byte(`{"id":"1","text":"hel`),
		"two values":      []byte(`{"id":"1"}{"id":"2"}`),
		"trailing":        []byte(`{"id":"1"} x`),
		"trailing zero":   []byte("{\"id\":\"1\"}\x00"),
		"trailing comma":  []byte(`{"id":"1",}`),
		"control":         []byte("{\"id\":\"\x01\"}"),
		"nan":             []byte(`{"id":NaN}`),
		"leading zero":    []byte(`{"id":01}`),
		"form":            []byte("id=1&text=hi"),
		"byte order mark": []byte("\xef\xbb\xbf{\"id\":\"1\"}"),
		"abyss":           append(bytes.Repeat([]byte(`[`), 1<<20), bytes.Repeat([]byte(`]`), 1<<20)...),
		"open abyss":      bytes.Repeat([]byte(`{"a":`), 1<<18),
	}
}

// Odd are bodies that are JSON and no message of any IM.
func Odd() map[string][]byte {
	deep := bytes.Repeat([]byte(`[`), 5000)
	return map[string][]byte{
		"null":          []byte("null"),
		"number":        []byte(" 12 "),
		"string":        []byte(`"{\"id\":1}"`),
		"true":          []byte("true"),
		"empty object":  []byte("{}"),
		"empty array":   []byte("[]"),
		"nulls":         []byte("[null,null]"),
		"empty objects": []byte("[{},{ }]"),
		"numbers":       []byte("[1,2,3]"),
		"stranger":      []byte(`{"hello":"world","list":[1,2]}`),
		"escapes":       slices.Concat([]byte(`{"content":"`), bytes.Repeat([]byte(`\n`), 1<<18), []byte(`"}`)),
		"slashes":       slices.Concat([]byte(`{"content":"`), bytes.Repeat([]byte(`\\`), 1<<18), []byte(`"}`)),
		"quotes":        slices.Concat([]byte(`{"content":"`), bytes.Repeat([]byte(`\"`), 1<<18), []byte(`"}`)),
		"brackets":      slices.Concat([]byte(`{"messages":[`), bytes.Repeat([]byte(`{},`), 1<<18), []byte(`1]}`)),
		"deep":          slices.Concat(deep, bytes.Repeat([]byte(`]`), 5000)),
		"not UTF-8":     []byte("{\"hello\":\"\xff\xfe\"}"),
		"empty key":     []byte(`{"":{"":""}}`),
	}
}

// Check reads the body and checks what must hold whatever comes out: the body is untouched, the delivered bytes are the
// body or separate parts of it in order, the result is the same every time, and its text is UTF-8 and does not change
// when the body's memory is used again.
func Check(tb testing.TB, f relay.Format, body []byte, self string) {
	tb.Helper()
	mine := bytes.Clone(body)
	got, err := f.Read(mine, self)
	if !bytes.Equal(mine, body) {
		tb.Fatalf("Read changed the body: got %q, want %q", mine, body)
	}
	if err != nil {
		if !errors.Is(err, relay.ErrNotJSON) || json.Valid(body) {
			tb.Fatalf("Read(%q) error = %v, want %v if it is not JSON, else none", body, err, relay.ErrNotJSON)
		}
		return
	}
	if !json.Valid(body) {
		tb.Fatalf("Read(%q) took what is not JSON", body)
	}
	again, _ := f.Read(mine, self)
	if !reflect.DeepEqual(got, again) {
		tb.Fatalf("Read(%q) differs the second time: %+v and %+v", body, got, again)
	}
	checkRaw(tb, mine, got)
	before := render(tb, nil, withoutRaw(got))
	for i := range mine {
		mine[i] = '#'
	}
	if diff := cmp.Diff(string(before), string(render(tb, nil, withoutRaw(got)))); diff != "" {
		tb.Fatalf("the envelopes of %q changed with the body's memory:\n%s", body, diff)
	}
	for _, e := range got {
		checkFields(tb, e)
	}
}

func withoutRaw(envelopes []relay.Envelope) []relay.Envelope {
	bare := slices.Clone(envelopes)
	for i := range bare {
		bare[i].Raw = nil
	}
	return bare
}

func checkRaw(tb testing.TB, body []byte, envelopes []relay.Envelope) {
	tb.Helper()
	if len(envelopes) == 0 {
		tb.Fatalf("Read(%q) returned no envelope", body)
	}
	if raw := envelopes[0].Raw; len(envelopes) == 1 && (len(raw) != len(body) || &raw[0] != &body[0]) {
		tb.Fatalf("Raw = %q, want the body %q itself", raw, body)
	}
	from := uintptr(unsafe.Pointer(unsafe.SliceData(body)))
	end := 0
	for i, e := range envelopes {
		at := int(uintptr(unsafe.Pointer(unsafe.SliceData(e.Raw))) - from)
		if at < end || at+len(e.Raw) > len(body) || !json.Valid(e.Raw) {
			tb.Fatalf("envelope %d: Raw = %q, want a part of the body %q behind %d", i, e.Raw, body, end)
		}
		end = at + len(e.Raw)
	}
}

func checkFields(tb testing.TB, e relay.Envelope) {
	tb.Helper()
	for _, s := range append([]string{
		e.MessageID, e.Identity, e.Conversation, e.Sender, e.Nickname, e.Text, e.Kind,
	}, e.Peers...) {
		if !utf8.ValidString(s) {
			tb.Errorf("%q is not UTF-8 in %+v", s, e)
		}
	}
	for _, id := range append([]string{e.MessageID, e.Identity, e.Conversation, e.Sender, e.Kind}, e.Peers...) {
		if len(id) > 256 || strings.ContainsAny(id, "\x00\r\n") {
			tb.Errorf("%q is not fit for a key in %+v", id, e)
		}
	}
	if e.Kind == "" || e.Identity != "" && e.MessageID == "" || e.At.Year() > 9999 {
		tb.Errorf("a kind, an id with each identity and a time that JSON can hold are wanted, got %+v", e)
	}
}
