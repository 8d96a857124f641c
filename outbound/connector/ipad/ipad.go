// Package ipad is what the servers of WeChat's iPad protocol share, whatever their paths and envelopes: how WeChat's own
// answer is read inside of theirs, what the words of a failure mean, who may be called, what is carried, and the pace that
// keeps an account alive. It knows no path, and what an envelope's code means is its connector's business.
//
// # Answers
//
// All servers pass WeChat's answer on, but each spells the keys in its own way: newMsgId, NewMsgId, Newmsgid or
// new_msg_id, base_response or baseResponse. So letter case and underscores do not count here. Ids are read as they
// stand, all 64 bits of them. WeChat's return codes, which may come as 32 bits without a sign (4294967294 for -2), mean:
//
//   - -13, -100, -2008: logged out, surely not sent.
//   - -24, -34: too fast, three minutes of rest. No server says for how long, and trying on makes it worse.
//   - -1, -29, below -100000, above 0: WeChat's or the server's trouble, it may have been sent.
//   - Any other: refused for good, such as -2 (an argument) and -22 (blocked).
//
// # Words
//
// What has no code that is known is read by its words, in this order; what is the message's own, such as its text and its
// recipient, is taken out before, for it says nothing:
//
//   - A crash, an answer that could not be read, a time-out, a lost connection: the message may have been sent.
//   - A lost login: surely not sent, and the account is offline.
//   - Too frequent: three minutes of rest.
//   - A cause that is found before anything is sent, such as a stranger or a wrong argument: refused for good.
//
// The words are collected from reports and public clients; no list of them is published.
//
// # Mentions
//
// WeChat shows a call only where the text has "@" and the name: where it has not, that is put before the text, with the
// space that WeChat's own clients write. Nobody can call everybody: such ids are refused, as are those that could become
// several in a list with commas. What the text says calls nobody.
//
// A call's text has 2000 UTF-16 units, which is our own cautious choice, and 200 of them are kept for names, of which at
// most 32 units are shown. Who does not fit in is not called.
package ipad

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/markdown"
)

// Connector is what a connector to such a server does.
type Connector interface {
	outbound.Measured
	outbound.Paced
	outbound.Carrier
	outbound.Renderer
	outbound.Checker
}

// In UTF-16 units.
const (
	// longest is the longest text of a call. WeChat announces no bound; this one is cautious.
	longest = 2000
	// room is what of it is left for the names that are put before a text.
	room = 200
	// longestName is how much of a name is put there.
	longestName = 32
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

// MaxText implements [outbound.Measured]: a text is cut before anybody knows what names are put before it.
func (Manners) MaxText() int { return longest - room }

// Measure implements [outbound.Measured]: it counts UTF-16 units, so that an emoji counts double.
func (Manners) Measure(text string) int { return units(text) }

func units(text string) int {
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

// Carry implements [outbound.Carrier] for a server that takes the bytes of pictures and voice messages.
func (Manners) Carry(m outbound.Media) error { return Carry(m, "image", "voice") }

// Carry says why a medium cannot go, where the IM takes those types.
func Carry(m outbound.Media, types ...string) error {
	switch {
	case !slices.Contains(types, m.Type):
		return errors.New("this IM takes media of these types only: " + strings.Join(types, ", ") + "; put the address into the text")
	case !connector.Fetchable(m.URL):
		return errors.New("url: want an http or https URL, or a data: URL in base64")
	case m.Type == "voice" && m.Millis <= 0:
		return errors.New("durationMs: this IM takes a voice message only with how long it plays")
	}
	return nil
}

// Check refuses what no call can send: a mention of more than one member, and media that go not by themselves, or that
// are not carried.
func Check(msg outbound.Message, carry func(outbound.Media) error) *outbound.SendError {
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
	if err := carry(msg.Media[0]); err != nil {
		return Refuse("media", err)
	}
	return nil
}

// Hide is what of the message is no word of the server's, and what else is not to be shown: an id or a file's name that an
// answer repeats must not decide what the answer means.
func Hide(m outbound.Message, also ...string) []string {
	out := append([]string{m.Text, m.To, m.ReplyTo}, also...)
	for _, who := range m.Mentions {
		out = append(out, who.ID, who.Name, shown(who))
	}
	for _, medium := range m.Media {
		out = append(out, medium.Name)
	}
	// The longest first: of a shorter one that is a part of it, the rest would stay.
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out
}

// Refuse is a refusal of our own, before anything is called.
func Refuse(code string, err error) *outbound.SendError {
	return &outbound.SendError{Reason: outbound.Rejected, Ours: true, Code: code, Detail: err.Error(), Err: err}
}
