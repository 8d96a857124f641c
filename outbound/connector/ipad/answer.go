package ipad

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
)

const (
	longestCode   = 64
	longestDetail = 200
	// cooling is how long an account is left alone that was too fast. No server says.
	cooling = 3 * time.Minute
)

// Get is the value at the path, whatever the case of its keys and the underscores in them; one that does not exist if
// there is none. Of two keys that differ in their spelling only, the first counts.
func Get(v gjson.Result, path ...string) gjson.Result {
	for _, name := range path {
		var found gjson.Result
		if v.IsObject() {
			v.ForEach(func(key, value gjson.Result) bool {
				if strings.EqualFold(strings.ReplaceAll(key.Str, "_", ""), name) {
					found = value
				}
				return !found.Exists()
			})
		}
		v = found
	}
	return v
}

// Report is what WeChat's answer says.
type Report struct {
	// ID is the message's id; empty: it has none.
	ID string
	// Sent says that something in it tells of a sent message.
	Sent bool
	// Failure is why it was not, or need not have been, sent; nil: nothing says so.
	Failure *outbound.SendError
}

// Read reads WeChat's answer as a server passes it on: one object, or a list of one for each message of the call. It is
// a failure if any of its parts is: the server's own word, the answer's return code, or that of a recipient.
func Read(data gjson.Result, hide ...string) Report {
	items := []gjson.Result{data}
	if data.IsArray() {
		items = data.Array()
	}
	var out Report
	for _, item := range items {
		one := readItem(item, hide)
		if one.Failure != nil {
			return Report{Failure: one.Failure}
		}
		out.Sent = out.Sent || one.Sent
		if out.ID == "" {
			out.ID = one.ID
		}
	}
	return out
}

// readItem reads what is about one message.
func readItem(item gjson.Result, hide []string) Report {
	resp := Get(item, "resp")
	said := Get(item, "issendsuccess")
	itemWords := wordsOf(hide, item)
	words := wordsOf(hide, item, Get(item, "baseresponse"), resp, Get(resp, "baseresponse"))
	var out Report
	for _, part := range partsOf(item, resp) {
		if ret := Get(part, "ret"); ret.Exists() && ret.Type != gjson.Null {
			if code, ok := returned(ret); !ok || code != 0 {
				return Report{Failure: refused(code, ok, words)}
			}
			out.Sent = true
		}
		if id := ID(Get(part, "newmsgid")); out.ID == "" && id != "" {
			out.ID, out.Sent = id, true
		}
	}
	switch {
	case IsFalse(said):
		return Report{Failure: told(words, "not_sent")}
	case said.Type == gjson.True:
		out.Sent = true
	case out.ID == "" && itemWords != "", !out.Sent && words != "":
		return Report{Failure: told(words, "no_result")}
	}
	return out
}

// partsOf are the objects in which a return code or an id may stand.
func partsOf(nodes ...gjson.Result) []gjson.Result {
	var out []gjson.Result
	for _, n := range nodes {
		out = append(out, Get(n, "baseresponse"), n)
		for _, list := range []string{"chatsendretlist", "list"} {
			if rows := Get(n, list); rows.IsArray() {
				out = append(out, rows.Array()...)
			}
		}
	}
	return out
}

// wordsOf are the first words that one of the nodes has for an error, fit to be shown.
func wordsOf(hide []string, nodes ...gjson.Result) string {
	for _, n := range nodes {
		v := Get(n, "errmsg")
		for _, text := range []gjson.Result{v, Get(v, "str"), Get(v, "string")} {
			if text.Type == gjson.String && text.Str != "" {
				return connector.Clean(text.Str, longestDetail, hide...)
			}
		}
	}
	return ""
}

// IsFalse says that a flag is off, in whatever type it was written.
func IsFalse(v gjson.Result) bool {
	return v.Type == gjson.False || v.Type == gjson.Number && v.Num == 0 || strings.EqualFold(v.Str, "false")
}

// told is a failure of which there are words only.
func told(words, code string) *outbound.SendError {
	e, ok := Meaning(words)
	if !ok {
		e.Reason = outbound.Uncertain
	}
	e.Code, e.Detail = code, words
	return &e
}

// The return codes of WeChat that mean something to a sender.
const (
	retSystem      = -1
	retLoggedOut   = -13
	retSpam        = -24
	retBehind      = -29
	retTooFrequent = -34
	retElsewhere   = -100
	retKicked      = -2008
	// retClient is where the codes begin that a client gives itself, when it got no answer.
	retClient = -100000
)

// refused is what follows from a return code that is not 0.
func refused(code int32, isNumber bool, words string) *outbound.SendError {
	out := &outbound.SendError{Reason: outbound.Rejected, Code: strconv.Itoa(int(code)), Detail: words}
	switch {
	case !isNumber:
		out.Reason, out.Code = outbound.Uncertain, "ret"
	case code == retLoggedOut, code == retElsewhere, code == retKicked:
		out.Reason, out.Offline = outbound.NotSent, true
	case code == retSpam, code == retTooFrequent:
		out.Reason, out.After = outbound.Throttled, cooling
	case code == retSystem, code == retBehind, code > 0, code <= retClient:
		out.Reason = outbound.Uncertain
	}
	return out
}

// ID is an id as text: a number with all its digits, a text of digits, or {"high":…,"low":…}. It is empty for 0, and for
// what is no id.
func ID(v gjson.Result) string {
	if n, ok := integer(v); ok && n > 0 && !strings.HasPrefix(connector.Text(v), "-") {
		return strconv.FormatUint(n, 10)
	}
	return ""
}

// integer reads a whole number in any of its forms; a negative one as its two's complement.
func integer(v gjson.Result) (uint64, bool) {
	if !v.IsObject() {
		return parse(connector.Text(v))
	}
	high, low := Get(v, "high"), Get(v, "low")
	if !high.Exists() && !low.Exists() {
		return 0, false
	}
	h, ok := half(high)
	l, alsoOK := half(low)
	return h<<32 | l, ok && alsoOK
}

// returned reads a return code: 32 bits with a sign, of which -2 may be written as 4294967294.
func returned(v gjson.Result) (int32, bool) {
	n, ok := integer(v)
	return int32(n & math.MaxUint32), ok && fits(n) //nolint:gosec // the sign is in the 32 bits
}

// half is one half of a number: with a sign or without, the 32 bits are the same, and one that is left out is 0.
func half(v gjson.Result) (uint64, bool) {
	if !v.Exists() {
		return 0, true
	}
	n, ok := parse(connector.Text(v))
	return n & math.MaxUint32, ok && fits(n)
}

// fits says that a number, which may be a two's complement, has no more than 32 bits.
func fits(n uint64) bool { return n <= math.MaxUint32 || n >= math.MaxUint64-math.MaxInt32 }

func parse(s string) (uint64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return uint64(n), true //nolint:gosec // the two's complement is what is wanted
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// Said is a server's own text, as far as it may be shown and means something: a text that is only repeated to us is
// hidden from both.
func Said(words string, hide ...string) string {
	return connector.Clean(words, longestDetail, hide...)
}

// Fail is the failure of an envelope with a code of its own.
func Fail(means outbound.SendError, code, said string, hide ...string) *outbound.SendError {
	means.Code, means.Detail = connector.Clean(code, longestCode, hide...), said
	return &means
}
