package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
)

// maxID is the longest id, in characters.
const maxID = 256

// maxMentions is how many members one message may call.
const maxMentions = 50

// longestPlay is how long a voice message or a video may be, in milliseconds.
const longestPlay = 3_600_000

// mediaTypes are the kinds of media that a send may carry.
var mediaTypes = []string{"image", "file", "voice", "video"}

// sendBody is the body of a send. Names are exact; null counts as not given; unknown fields are passed over.
type sendBody struct {
	to, im, text, replyTo       string
	requestID, msgID, messageID string
	media                       []outbound.Media
	mentions                    []outbound.Mention
	resend                      bool
}

// parseSend reads the body strictly. Every error is a 400 that names the field.
func parseSend(body []byte) (sendBody, error) {
	var m sendBody
	root, err := parseObject(body)
	if err != nil {
		return m, err
	}
	if err := m.fields(root); err != nil {
		return m, err
	}
	switch {
	case strings.TrimSpace(m.to) == "":
		return m, invalid("to", "is missing: it says who is to get the message")
	case m.text == "" && len(m.media) == 0:
		return m, invalid("text", "is missing: give text, media or both")
	}
	return m, nil
}

// parseObject checks that the body is one JSON object in UTF-8 and nothing else.
func parseObject(body []byte) (gjson.Result, error) {
	if !utf8.Valid(body) {
		return gjson.Result{}, invalid("body", "is not valid UTF-8")
	}
	if !json.Valid(body) {
		return gjson.Result{}, invalid("body", "is not one valid JSON object"+where(body))
	}
	root := gjson.ParseBytes(body)
	if !root.IsObject() {
		return gjson.Result{}, invalid("body", "must be a JSON object")
	}
	return root, nil
}

// where says at which byte a text stops being JSON.
func where(body []byte) string {
	var v json.RawMessage
	if s, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, &v)); ok {
		return ": it goes wrong at byte " + strconv.FormatInt(s.Offset, 10)
	}
	return ""
}

// fields reads what is known of the object. A known field that stands there twice is refused: which of them counts
// would be a guess.
func (m *sendBody) fields(root gjson.Result) error {
	texts := map[string]*string{
		"to": &m.to, "im": &m.im, "text": &m.text, "replyToMessageId": &m.replyTo,
		"requestId": &m.requestID, "msgId": &m.msgID, "messageId": &m.messageID,
	}
	return eachField(root, func(name string, v gjson.Result) (bool, error) {
		if target, ok := texts[name]; ok {
			return true, readText(name, v, target)
		}
		switch name {
		case "resend":
			return true, readBool(name, v, &m.resend)
		case "media":
			var err error
			m.media, err = readList(name, v, readMedium)
			return true, err
		case "mentions":
			var err error
			m.mentions, err = readList(name, v, readMention)
			if err == nil && len(m.mentions) > maxMentions {
				err = invalid(name, fmt.Sprintf("is longer than %d entries", maxMentions))
			}
			return true, err
		}
		return false, nil
	})
}

// eachField gives every field to read, which says whether it knows it, and refuses a known one that comes again.
func eachField(object gjson.Result, read func(name string, v gjson.Result) (bool, error)) error {
	var failed error
	var seen []string
	object.ForEach(func(key, v gjson.Result) bool {
		name := textOf(key)
		known, err := read(name, v)
		switch {
		case err != nil:
			failed = err
		case known && slices.Contains(seen, name):
			failed = invalid(name, "is given twice")
		case known:
			seen = append(seen, name)
		}
		return failed == nil
	})
	return failed
}

// readText reads a string, and bounds it where it is an id.
func readText(name string, v gjson.Result, target *string) error {
	switch v.Type {
	case gjson.Null:
		return nil
	case gjson.String:
		*target = textOf(v)
	default:
		return invalid(name, "must be a string")
	}
	if name == "text" {
		return nil
	}
	return checkID(name, *target)
}

// textOf is the string that v stands for. Escaped code units go through encoding/json, which minds broken pairs.
func textOf(v gjson.Result) string {
	if !strings.Contains(v.Raw, `\u`) {
		return v.Str
	}
	var s string
	if json.Unmarshal([]byte(v.Raw), &s) != nil {
		return v.Str
	}
	return s
}

