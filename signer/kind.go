package signer

import (
	"errors"
	"fmt"
	"slices"
)

// The kinds, as a configuration names them.
const (
	KindBearer    = "bearer"
	KindGitHub    = "github"
	KindGitLab    = "gitlab"
	KindOneBot    = "onebot"
	KindOpenClaw  = "openclaw"
	KindStandard  = "standard"
	KindTelegram  = "telegram"
	KindWeChatPad = "wechatpad"
)

// ErrUnknownKind says that no scheme has the name.
var ErrUnknownKind = errors.New("unknown kind of signature")

// Kinds returns all kinds, sorted.
func Kinds() []string {
	return []string{
		KindBearer, KindGitHub, KindGitLab, KindOneBot, KindOpenClaw, KindStandard, KindTelegram, KindWeChatPad,
	}
}

// NewVerifier makes the verifier of a kind with its usual header and tolerance.
func NewVerifier(kind string, secrets ...string) (Verifier, error) { return newKind(kind, secrets) }

// NewScheme makes the scheme of a kind with its usual header.
func NewScheme(kind string, secrets ...string) (Scheme, error) { return newKind(kind, secrets) }

// newKind never returns a nil pointer in an interface: a failed constructor's result is dropped.
func newKind(kind string, secrets []string) (SchemeVerifier, error) {
	s, err := construct(kind, secrets)
	if err != nil {
		return nil, fmt.Errorf("make %s signature: %w", kind, err)
	}
	return s, nil
}

func construct(kind string, secrets []string) (SchemeVerifier, error) {
	switch kind {
	case KindBearer:
		return NewBearer(secrets...)
	case KindGitHub:
		return NewDigest(HeaderGitHub, secrets...)
	case KindGitLab:
		return NewToken(HeaderGitLab, secrets...)
	case KindOneBot:
		return NewOneBot(secrets...)
	case KindOpenClaw:
		return NewDigest(HeaderOpenClaw, secrets...)
	case KindStandard:
		return NewStandard(0, secrets...)
	case KindTelegram:
		return NewToken(HeaderTelegram, secrets...)
	case KindWeChatPad:
		return NewWeChatPad(0, secrets...)
	default:
		return nil, ErrUnknownKind
	}
}

// Headers returns, sorted, the canonical names of all headers that the kinds use. What they hold must not be passed on
// from one side to the other, and must not be logged. A scheme with a header of its own names it itself.
func Headers() []string {
	names := []string{
		HeaderAuthorization, HeaderGitHub, HeaderGitLab, HeaderOneBot, HeaderOpenClaw, HeaderTelegram,
		HeaderWeChatPadSignature, HeaderWeChatPadTimestamp,
		HeaderWebhookID, HeaderWebhookSignature, HeaderWebhookTimestamp,
	}
	slices.Sort(names)
	return names
}
