// Package pad is what the servers of WeChat's iPad protocol share, whatever their paths and envelopes: how WeChat's own
// answer is read inside of theirs, who may be called, what is carried, and the pace that keeps an account alive. It calls
// nobody, and what an envelope's code means is its connector's business.
//
// All servers pass WeChat's answer on, but each spells the keys in its own way: newMsgId, NewMsgId, Newmsgid or
// new_msg_id, base_response or baseResponse. So letter case and underscores do not count here. Ids are read as they
// stand, all 64 bits of them.
package pad

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/markdown"
)

const (
	// maxText is the longest text, in UTF-16 units. WeChat announces no bound; this one is cautious.
	maxText = 2000
	// everybody is how the ids end that call all members of a group.
	everybody = "@all"
)

// Manners are what a connector to such a server offers beside sending. They are embedded in it.
type Manners struct{ keep bool }

// NewManners makes Manners of the configured key markdown: plain, or empty, takes the marks out of a text, keep leaves
// them in.
func NewManners(marks string) (Manners, error) {
	if marks != "" && marks != "plain" && marks != "keep" {
		return Manners{}, errors.New("markdown: want plain or keep")
	}
	return Manners{keep: marks == "keep"}, nil
}

// Render implements [outbound.Renderer].
func (m Manners) Render(text string) string {
	if m.keep {
		return text
	}
	return markdown.Plain(text)
}

// MaxText implements [outbound.Measured].
func (Manners) MaxText() int { return maxText }

// Measure implements [outbound.Measured]: it counts UTF-16 units, so that an emoji counts double.
func (Manners) Measure(text string) int {
	n := 0
	for _, r := range text {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// Pace implements [outbound.Paced].
func (Manners) Pace(to string) (outbound.Limits, string) {
	return outbound.Limits{
		Account:   outbound.Rate{N: 1, Per: 1200 * time.Millisecond, Burst: 1},
		Recipient: outbound.Rate{N: 1, Per: 2 * time.Second, Burst: 2},
		Jitter:    500 * time.Millisecond,
		Ramp:      10 * time.Minute,
	}, to
}

// Carry implements [outbound.Carrier].
func (Manners) Carry(m outbound.Media) error {
	switch {
	case m.Type != "image" && m.Type != "voice":
		return errors.New("this IM takes images and voice messages only; put the address into the text")
	case !connector.Fetchable(m.URL):
		return errors.New("url: want an http or https URL, or a data: URL in base64")
	case m.Type == "voice" && m.Millis <= 0:
		return errors.New("durationMs: this IM takes a voice message only with how long it plays")
	}
	return nil
}

// Check refuses what no call can send: a mention of more than one member, and media that go not by themselves.
func (m Manners) Check(msg outbound.Message) *outbound.SendError {
	for _, who := range msg.Mentions {
		if err := checkMention(who.ID); err != nil {
			return Refuse("mention", err)
		}
	}
	switch {
	case len(msg.Media) == 0:
		return nil
	case len(msg.Media) > 1 || msg.Text != "":
		return Refuse("media", errors.New("one medium at a time, and no text with it"))
	}
	if err := m.Carry(msg.Media[0]); err != nil {
		return Refuse("media", err)
	}
	return nil
}

// Refuse is a refusal of our own, before anything is called.
func Refuse(code string, err error) *outbound.SendError {
	return &outbound.SendError{Reason: outbound.Rejected, Code: code, Detail: err.Error(), Err: err}
}

// checkMention refuses what would call more than one member.
func checkMention(id string) error {
	switch {
	case id == "" || strings.ContainsFunc(id, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }):
		return errors.New("want the id of one member")
	case strings.EqualFold(id, everybody[1:]) || strings.HasSuffix(strings.ToLower(id), everybody):
		return errors.New("everybody cannot be called")
	}
	return nil
}

// Called are the ids of those whom the message calls, each once; never nil.
func Called(ms []outbound.Mention) []string {
	ids := make([]string, 0, len(ms))
	for _, m := range ms {
		if !slices.Contains(ids, m.ID) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// Content is the text, after the names of those whom it calls and does not name: WeChat shows a call only where the text
// has "@" and the name.
func Content(m outbound.Message) string {
	var before strings.Builder
	seen := make([]string, 0, len(m.Mentions))
	for _, who := range m.Mentions {
		name := "@" + who.ID
		if who.Name != "" {
			name = "@" + who.Name
		}
		if !slices.Contains(seen, who.ID) && !strings.Contains(m.Text, name) {
			fmt.Fprintf(&before, "%s\u2005", name)
		}
		seen = append(seen, who.ID)
	}
	return before.String() + m.Text
}
