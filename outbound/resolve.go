package outbound

import (
	"context"
	"slices"
	"strings"
)

// resolve finds the account that sends, and checks that the client may use it and may send to the recipient.
func (s *Sender) resolve(ctx context.Context, r Request) (string, *Error) {
	if !allows(r.Client.Recipients, r.To) {
		return "", refuse(CodeForbidden, "this client may not send to this recipient")
	}
	name, err := s.choose(ctx, r)
	if err != nil {
		return "", err
	}
	if s.table.Load().accounts[name].Connector == nil {
		return "", refuse(CodeCannotSend, "account %q has no way to send; give it a send section", name)
	}
	return name, nil
}

func (s *Sender) choose(ctx context.Context, r Request) (string, *Error) {
	t := s.table.Load()
	if r.Account != "" {
		if _, ok := t.accounts[r.Account]; !ok {
			return "", refuse(CodeUnknownIM, "no account is called what im says")
		}
		if len(r.Client.Accounts) > 0 && !slices.Contains(r.Client.Accounts, r.Account) {
			return "", refuse(CodeForbidden, "this client may not use account %q", r.Account)
		}
		return r.Account, nil
	}
	allowed := t.allowed(r.Client)
	switch len(allowed) {
	case 0:
		return "", refuse(CodeForbidden, "this client may use no account")
	case 1:
		return allowed[0], nil
	}
	return s.seenOn(ctx, r.To, allowed)
}

// seenOn is the only one of the accounts on which the recipient has been seen.
func (s *Sender) seenOn(ctx context.Context, to string, allowed []string) (string, *Error) {
	var seen []string
	if s.known != nil {
		var err error
		if seen, err = s.known(ctx, to); err != nil {
			return "", errStore(err)
		}
	}
	candidates := slices.DeleteFunc(slices.Clone(allowed), func(a string) bool { return !slices.Contains(seen, a) })
	if len(candidates) != 1 {
		return "", refuse(CodeAmbiguous, "several accounts could be meant; say which with im: %s",
			strings.Join(allowed, ", "))
	}
	return candidates[0], nil
}

// allows says whether one of the patterns matches; no pattern allows all.
func allows(patterns []string, to string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matches(p, to) })
}

// matches compares s with a pattern in which * stands for any run of characters.
func matches(pattern, s string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return s == pattern
	}
	s, ok := strings.CutPrefix(s, first)
	for ok && wild {
		var next string
		next, rest, wild = strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(s, next)
		}
		// The earliest place leaves the most for what follows.
		_, s, ok = strings.Cut(s, next)
	}
	return false
}
