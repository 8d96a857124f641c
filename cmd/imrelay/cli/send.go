package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
)

// sendFlags are the flags of send.
type sendFlags struct {
	to, text, im, replyTo, key, client, data string
	media                                    []string
	async, asJSON                            bool
}

// sendBody is the request, in the API's names.
type sendBody struct {
	To      string      `json:"to"`
	Text    string      `json:"text,omitempty"`
	ReplyTo string      `json:"replyToMessageId,omitempty"`
	IM      string      `json:"im,omitempty"`
	Media   []sendMedia `json:"media,omitempty"`
}

type sendMedia struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

// sendAnswer is what the API answers, sent, queued or refused.
type sendAnswer struct {
	MessageID *string `json:"messageId"`
	ID        string  `json:"id"`
	Error     *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	RetryAfter int `json:"retry_after"`
}

func (a *app) send() *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use:   "send --to ID (--text TEXT | --media TYPE=URL)",
		Short: "Send a message to an IM through the running relay",
		Long: `Send a message through the running relay, by the same way and within the same limits as an agent does,
with the token of a configured client. Prints the IM's id of the message, or with --async the relay's.`,
		Args: cobra.NoArgs,
		Example: `  imrelay send --to wxid_alice --text 'hello'
  imrelay send --to 48213570966@chatroom --im wechat --media image=https://example.org/cat.png
  date | imrelay send --to wxid_alice --text - --key today`,
	}
	flags := c.Flags()
	flags.StringVar(&f.to, "to", "", "`id` of the recipient or the group")
	flags.StringVar(&f.text, "text", "", "the `text`; - reads standard input")
	flags.StringVar(&f.im, "im", "", "the `account` to send from, where several could be meant")
	flags.StringVar(&f.replyTo, "reply-to", "", "`id` of the message that this one answers")
	flags.StringVar(&f.key, "key", "", "idempotency `key`: repeated with the same one, it is sent once")
	flags.StringArrayVar(&f.media, "media", nil, "`TYPE=URL` of an image, file, voice or video; may be repeated")
	flags.StringVar(&f.client, "client", "", "configured `client` that sends (default: the only one)")
	flags.BoolVar(&f.async, "async", false, "do not wait until it is sent")
	dataFlag(c, &f.data)
	jsonFlag(c, &f.asJSON, "the relay's answer")
	_ = c.MarkFlagRequired("to") // it fails for an unknown flag only
	c.MarkFlagsOneRequired("text", "media")
	return does(c, func(ctx context.Context, _ []string) error { return a.runSend(ctx, f) })
}

func (a *app) runSend(ctx context.Context, f sendFlags) error {
	body, err := a.sendBody(f)
	if err != nil {
		return err
	}
	cfg, err := a.load(overrides("data", f.data)...)
	if err != nil {
		return err
	}
	token, err := clientToken(cfg, f.client)
	if err != nil {
		return err
	}
	run, err := running(ctx, cfg)
	if errors.Is(err, daemon.ErrNotRunning) {
		return notRunning(cfg)
	}
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, run.URL+"/api/messages/send", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	if f.key != "" {
		req.Header.Set("Idempotency-Key", f.key)
	}
	if f.async {
		req.Header.Set("Prefer", "respond-async")
	}
	return a.deliver(req, f.asJSON)
}

// sendBody makes the request's body.
func (a *app) sendBody(f sendFlags) ([]byte, error) {
	if f.text == "-" {
		text, err := io.ReadAll(io.LimitReader(a.Stdin, maxBody))
		if err != nil {
			return nil, fmt.Errorf("read text: %w", err)
		}
		f.text = strings.TrimSuffix(string(text), "\n")
	}
	b := sendBody{To: f.to, Text: f.text, ReplyTo: f.replyTo, IM: f.im}
	for _, m := range f.media {
		kind, url, ok := strings.Cut(m, "=")
		if !ok || kind == "" || url == "" {
			return nil, misused("write it as --media image=https://…", "--media: want TYPE=URL")
		}
		b.Media = append(b.Media, sendMedia{Type: kind, URL: url})
	}
	out, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return out, nil
}

// clientToken is the token of the asked-for client, or of the only one.
func clientToken(cfg config.Config, asked string) (string, error) {
	names := slices.Sorted(maps.Keys(cfg.Clients))
	switch {
	case len(names) == 0:
		return "", failed(errors.New("no client is configured, so nobody may send"), "add one under clients: in the configuration")
	case asked == "" && len(names) > 1:
		return "", misused("add --client with one of "+strings.Join(names, ", "), "several clients are configured")
	case asked == "":
		asked = names[0]
	case !slices.Contains(names, asked):
		return "", misused("configured: "+strings.Join(names, ", "), "no client is called %q", asked)
	}
	return cfg.Clients[asked].Token.Reveal(), nil
}

// deliver makes the request and tells its answer.
func (a *app) deliver(req *http.Request, asJSON bool) error {
	resp, err := (&http.Client{Timeout: sendTimeout}).Do(req)
	if err != nil {
		return failed(errors.New("the relay did not answer: it may have sent the message or not"), "repeat with the same --key to have it sent once")
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if asJSON {
		fmt.Fprintln(a.Stdout, strings.TrimSpace(string(raw)))
		if resp.StatusCode >= http.StatusBadRequest {
			return silent(codeFailed)
		}
		return nil
	}
	var answer sendAnswer
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("read answer: status %d, not JSON", resp.StatusCode)
	}
	switch {
	case answer.Error != nil:
		return failed(fmt.Errorf("%s: %s", answer.Error.Code, answer.Error.Message), retryHint(answer))
	case answer.MessageID != nil:
		fmt.Fprintln(a.Stdout, *answer.MessageID)
	default:
		fmt.Fprintln(a.Stdout, answer.ID)
	}
	return nil
}

// retryHint says whether to try again.
func retryHint(answer sendAnswer) string {
	switch {
	case answer.Error.Code == "delivery_unknown":
		return "look into the chat before sending it again: it may be there"
	case answer.RetryAfter > 0:
		return fmt.Sprintf("it was not sent; try again in %d s", answer.RetryAfter)
	}
	return ""
}
