package signer

import (
	"crypto/hmac"
	"crypto/subtle"
	"hash"
	"sync"
)

// macKey is one secret of a ring. It keeps keyed hash states, whose set-up costs as much as half a kilobyte of body.
// The secret itself lives in the closure of pool.New, where no printing reaches it.
type macKey struct{ pool sync.Pool }

// macState is one keyed hash and the space for its input and output, so that a signature allocates only its header.
type macState struct {
	mac  hash.Hash
	head []byte // what is signed before the body
	sum  []byte
	text []byte // prefix and encoded sum
	want []byte // what the request claims
}

// newMACKey keys hash with secret.
func newMACKey(newHash func() hash.Hash, secret []byte) *macKey {
	k := &macKey{}
	k.pool.New = func() any {
		s := &macState{mac: hmac.New(newHash, secret)}
		s.mac.Reset() // from the first Reset on, the keyed state is copied instead of computed
		return s
	}
	return k
}

// encoding appends the text form of a sum.
type encoding func(dst, sum []byte) []byte

// macRing is the keys of a scheme and the form of its signatures.
type macRing struct {
	keys   []*macKey
	prefix string
	encode encoding
}

// compute leaves the signature over head and body in s.text.
func (r *macRing) compute(s *macState, body []byte, head []string) {
	s.mac.Reset()
	s.head = s.head[:0]
	for _, part := range head {
		s.head = append(s.head, part...)
	}
	if len(s.head) > 0 {
		s.mac.Write(s.head)
	}
	s.mac.Write(body)
	s.sum = s.mac.Sum(s.sum[:0])
	s.text = r.encode(append(s.text[:0], r.prefix...), s.sum)
}

// sign returns the first key's signature over head and body; a ring without keys has none.
func (r *macRing) sign(body []byte, head ...string) (string, bool) {
	if len(r.keys) == 0 {
		return "", false
	}
	k := r.keys[0]
	s := k.pool.Get().(*macState)
	defer k.pool.Put(s)
	r.compute(s, body, head)
	return string(s.text), true
}

// verify tells whether claimed is a key's signature over head and body. It tries all keys, so that its time does not
// tell which one it was.
func (r *macRing) verify(claimed string, body []byte, head ...string) bool {
	ok := 0
	for _, k := range r.keys {
		ok |= r.match(k, claimed, body, head)
	}
	return ok == 1
}

// match compares claimed with k's signature in constant time.
func (r *macRing) match(k *macKey, claimed string, body []byte, head []string) int {
	s := k.pool.Get().(*macState)
	defer k.pool.Put(s)
	r.compute(s, body, head)
	if len(claimed) != len(s.text) {
		return 0
	}
	s.want = append(s.want[:0], claimed...)
	return subtle.ConstantTimeCompare(s.text, s.want)
}
