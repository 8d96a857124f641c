package generic

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Config says where things are in a message. Each is a path in the syntax of gjson; where a path meets a name that
// comes twice in an object, the first one counts. An empty one means the usual names, which the package lists.
type Config struct {
	// ID is the message's id: what makes a repeat.
	ID string `yaml:"id"`
	// Conversation is the chat; without one it is the sender.
	Conversation string `yaml:"conversation"`
	// Sender is the id of who wrote it, Nickname what he is called.
	Sender   string `yaml:"sender"`
	Nickname string `yaml:"nickname"`
	// Text is the message's text.
	Text string `yaml:"text"`
	// Image is the URL of a picture.
	Image string `yaml:"image"`
	// Kind is what kind of message it is: text, image, ….
	Kind string `yaml:"kind"`
	// Group tells that the conversation is a group.
	Group string `yaml:"group"`
	// Mentioned tells that the account is mentioned, or lists who is.
	Mentioned string `yaml:"mentioned"`
	// Self tells that the message is the account's own.
	Self string `yaml:"self"`
	// Time is when it was sent: unix seconds or milliseconds, or RFC 3339.
	Time string `yaml:"time"`
	// Messages is the array that a body with several messages holds them in, a path of plain names and numbers; the
	// other paths then start from its elements. Empty: a body is one message, or is itself such an array.
	Messages string `yaml:"messages"`
}

// paths lists the paths by place.
func (c Config) paths() [places]string {
	return [places]string{
		ident: c.ID, conversation: c.Conversation, sender: c.Sender, nickname: c.Nickname, words: c.Text,
		image: c.Image, kind: c.Kind,
		group: c.Group, mention: c.Mentioned, own: c.Self, moment: c.Time,
	}
}

// keys are the configuration's words for the places.
var keys = [places]string{
	ident: "id", conversation: "conversation", sender: "sender", nickname: "nickname", words: "text",
	image: "image", kind: "kind",
	group: "group", mention: "mentioned", own: "self", moment: "time",
}

// Validate checks the paths, and returns all mistakes at once.
func (c Config) Validate() error {
	var mistakes []error
	for at, path := range c.paths() {
		if fault := faultOf(path); fault != "" {
			mistakes = append(mistakes, fmt.Errorf("%s: path %q %s", keys[at], path, fault))
		}
	}
	fault := faultOf(c.Messages)
	if fault == "" && strings.ContainsAny(c.Messages, "#|*?@!(){}[]") {
		fault = "must be plain names and numbers, as elements are delivered as they stand in the body"
	}
	if fault != "" {
		mistakes = append(mistakes, fmt.Errorf("messages: path %q %s", c.Messages, fault))
	}
	return errors.Join(mistakes...)
}

// maxPath is the longest path; a longer one is a mistake of copying.
const maxPath = 256

// faultOf says what is wrong with a path. gjson itself takes anything, and finds nothing with a bad one.
func faultOf(path string) string {
	switch {
	case len(path) > maxPath:
		return fmt.Sprintf("is longer than %d bytes", maxPath)
	case !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl):
		return "is not plain text"
	case path == "":
		return ""
	}
	s := splitter{}
	for i := range len(path) {
		if fault := s.step(path[i]); fault != "" {
			return fault
		}
	}
	return s.end()
}

// splitter reads a path byte by byte.
type splitter struct {
	open    []byte // the brackets that are to be closed
	part    int    // bytes of the current part
	escaped bool
	quoted  bool
}

func (s *splitter) step(c byte) string {
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\':
		s.escaped = true
	case c == '"' && len(s.open) > 0:
		s.quoted = !s.quoted
	case s.quoted:
	case strings.IndexByte("([{", c) >= 0:
		s.open = append(s.open, c)
	case strings.IndexByte(")]}", c) >= 0:
		if len(s.open) == 0 || s.open[len(s.open)-1] != opening[c] {
			return "has a bracket too many"
		}
		s.open = s.open[:len(s.open)-1]
	case (c == '.' || c == '|') && len(s.open) == 0:
		if s.part == 0 {
			return "has an empty part"
		}
		s.part = 0
		return ""
	}
	s.part++
	return ""
}

var opening = map[byte]byte{')': '(', ']': '[', '}': '{'}

func (s *splitter) end() string {
	switch {
	case s.escaped:
		return "ends in a backslash"
	case s.quoted || len(s.open) > 0:
		return "has a bracket or quote that is not closed"
	case s.part == 0:
		return "ends in a dot"
	}
	return ""
}
