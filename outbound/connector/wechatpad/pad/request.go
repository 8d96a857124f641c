package pad

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

// CheckURL says whether paths can be put behind the base.
func CheckURL(base string) error {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("url: want the server's base as an http or https URL without a query")
	}
	return nil
}

// Fetch gets a medium that [Manners.Carry] takes.
func Fetch(ctx context.Context, d egress.Doer, m outbound.Media) ([]byte, *outbound.SendError) {
	if m.Type == "voice" {
		return connector.FetchVoice(ctx, d, m.URL, connector.LongestMedium)
	}
	return connector.Fetch(ctx, d, m.URL, connector.LongestMedium)
}

// Encode writes a body as JSON, with <, > and & as they are, and bytes in base64.
func Encode(body any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return nil, fmt.Errorf("encode body: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
