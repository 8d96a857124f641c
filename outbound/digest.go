package outbound

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"strconv"
)

// digest is what "the same content" means: the recipient, the resolved account, the text, the message answered, the
// media and the mentions, each with its length, so that no two contents are one run of bytes. What is not given adds
// nothing: a ledger of before knows no mentions.
func digest(r Request) [sha256.Size]byte {
	h := sha256.New()
	field(h, r.To)
	field(h, r.Account)
	field(h, r.Text)
	field(h, r.ReplyTo)
	for _, m := range r.Media {
		field(h, m.Type)
		field(h, m.URL)
		field(h, m.Name)
		if m.Millis != 0 {
			field(h, strconv.Itoa(m.Millis))
		}
	}
	for _, m := range r.Mentions {
		field(h, "@")
		field(h, m.ID)
		field(h, m.Name)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func field(h hash.Hash, s string) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
	h.Write([]byte(s))
}
