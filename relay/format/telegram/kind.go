package telegram

import "github.com/imrelay/imrelay/relay/format"

// The kinds that decide something here. The others are only shown and filtered by.
const (
	kindEdited   = "edited"
	kindCallback = "callback"
	kindRecall   = "recall"
	kindSystem   = "system"
	kindVideo    = "video"
	kindFile     = "file"
)

// contentKind names what a field of a message, in lower case and without underscores, makes of it; empty: nothing.
func contentKind(name string) string {
	switch name {
	case "photo":
		return format.KindImage
	case "video", "videonote", "animation":
		return kindVideo
	case "location", "venue":
		return "location"
	case "contact":
		return "card"
	case "paidmedia":
		return kindFile
	case "voice", "audio", "sticker", "poll", "dice", "game", "invoice", "checklist", "story":
		return name
	}
	return ""
}

// kindOf is what the message is. An animation is told as a document too.
func (f *fields) kindOf() string {
	switch {
	case f.kind != "":
		return f.kind
	case f.document:
		return kindFile
	}
	return kindSystem
}
