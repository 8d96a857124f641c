// Package format holds what the formats share: the check that a body is JSON, a look into it that copies nothing, and
// the rules for ids, times and strings that every IM needs. It knows no IM; those are its children.
//
// A body with a list of up to 1000 messages is split into them. One with more is a single event of kind "other" with
// the whole body: nothing of it is lost, but no part of it is known as a message, as a repeat, or as somebody's.
package format

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
)

const (
	// maxDepth is how deep a body may be nested, as in encoding/json: the fast check is recursive, and a megabyte of
	// brackets would cost it hundreds of megabytes of stack.
	maxDepth = 10_000
	// maxID is the longest id that is kept as it is.
	maxID = 256
	// maxBatch is how many messages of one body are told apart: each becomes a stored event of its own, and a body of a
	// megabyte could hold a hundred thousand. No server that we know sends a tenth of this.
	maxBatch = 1000
	// exact is the first whole number from which a float64 skips some.
	exact = 1 << 53
)

// Open checks that body is one JSON value with nothing after it, or returns [relay.ErrNotJSON]. The result looks into
// body instead of copying it, so every string of it that outlives the call must go through [Keep], [ID] or the like.
func Open(body []byte) (gjson.Result, error) {
	if !valid(body) {
		return gjson.Result{}, relay.ErrNotJSON
	}
	//nolint:gosec // G103: a copy of every body would be the dearest part of reading it; nobody writes to body meanwhile.
	return gjson.Parse(unsafe.String(unsafe.SliceData(body), len(body))), nil
}

func valid(body []byte) bool {
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) > maxDepth {
		return json.Valid(body) // needs no stack, and refuses what is nested deeper
	}
	return gjson.ValidBytes(body) //nolint:forbidigo // what is too deep has been counted out
}

// Batch reads a list of messages, one envelope each, with read. A list of several is split: what is delivered of each is
// its element exactly as it stands in body, so list must have been reached from there by [Members], ForEach or a plain
// path. A list of one is not: its body is delivered whole. null and {} hold nothing that could be lost; a list of them
// is no message. A list of other things than objects is none that we know, and stays in one piece; so does one of more
// than 1000 messages, whose body is delivered whole as [KindOther].
func Batch(body []byte, list gjson.Result, read func(v gjson.Result, raw []byte) relay.Envelope) []relay.Envelope {
	var found []gjson.Result
	odd := false
	list.ForEach(func(_, v gjson.Result) bool {
		odd = !v.IsObject() && v.Type != gjson.Null
		if v.IsObject() && !empty(v.Raw) {
			found = append(found, v)
		}
		return !odd && len(found) <= maxBatch
	})
	switch {
	case odd, len(found) > maxBatch:
		return Other(body)
	case len(found) == 0:
		return Meta(body)
	case len(found) == 1:
		return []relay.Envelope{read(found[0], body)}
	}
	envelopes := make([]relay.Envelope, len(found))
	for i, v := range found {
		end := v.Index + len(v.Raw)
		envelopes[i] = read(v, body[v.Index:end:end])
	}
	return envelopes
}

func empty(object string) bool {
	for i := 1; i < len(object); i++ {
		switch object[i] {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return object[i] == '}'
	}
	return true
}

// Other is a body that is not understood.
func Other(body []byte) []relay.Envelope {
	return []relay.Envelope{{Kind: KindOther, Raw: body}}
}

// Meta is a body that is understood and holds no message.
func Meta(body []byte) []relay.Envelope { return News(body, KindMeta) }

// News is a body that holds no message, and whose kind says what it tells of the account.
func News(body []byte, kind string) []relay.Envelope {
	return []relay.Envelope{{Kind: kind, Meta: true, Raw: body}}
}

// The kinds that all formats share.
const (
	KindText  = "text"
	KindImage = "image"
	KindMeta  = "meta"
	KindOther = "other"

	// KindOffline and KindOnline are of meta events that say whether the account is logged in.
	KindOffline = relay.KindOffline
	KindOnline  = relay.KindOnline
)

// Keep returns a copy of s that is valid UTF-8.
func Keep(s string) string {
	if !utf8.ValidString(s) {
		return strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	return strings.Clone(s)
}

// ID returns a copy of an id that is fit for keys, logs and headers: what is too long, not UTF-8 or holds control
// characters cannot be an IM's id, and is replaced by its digest, so that two of them still differ.
func ID(s string) string {
	if len(s) > maxID || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return Fingerprint(s)
	}
	return strings.Clone(s)
}

// Fingerprint returns a short digest of the parts, in which their borders count.
func Fingerprint(parts ...string) string {
	h := sha256.New()
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		//nolint:gosec // G103: Write keeps and changes nothing; a copy of a whole body for its digest is not worth it.
		h.Write(unsafe.Slice(unsafe.StringData(p), len(p)))
	}
	return "h:" + hex.EncodeToString(h.Sum(nil)[:16])
}

