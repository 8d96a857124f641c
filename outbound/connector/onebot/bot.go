package onebot

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/markdown"
	"github.com/imrelay/imrelay/relay/egress"
)

// longestText is what QQ takes as one message with a good conscience; its own bound depends on what else is in it.
const longestText = 3000

// alarmToken is raised while the implementation does not accept the token.
const (
	alarmToken  = "token"
	notAccepted = "the OneBot implementation does not accept the token"
)

// caller is a way to the implementation.
type caller interface {
	// call makes exactly one call, and returns the answer's JSON. Every error is an [*outbound.SendError].
	call(ctx context.Context, a action) ([]byte, error)
}

// bot is what does not depend on the way.
type bot struct {
	wire connector.Wire
	api  caller
	// keep leaves the marks of Markdown in texts.
	keep bool
	hide []string
}

var (
	_ outbound.Connector = bot{}
	_ outbound.Carrier   = bot{}
	_ outbound.Measured  = bot{}
	_ outbound.Renderer  = bot{}
	_ outbound.Paced     = bot{}
	_ outbound.Checker   = bot{}
)

// Send implements [outbound.Connector].
func (b bot) Send(ctx context.Context, m outbound.Message) (outbound.Receipt, error) {
	a, refusal := sending(m)
	if refusal != nil {
		return outbound.Receipt{}, refusal
	}
	answer, err := b.do(ctx, a)
	if err != nil {
		return outbound.Receipt{}, err
	}
	return outbound.Receipt{ID: idOf(answer)}, nil
}

// do makes the call, and wants it to succeed. Whatever the answer says of the token, operators are told.
func (b bot) do(ctx context.Context, a action) ([]byte, error) {
	a.hide = slices.Concat(a.hide, b.hide)
	answer, err := b.api.call(ctx, a)
	if err == nil {
		err = judge(answer, a.hide)
	}
	switch {
	case err == nil:
		b.wire.Alarm.Clear(alarmToken)
		return answer, nil
	case errors.Is(err, errToken):
		b.wire.Alarm.Raise(alarmToken, notAccepted)
	}
	return nil, err
}

// Online implements [outbound.Checker].
func (b bot) Online(ctx context.Context) (bool, error) {
	answer, err := b.do(ctx, status())
	if err != nil {
		return false, fmt.Errorf("ask for the status: %w", err)
	}
	switch v := gjson.GetBytes(answer, "data.online"); v.Type {
	case gjson.True, gjson.False:
		return v.Bool(), nil
	default:
		return false, errors.New("ask for the status: the answer does not tell")
	}
}

// Render implements [outbound.Renderer].
func (b bot) Render(text string) string {
	if b.keep {
		return text
	}
	return markdown.Plain(text)
}

// MaxText implements [outbound.Measured].
func (bot) MaxText() int { return longestText }

// Measure implements [outbound.Measured].
func (bot) Measure(text string) int { return utf8.RuneCountInString(text) }

// Pace implements [outbound.Paced]: nobody publishes QQ's bounds, and this is what accounts are known to survive.
func (bot) Pace(to string) (outbound.Limits, string) {
	if strings.HasPrefix(to, private) {
		to, _, _ = strings.Cut(to, "@")
	}
	return outbound.Limits{
		Account:   outbound.Rate{N: 1, Per: 500 * time.Millisecond, Burst: 1},
		Recipient: outbound.Rate{N: 1, Per: time.Second, Burst: 3},
		Jitter:    300 * time.Millisecond,
	}, to
}

// Carry implements [outbound.Carrier]. An address that is not of the web would have the implementation read a file of
// its own machine.
func (bot) Carry(m outbound.Media) error {
	if _, ok := carried[m.Type]; !ok {
		return fmt.Errorf("media of type %q is not carried; want image, voice, video or file", connector.Clean(m.Type, 20))
	}
	u, err := url.Parse(m.URL)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("media has to be at an http or https URL")
	case egress.Metadata(u.Hostname()):
		return errors.New("media cannot be where clouds keep credentials")
	}
	return nil
}
