// Package telegram sends by Telegram's Bot API, and polls it where no webhook can reach the relay. It reads no update:
// that is the format's business. It uploads nothing: Telegram fetches media itself.
//
// # Where a message goes
//
// The conversation is what the format makes of an update: "<chat>", "<chat>/<topic>", "<chat>/direct/<topic>" or
// "<chat>/business/<connection>"; a chat is a number, or the @name of a public one. A group that became a supergroup has
// a new id: Telegram refuses the first message and says which, and from then on the connector, for as long as it lives,
// sends there what is for the old one.
//
// # What Telegram shows
//
// Text goes without a parse mode, so that nothing an agent writes is markup to Telegram: bold, code and links are entities
// that the connector makes, of Markdown by default. A block quote is one without its ">". A mention is an entity on the
// member's name, which is put in front of a text that lacks it. Where that would make the text too long, the entity is
// on the text's first words.
//
// Telegram itself finds things in texts, and nothing keeps it from that: it makes links of addresses, and a plain @name
// calls the member of that username, whoever wrote it. Links that the connector makes are of http and https only, since
// one to tg://user would call somebody too.
//
// # What its refusals mean
//
// 429 holds a group only, since of a group Telegram takes 20 messages a minute. In a private chat, and when two chats
// are refused within ten seconds, it holds the account: Telegram does not say which of its limits it was. 401 and 404
// raise the alarm "token". All else is as everywhere: see [connector.Status].
package telegram

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/markdown"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

// What becomes of an agent's Markdown.
const (
	convert = "convert"
	plain   = "plain"
	keep    = "keep"
)

// maxText is the longest text in UTF-16 units, entities not counted.
const maxText = 4096

// defaultURL is where Telegram serves its API.
const defaultURL = "https://api.telegram.org"

// Config is the connector's section of the configuration.
type Config struct {
	// Token is the bot's, from @BotFather. Required.
	Token secret.Text `yaml:"token"`
	// URL is the base of the API, for a Bot API server of one's own; default https://api.telegram.org.
	URL string `yaml:"url"`
	// Poll asks Telegram for updates (getUpdates) instead of waiting for its webhook, so that the relay need not be
	// reachable from outside. The bot must have no webhook: call deleteWebhook once.
	Poll bool `yaml:"poll"`
	// Proxy leads the account's calls, polls included: http://host:port, socks5://name:password@host:port or
	// socks5h://…. The proxy looks up names. Empty: as all calls of the relay go.
	Proxy secret.Text `yaml:"proxy"`
	// Markdown is what becomes of the marks that agents write: convert (the default) shows bold, italic, code, quotes and
	// links as Telegram does, plain takes the marks out, keep leaves the text as it is.
	Markdown string `yaml:"markdown"`
}

// Connector sends as one bot. It is safe for concurrent use.
type Connector struct {
	wire     connector.Wire
	token    string
	base     string
	markdown string
	// doer is the connector's own, through its proxy; nil: the wire's.
	doer egress.Doer
	// hide is what nobody should see.
	hide  []string
	moved moves
	calm  calm
}

var (
	_ outbound.Measured = (*Connector)(nil)
	_ outbound.Paced    = (*Connector)(nil)
	_ outbound.Carrier  = (*Connector)(nil)
	_ outbound.Renderer = (*Connector)(nil)
	_ outbound.Resident = (*Poller)(nil)
)

// New checks the configuration and makes a [Connector], or a [Poller] where it says poll. Its errors name the keys that
// are wrong.
func New(c Config, w connector.Wire) (outbound.Connector, error) {
	if c.URL == "" {
		c.URL = defaultURL
	}
	if c.Markdown == "" {
		c.Markdown = convert
	}
	doer, err := own(c.Proxy)
	if err := errors.Join(checkToken(c.Token), checkURL(c.URL), err, checkMarkdown(c.Markdown)); err != nil {
		return nil, err
	}
	out := &Connector{
		wire: w, token: c.Token.Reveal(), base: strings.TrimRight(c.URL, "/"), markdown: c.Markdown, doer: doer,
		hide: hidden(c), moved: moves{to: map[string]string{}},
	}
	if !c.Poll {
		return out, nil
	}
	return &Poller{Connector: out, times: usual}, nil
}