// checkID bounds an id's length.
func checkID(name, id string) error {
	switch {
	case !utf8.ValidString(id):
		return invalid(name, "is not valid UTF-8")
	case len(id) > maxID && utf8.RuneCountInString(id) > maxID:
		return invalid(name, fmt.Sprintf("is longer than %d characters", maxID))
	}
	return nil
}

// readBool reads true or false.
func readBool(name string, v gjson.Result, target *bool) error {
	switch v.Type {
	case gjson.Null:
	case gjson.True, gjson.False:
		*target = v.Bool()
	default:
		return invalid(name, "must be true or false")
	}
	return nil
}

// readList reads a list, each entry by read, which is given its name.
func readList[T any](name string, v gjson.Result, read func(name string, v gjson.Result) (T, error)) ([]T, error) {
	if v.Type == gjson.Null {
		return nil, nil
	}
	if !v.IsArray() {
		return nil, invalid(name, "must be a list")
	}
	var list []T
	var failed error
	v.ForEach(func(_, item gjson.Result) bool {
		one, err := read(fmt.Sprintf("%s[%d]", name, len(list)), item)
		failed = err
		list = append(list, one)
		return err == nil
	})
	return list, failed
}

// everybody are ids by which IMs call all members of a group at once. A relay does not lend itself to that.
var everybody = []string{"all", "@all", "notify@all", "everyone", "@everyone", "here", "@here"}

// readMention reads whom the message calls: an id, or an object with id and name.
func readMention(name string, v gjson.Result) (outbound.Mention, error) {
	var m outbound.Mention
	var err error
	switch {
	case v.Type == gjson.String:
		m.ID = textOf(v)
	case v.IsObject():
		err = readTexts(name, v, map[string]*string{"id": &m.ID, "name": &m.Name})
	default:
		return m, invalid(name, "must be an id, or an object with id and name")
	}
	switch {
	case err != nil:
		return m, err
	case m.ID == "" || strings.ContainsFunc(m.ID, unicode.IsSpace):
		return m, invalid(name+".id", "must be the id of a member")
	case slices.Contains(everybody, strings.ToLower(m.ID)):
		return m, invalid(name+".id", "must be one member: everybody cannot be called")
	}
	return m, errors.Join(checkID(name+".id", m.ID), checkID(name+".name", m.Name))
}

// readTexts reads the strings of an object.
func readTexts(name string, v gjson.Result, targets map[string]*string) error {
	return eachField(v, func(field string, v gjson.Result) (bool, error) { return readOne(name, field, v, targets) })
}

// readOne reads one string of an object, and says whether it is one of those.
func readOne(name, field string, v gjson.Result, targets map[string]*string) (bool, error) {
	target, ok := targets[field]
	switch {
	case !ok || v.Type == gjson.Null:
		return ok, nil
	case v.Type != gjson.String:
		return true, invalid(name+"."+field, "must be a string")
	}
	*target = textOf(v)
	return true, nil
}

// readMedium reads one entry of the list.
func readMedium(name string, v gjson.Result) (outbound.Media, error) {
	var m outbound.Media
	if !v.IsObject() {
		return m, invalid(name, "must be an object")
	}
	var long gjson.Result
	err := eachField(v, func(field string, v gjson.Result) (bool, error) {
		if field == "durationMs" {
			long = v
			return true, nil
		}
		return readOne(name, field, v, map[string]*string{"type": &m.Type, "url": &m.URL, "name": &m.Name})
	})
	switch {
	case err != nil:
		return m, err
	case !slices.Contains(mediaTypes, m.Type):
		return m, invalid(name+".type", "must be one of "+strings.Join(mediaTypes, ", "))
	case !isWebURL(m.URL):
		return m, invalid(name+".url", "must be an http or https URL")
	case long.Exists() && long.Type != gjson.Null && (long.Type != gjson.Number || long.Num < 0 || long.Num > longestPlay):
		return m, invalid(name+".durationMs", "must be a number of milliseconds, up to an hour")
	}
	m.Millis = int(long.Num)
	return m, nil
}

// isWebURL says that somebody could fetch it.
func isWebURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
