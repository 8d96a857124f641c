package outbound

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
)

// piece is what one call to the IM carries: a part of the text, media that go by themselves, or both together.
type piece struct {
	Piece

	media []Media
	// apart says that there is no text with the media.
	apart bool
}

// cut cuts what is left of the message into what single calls carry, with the account as it is now. limit is how many
// parts of text are made at most; 0: as many as it takes, for a message that was accepted is sent to its end.
func (s *Sender) cut(j *job, limit int) []piece {
	a := s.account(j)
	text, first := j.shown(a), len(j.rec.IDs) == 0
	media := j.Media[min(j.rec.Media, len(j.Media)):]
	var out []piece
	if j.rec.At < len(text) || first && text != "" {
		for _, p := range (Cutter{Fits: a.fits, Limit: limit}).Cut(text[j.rec.At:], j.rec.Fence) {
			out = append(out, piece{Piece: p})
		}
	}
	switch {
	case len(media) == 0:
	case a.carry != nil:
		for _, m := range media {
			out = append(out, piece{media: []Media{m}, apart: true})
		}
	case len(out) == 0:
		out = append(out, piece{media: media, apart: true})
	default:
		out[0].media = media
	}
	return out
}

// shown is the text as the account's IM should show it, or did show it when its first part went. One of which nothing would
// be left is shown as it is.
func (j *job) shown(a account) string {
	switch {
	case j.rec.Text != "":
		return j.rec.Text
	case j.rendered, j.rec.AsIs, a.render == nil:
		return j.Text
	}
	if text := a.render(j.Text); strings.TrimSpace(text) != "" {
		return text
	}
	return j.Text
}

// fit makes the message one that the IM can take, or says why there is no such.
func (s *Sender) fit(j *job) *Error {
	if err := s.carried(j); err != nil {
		return err
	}
	if j.pieces = s.cut(j, maxParts+1); len(j.pieces) > maxParts && j.Adapt {
		s.shorten(j)
	}
	if len(j.pieces) > maxParts {
		return refuse(CodeInvalid, "the message is too long: it would need more than %d parts; shorten it", maxParts)
	}
	return nil
}

// carried refuses a medium that the IM does not take, or puts its address into the text.
func (s *Sender) carried(j *job) *Error {
	carry := s.account(j).carry
	if carry == nil {
		return nil
	}
	var kept []Media
	for i, m := range j.Media {
		err := carry(m)
		if len(kept) == maxParts-1 && j.Adapt {
			err = errTooMany
		}
		switch {
		case err == nil:
			kept = append(kept, m)
		case !j.Adapt:
			return refuse(CodeUnsupportedMedia, "media[%d]: %s", i, err)
		default:
			j.Text = strings.TrimPrefix(j.Text+"\n"+told(m), "\n")
		}
	}
	j.Media = kept
	return nil
}

// errTooMany is why a medium of an agent is told: beside the text there is room for so many.
var errTooMany = errors.New("too many media")

// told is a medium in words.
func told(m Media) string {
	if strings.HasPrefix(m.URL, "https://") || strings.HasPrefix(m.URL, "http://") {
		return m.URL
	}
	return fmt.Sprintf("[%s]", m.Type)
}

// cutOff is what a text ends with that was cut off, and room the characters that make way for it.
const (
	cutOff = "…"
	room   = 4
)

// shorten leaves of the text what the most parts hold beside the media.
func (s *Sender) shorten(j *job) {
	texts := 0
	for _, p := range j.pieces {
		if !p.apart {
			texts++
		}
	}
	last := maxParts - (len(j.pieces) - texts)
	if last < 1 || texts <= last {
		return
	}
	text := j.shown(s.account(j))
	kept := text[:j.pieces[last-1].End]
	for range room {
		_, size := utf8.DecodeLastRuneInString(kept)
		kept = kept[:len(kept)-size]
	}
	j.Text, j.rendered = strings.TrimRightFunc(kept, unicode.IsSpace)+cutOff, true
	j.pieces = s.cut(j, 0)
	s.log.Warn("text is too long and was cut off", append(j.fields("outbound.shortened", "shortened"),
		zap.Int("textLength", utf8.RuneCountInString(text)), zap.Int("kept", utf8.RuneCountInString(j.Text)))...)
}

// message is what goes to the IM for one piece.
func (j *job) message(p piece) Message {
	m := Message{Account: j.Account, To: j.To, Text: p.Text, RequestID: j.id, Media: p.media}
	n := len(j.rec.IDs)
	if j.rec.Long {
		m.RequestID += "-" + strconv.Itoa(n+1)
	}
	if n == 0 {
		m.ReplyTo, m.Mentions = j.ReplyTo, j.Mentions
	}
	return m
}

// done takes note of a piece that was sent.
func (r *record) done(p piece, id string) {
	r.IDs = append(slices.Clip(r.IDs), id)
	r.Media += len(p.media)
	if !p.apart {
		r.At, r.Fence = r.At+p.End-p.Start, p.Fence
	}
}

// keep notes how a message in parts is shown, which must not become another in its middle: where a part begins is a place
// in that text.
func (r *record) keep(j *job, text string) {
	switch {
	case len(j.pieces) < 2:
	case text == j.Text:
		r.AsIs = true
	default:
		r.Text = text
	}
}