var tokens = regexp.MustCompile(`^[A-Za-z0-9:_-]+$`)

func checkToken(t secret.Text) error {
	if !tokens.MatchString(t.Reveal()) {
		return errors.New("token: want the bot's token, as @BotFather gives it")
	}
	return nil
}

func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("url: want an http or https URL without a query")
	}
	return nil
}

func checkMarkdown(word string) error {
	switch word {
	case convert, plain, keep:
		return nil
	}
	return fmt.Errorf("markdown: want %s, %s or %s", convert, plain, keep)
}

// hidden are the token, and the address with what shows its server who calls.
func hidden(c Config) []string {
	out := []string{c.Token.Reveal(), strings.TrimRight(c.URL, "/")}
	if u, err := url.Parse(c.URL); err == nil {
		if password, ok := u.User.Password(); ok {
			out = append(out, password)
		}
	}
	return slices.Clip(out)
}

// own makes a client through a proxy; nil: there is none.
func own(proxy secret.Text) (egress.Doer, error) {
	if proxy.IsZero() {
		return nil, nil
	}
	u, err := url.Parse(proxy.Reveal())
	if err == nil && u.Hostname() != "" {
		switch u.Scheme {
		case "http", "socks5", "socks5h":
			return egress.New(egress.Options{Proxy: func(*url.URL) (*url.URL, error) { return u, nil }}), nil
		}
	}
	return nil, errors.New("proxy: want http://, socks5:// or socks5h:// with a host")
}

// calls is who makes the calls.
func (c *Connector) calls() egress.Doer {
	if c.doer != nil {
		return c.doer
	}
	return c.wire.Doer
}

// MaxText implements [outbound.Measured].
func (c *Connector) MaxText() int { return maxText }

// Measure implements [outbound.Measured]. Telegram counts what is left when the marks are gone, which is never more.
func (c *Connector) Measure(text string) int { return units(text) }

// Render implements [outbound.Renderer].
func (c *Connector) Render(text string) string {
	if c.markdown == plain {
		return markdown.Plain(text)
	}
	return text
}

// Pace implements [outbound.Paced], by what Telegram's FAQ says: about 30 messages a second, one a second in a chat, 20
// a minute in a group. Its topics count with it.
func (c *Connector) Pace(to string) (l outbound.Limits, counted string) {
	l.Account = outbound.Rate{N: 25, Per: time.Second, Burst: 5}
	counted, _, _ = strings.Cut(to, "/")
	if grouped(counted) {
		l.Recipient = outbound.Rate{N: 20, Per: time.Minute, Burst: 5}
	} else {
		l.Recipient = outbound.Rate{N: 1, Per: time.Second, Burst: 3}
	}
	return l, counted
}

// grouped says that the chat is a group or a channel: only those have negative ids, and names that a bot may send to.
func grouped(chat string) bool { return strings.HasPrefix(chat, "-") || strings.HasPrefix(chat, "@") }

// Carry implements [outbound.Carrier].
func (c *Connector) Carry(m outbound.Media) error {
	u, err := url.Parse(m.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("Telegram fetches media itself: want an http or https URL") //nolint:staticcheck // a name
	}
	if egress.Metadata(u.Hostname()) {
		return errors.New("media cannot be where clouds keep credentials")
	}
	switch m.Type {
	case "image", "voice", "video":
		return nil
	case "file":
		switch strings.ToLower(path.Ext(u.Path)) {
		case "", ".pdf", ".zip", ".gif":
			return nil
		}
		return errors.New("of files Telegram fetches only PDF, ZIP and GIF")
	}
	return errors.New("Telegram takes image, file, voice and video") //nolint:staticcheck // a name
}
