package ipad

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

// mediaTimeout bounds the call for a medium where the configuration does not: the server fetches it, or uploads it,
// before it answers. A whole send has a minute, of which fetching may take twenty seconds.
const mediaTimeout = 35 * time.Second

// Timeout is how long the call for a medium may take, in what is left of the send's minute.
func Timeout(w connector.Wire) time.Duration {
	if w.Timeout > 0 {
		return w.Timeout
	}
	return mediaTimeout
}

// CheckURL says whether paths can be put behind the base.
func CheckURL(base string) error {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("url: want the API's base as an http or https URL without a query")
	}
	return nil
}

// Required says whether a key has a value that can be sent.
func Required(key, value string) error {
	if value == "" || strings.TrimSpace(value) != value || strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("%s: want a value, without white space around it", key)
	}
	return nil
}

// Fetch gets a medium that [Manners.Carry] takes.
func Fetch(ctx context.Context, w connector.Wire, m outbound.Media) ([]byte, *outbound.SendError) {
	if m.Type == "voice" {
		return connector.FetchVoice(ctx, w.Fetcher(), m.URL, connector.LongestMedium)
	}
	return connector.Fetch(ctx, w.Fetcher(), m.URL, connector.LongestMedium)
}

// Encode writes a body as JSON, with <, > and & as they are, and bytes in base64.
func Encode(body any) ([]byte, *outbound.SendError) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, Refuse("request", fmt.Errorf("encode body: %w", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Judge is what an answer tells, or why the call was not, or need not have been, done.
type Judge func(egress.Answer) (string, *outbound.SendError)

// Ask makes the call, and has the answer judged. Every error is an [*outbound.SendError].
func Ask(ctx context.Context, d egress.Doer, r egress.Call, judge Judge) (string, error) {
	a, err := connector.Call(ctx, d, r)
	if err != nil {
		return "", err
	}
	told, e := judge(a)
	if e != nil {
		return "", e
	}
	return told, nil
}

// Online is what a question for the login found out: a failure that is a logout is no failure of the question.
func Online(in bool, err error) (bool, error) {
	if e, ok := errors.AsType[*outbound.SendError](err); ok && e.Offline {
		return false, nil
	}
	return in && err == nil, err
}
