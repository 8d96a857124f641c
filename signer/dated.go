package signer

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers of the dated schemes, in canonical form.
const (
	HeaderWebhookID        = "Webhook-Id"
	HeaderWebhookTimestamp = "Webhook-Timestamp"
	HeaderWebhookSignature = "Webhook-Signature"

	HeaderWeChatPadTimestamp = "X-Webhook-Timestamp"
	HeaderWeChatPadSignature = "X-Webhook-Signature"
)

// secretPrefix marks a Standard Webhooks secret.
const secretPrefix = "whsec_"

// Standard is Standard Webhooks' symmetric scheme, v1: base64(HMAC-SHA256(secret, id.time.body)).
type Standard struct {
	tolerance time.Duration
	ring      macRing
}

var _ SchemeVerifier = (*Standard)(nil)

// NewStandard makes the Standard Webhooks scheme; tolerance 0 means [Tolerance].
//
// What is the key of a secret: after the prefix whsec_, which is cut off, the rest must be padded standard base64 and
// is decoded. Without the prefix a secret that is such base64 is decoded too, as the reference libraries do, and any
// other is taken as its bytes. So a pass phrase works, and both sides agree on every secret that the libraries accept.
func NewStandard(tolerance time.Duration, secrets ...string) (*Standard, error) {
	keys, err := newKeys(sha256.New, secrets, standardSecret)
	if err != nil {
		return nil, err
	}
	ring := macRing{keys: keys, prefix: "v1,", encode: base64.StdEncoding.AppendEncode}
	return &Standard{tolerance: orDefault(tolerance), ring: ring}, nil
}

// standardSecret decodes a secret as NewStandard says.
func standardSecret(s string) ([]byte, error) {
	encoded, marked := strings.CutPrefix(s, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err == nil:
		return key, nil
	case marked:
		return nil, ErrBadSecret
	default:
		return []byte(s), nil
	}
}

// Sign implements [Scheme]. An id is required by receivers; the time is signed in whole seconds.
func (s *Standard) Sign(h http.Header, id string, at time.Time, body []byte) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	sig, ok := s.ring.sign(body, id, ".", stamp, ".")
	if !ok {
		return
	}
	values := []string{id, stamp, sig}
	h[HeaderWebhookID] = values[0:1:1]
	h[HeaderWebhookTimestamp] = values[1:2:2]
	h[HeaderWebhookSignature] = values[2:3:3]
}

// Verify implements [Verifier]. The header may hold several signatures with spaces between them; those of other
// versions are passed over.
func (s *Standard) Verify(h http.Header, body []byte, now time.Time) error {
	id, stamp, claimed := first(h, HeaderWebhookID), first(h, HeaderWebhookTimestamp), first(h, HeaderWebhookSignature)
	if id == "" || stamp == "" || claimed == "" {
		return ErrUnsigned
	}
	if err := checkTime(stamp, now, s.tolerance); err != nil {
		return err
	}
	for tried := 0; claimed != "" && tried < maxClaims; tried++ {
		var one string
		one, claimed, _ = strings.Cut(claimed, " ")
		if strings.HasPrefix(one, s.ring.prefix) && s.ring.verify(one, body, id, ".", stamp, ".") {
			return nil
		}
	}
	return ErrMismatch
}

// maxClaims bounds how many signatures of one header are tried: each costs a hash over the body.
const maxClaims = 8

// Headers implements [SchemeVerifier].
func (*Standard) Headers() []string {
	return []string{HeaderWebhookID, HeaderWebhookTimestamp, HeaderWebhookSignature}
}

// WeChatPad is WeChatPadPro's scheme: hex(HMAC-SHA256(secret, time body)), without a prefix, the time in a header of
// its own.
type WeChatPad struct {
	tolerance time.Duration
	ring      macRing
}

var _ SchemeVerifier = (*WeChatPad)(nil)

// NewWeChatPad makes WeChatPadPro's scheme; tolerance 0 means [Tolerance].
func NewWeChatPad(tolerance time.Duration, secrets ...string) (*WeChatPad, error) {
	keys, err := newKeys(sha256.New, secrets, rawSecret)
	if err != nil {
		return nil, err
	}
	return &WeChatPad{tolerance: orDefault(tolerance), ring: macRing{keys: keys, encode: hex.AppendEncode}}, nil
}

// Sign implements [Scheme]. The id is not signed.
func (w *WeChatPad) Sign(h http.Header, _ string, at time.Time, body []byte) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	sig, ok := w.ring.sign(body, stamp)
	if !ok {
		return
	}
	values := []string{stamp, sig}
	h[HeaderWeChatPadTimestamp] = values[0:1:1]
	h[HeaderWeChatPadSignature] = values[1:2:2]
}

// Verify implements [Verifier].
func (w *WeChatPad) Verify(h http.Header, body []byte, now time.Time) error {
	stamp, claimed := first(h, HeaderWeChatPadTimestamp), first(h, HeaderWeChatPadSignature)
	if stamp == "" || claimed == "" {
		return ErrUnsigned
	}
	if err := checkTime(stamp, now, w.tolerance); err != nil {
		return err
	}
	if !w.ring.verify(claimed, body, stamp) {
		return ErrMismatch
	}
	return nil
}

// Headers implements [SchemeVerifier].
func (*WeChatPad) Headers() []string {
	return []string{HeaderWeChatPadTimestamp, HeaderWeChatPadSignature}
}

// orDefault replaces no tolerance by the usual one.
func orDefault(tolerance time.Duration) time.Duration {
	if tolerance <= 0 {
		return Tolerance
	}
	return tolerance
}

// lastSecond bounds signed times, so that arithmetic on them cannot overflow: the year 9999.
const lastSecond = 253402300799

// checkTime tells whether a signed time, in seconds since 1970, is within tolerance of now. Only plain digits are a
// time: WeChatPadPro puts no separator between time and body, and a sign or a leading zero would be a second spelling
// of the same instant.
func checkTime(stamp string, now time.Time, tolerance time.Duration) error {
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || seconds < 0 || seconds > lastSecond || strconv.FormatInt(seconds, 10) != stamp {
		return ErrMismatch
	}
	if now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return ErrStale
	}
	return nil
}