// Scalar returns the text of a string, or a number as it stands; anything else has none.
func Scalar(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Number:
		return v.Raw
	}
	return ""
}

// Rounded says that the id, decimal digits, looks as if it had gone through a float64 on its way: it is beyond the
// numbers that one can hold and ends in 000. Different messages may carry it.
func Rounded(id string) bool {
	n, err := strconv.ParseUint(strings.TrimPrefix(id, "-"), 10, 64)
	return err == nil && n > exact && n%1000 == 0
}

// Integer returns the whole number that v holds, as decimal text and without passing through a float64: a JSON number,
// a string of digits, or the {high,low} halves that JavaScript's protobuf makes of 64 bits. Fractions, exponents and
// what does not fit into 64 bits are not ok.
func Integer(v gjson.Result) (text string, ok bool) {
	switch {
	case v.Type == gjson.Number:
		return digits(v.Raw)
	case v.Type == gjson.String:
		return digits(strings.TrimSpace(v.Str))
	case v.IsObject():
		return halves(v)
	}
	return "", false
}

func digits(s string) (string, bool) {
	body, negative := strings.CutPrefix(s, "-")
	if body == "" || strings.ContainsFunc(body, func(r rune) bool { return r < '0' || r > '9' }) {
		return "", false
	}
	bare := strings.TrimLeft(body, "0")
	switch {
	case bare == "":
		return "0", true
	case len(bare) > 19:
		if _, err := strconv.ParseUint(bare, 10, 64); err != nil {
			return "", false
		}
	}
	if negative {
		return s[:1] + bare, true
	}
	return bare, true
}

// halves joins high·2^32 + low. JavaScript writes either half as a signed number.
func halves(v gjson.Result) (string, bool) {
	var parts [2]gjson.Result
	for m := MembersOf(v); m.Next(); {
		switch string(m.Name()) {
		case "high":
			parts[0] = m.Value()
		case "low":
			parts[1] = m.Value()
		}
	}
	var high, low uint32
	if !parts[0].Exists() && !parts[1].Exists() || !word(parts[0], &high) || !word(parts[1], &low) {
		return "", false
	}
	return strconv.FormatUint(uint64(high)<<32|uint64(low), 10), true
}

// word reads one half. A half that is not there is 0: protobuf leaves zeros out.
func word(v gjson.Result, into *uint32) bool {
	if !v.Exists() {
		return true
	}
	if v.Type != gjson.Number && v.Type != gjson.String {
		return false
	}
	text, ok := Integer(v)
	if !ok {
		return false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < math.MinInt32 || n > math.MaxUint32 {
		return false
	}
	*into = uint32(n & math.MaxUint32)
	return true
}

// Time reads a moment: unix seconds (a fraction is allowed) or milliseconds, as whatever [Integer] reads, or RFC 3339.
// What is none, or not positive, is the zero time.
func Time(v gjson.Result) time.Time {
	if text, ok := Integer(v); ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return time.Time{}
		}
		return unix(n)
	}
	text := v.Str
	if v.Type == gjson.Number {
		text = v.Raw
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if seconds > 0 && seconds < millisFrom {
			return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
		}
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// millisFrom is where a number stops being seconds: as seconds it is the year 5138, as milliseconds 1973.
const millisFrom = 100_000_000_000

func unix(n int64) time.Time {
	switch {
	case n <= 0 || n >= millisFrom*1000:
		return time.Time{}
	case n < millisFrom:
		return time.Unix(n, 0).UTC()
	}
	return time.UnixMilli(n).UTC()
}
