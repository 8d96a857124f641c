package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/signer"
)

func (a *app) sign() *cobra.Command {
	var ring ringFlags
	var id string
	var asJSON bool
	c := &cobra.Command{
		Use:   "sign [FILE|-]",
		Short: "Print the signature headers of a body",
		Long: `Print the header lines that sign a body, as the relay would send them. The body is taken
byte for byte: a newline at its end counts.`,
		Example: `  imrelay sign body.json
  imrelay sign --secret-file secret.txt --kind github < body.json
  curl -H "$(imrelay sign body.json)" --data-binary @body.json http://127.0.0.1:18789/wechat_abot/webhook`,
		Args: cobra.MaximumNArgs(1),
	}
	ring.add(c)
	c.Flags().StringVar(&id, "id", "", "message `id` to sign (standard; default: a random one)")
	jsonFlag(c, &asJSON, "one JSON object of headers")
	return does(c, func(_ context.Context, args []string) error {
		scheme, err := ring.scheme(a)
		if err != nil {
			return err
		}
		body, err := a.body(args)
		if err != nil {
			return err
		}
		h := http.Header{}
		scheme.Sign(h, cmp.Or(id, "msg_"+rand.Text()), time.Now(), body)
		if asJSON {
			flat := make(map[string]string, len(h))
			for name := range h {
				flat[name] = h.Get(name)
			}
			return writeJSON(a.Stdout, flat)
		}
		for _, name := range scheme.Headers() {
			fmt.Fprintf(a.Stdout, "%s: %s\n", name, h.Get(name))
		}
		return nil
	})
}

// verdict is what verify reports.
type verdict struct {
	OK bool `json:"ok"`
	// Reason is missing, stale or mismatch.
	Reason string `json:"reason,omitempty"`
}

func (a *app) verify() *cobra.Command {
	var ring ringFlags
	var signature string
	var headers []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify [FILE|-] (--signature VALUE | --header 'Name: value' …)",
		Short: "Check the signature of a body",
		Long: `Check the signature headers of a body. Exit 0 when they are right and 1 when they are not, with
the reason: missing, stale (the signed time is over 5 minutes away) or mismatch.`,
		Example: `  imrelay verify body.json --signature 'sha256=6b1f…'
  imrelay verify --kind standard --secret-env HOOK_SECRET \
    --header 'webhook-id: evt_1' --header 'webhook-timestamp: 1767002400' --header 'webhook-signature: v1,…' < body.json`,
		Args: cobra.MaximumNArgs(1),
	}
	ring.add(c)
	c.Flags().StringVar(&signature, "signature", "", "`value` of the signature header")
	c.Flags().StringArrayVar(&headers, "header", nil, "header `line` of the request, may be repeated")
	c.MarkFlagsMutuallyExclusive("signature", "header")
	c.MarkFlagsOneRequired("signature", "header")
	jsonFlag(c, &asJSON, "one JSON object")
	return does(c, func(_ context.Context, args []string) error {
		scheme, err := ring.scheme(a)
		if err != nil {
			return err
		}
		h, err := signedHeaders(scheme, signature, headers)
		if err != nil {
			return err
		}
		body, err := a.body(args)
		if err != nil {
			return err
		}
		return a.tellVerdict(scheme, scheme.Verify(h, body, time.Now()), asJSON)
	})
}

// signedHeaders puts together what the flags gave.
func signedHeaders(scheme signer.SchemeVerifier, signature string, lines []string) (http.Header, error) {
	h := http.Header{}
	if signature != "" {
		if names := scheme.Headers(); len(names) > 1 {
			return nil, misused("use --header for each of "+strings.Join(names, ", "), "this kind signs with several headers")
		}
		h.Set(scheme.Headers()[0], signature)
		return h, nil
	}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, misused("write it as --header 'Name: value'", "--header: no colon after a name")
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, nil
}

func (a *app) tellVerdict(scheme signer.SchemeVerifier, err error, asJSON bool) error {
	v := verdict{OK: err == nil}
	hint := ""
	switch {
	case err == nil:
	case errors.Is(err, signer.ErrUnsigned):
		v.Reason, hint = "missing", "needed: "+strings.Join(scheme.Headers(), ", ")
	case errors.Is(err, signer.ErrStale):
		v.Reason, hint = "stale", "compare the clocks of both sides; a signature is good for 5 minutes"
	default:
		v.Reason, hint = "mismatch", "compare the secrets of both sides, and that the body was not changed: every byte counts"
	}
	if asJSON {
		if err := writeJSON(a.Stdout, v); err != nil {
			return err
		}
		if !v.OK {
			return silent(codeFailed)
		}
		return nil
	}
	if !v.OK {
		return &failure{code: codeFailed, what: v.Reason + ": " + err.Error(), hint: hint, err: err}
	}
	fmt.Fprintln(a.Stdout, a.style.Green("ok"))
	return nil
}
