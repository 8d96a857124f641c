package outbound

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
)

// piece is what one call to the IM carries: a part of the text, a medium that goes by itself, or both together.
type piece struct {
	Piece

	media []Media
	// apart says that the medium is a message of its own.
	apart bool
}

// cut cuts what is left of the message into what single calls carry.
func (s *Sender) cut(j *job) []piece {
	a := s.account(j)
	text, first := j.shown(a), len(j.rec.IDs) == 0
	var out []piece
	if j.rec.At < len(text) || first && (text != "" || a.carry == nil) {
		for _, p := range (Cutter{Fits: a.fits, Limit: maxParts + 1}).Cut(text[j.rec.At:], j.rec.Fence) {
			out = append(out, piece{Piece: p})
		}
	}
	switch {
	case a.carry != nil:
		for _, m := range j.Media[min(j.rec.Media, len(j.Media)):] {
			out = append(out, piece{media: []Media{m}, apart: true})
		}
	case first:
		out[0].media = j.Media
	}
	return out
}

// shown is the text as the account's IM should show it. One of which nothing would be left is shown as it is.
func (j *job) shown(a account) string {
	if j.rendered || a.render == nil {
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
	if j.pieces = s.cut(j); len(j.pieces) > maxParts && j.Adapt {
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
	j.pieces = s.cut(j)
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
	if p.apart {
		r.Media++
		return
	}
	r.At, r.Fence = r.At+p.End-p.Start, p.Fence
}
