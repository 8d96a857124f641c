package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

// The bounds of what sign and verify read.
const (
	maxBody   = 64 << 20
	maxSecret = 64 << 10
)

// signingKinds are the kinds that sign a body. The signer knows tokens too, which sign nothing.
var signingKinds = []string{
	signer.KindOpenClaw, signer.KindGitHub, signer.KindStandard, signer.KindOneBot, signer.KindWeChatPad,
}

// ringFlags say which secret signs, and how. A secret is never a flag's value: those show in the list of processes.
type ringFlags struct {
	file, env, agent, kind string
}

func (r *ringFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&r.file, "secret-file", "", "`file` that holds the secret")
	f.StringVar(&r.env, "secret-env", "", "environment variable `NAME` that holds the secret")
	f.StringVar(&r.agent, "agent", "", "configured `agent` whose secrets are used (default: the only one)")
	f.StringVar(&r.kind, "kind", "", "how it is signed: "+strings.Join(signingKinds, ", ")+" (default: as the agent is, else openclaw)")
	c.MarkFlagsMutuallyExclusive("secret-file", "secret-env", "agent")
	complete(c, "kind", signingKinds...)
}

// scheme makes the scheme that the flags ask for.
func (r *ringFlags) scheme(a *app) (signer.SchemeVerifier, error) {
	if r.kind != "" && !slices.Contains(signingKinds, r.kind) {
		return nil, misused("one of "+strings.Join(signingKinds, ", "), "--kind: unknown kind %q", r.kind)
	}
	secrets, header, err := r.secrets(a)
	if err != nil {
		return nil, err
	}
	if r.kind == "" && header != "" {
		s, err := signer.NewDigest(header, secrets...)
		return s, schemeError(err)
	}
	kind := r.kind
	if kind == "" {
		kind = signer.KindOpenClaw
	}
	s, err := signer.NewScheme(kind, secrets...)
	if err != nil {
		return nil, schemeError(err)
	}
	both, ok := s.(signer.SchemeVerifier)
	if !ok {
		return nil, fmt.Errorf("%s only signs", kind)
	}
	return both, nil
}

func schemeError(err error) error {
	if errors.Is(err, signer.ErrNoSecret) {
		return failed(err, "the file or variable must hold the secret that both sides share")
	}
	return err
}

// secrets returns the secrets and, for an agent that is signed for in a header of its own, that header.
func (r *ringFlags) secrets(a *app) (secrets []string, header string, err error) {
	switch {
	case r.file != "":
		s, err := readSecret(r.file)
		return []string{s}, "", err
	case r.env != "":
		s, ok := os.LookupEnv(r.env)
		if !ok {
			return nil, "", failed(fmt.Errorf("environment variable %s is not set", r.env), "export it first, or use --secret-file")
		}
		return []string{s}, "", nil
	}
	return r.agentSecrets(a)
}

// readSecret reads a file as the configuration's file: does, without the newline at its end.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read secret: %w", err)
	case len(b) > maxSecret:
		return "", fmt.Errorf("read secret: %s is over %d bytes", path, maxSecret)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

// agentKeys are the keys of the kinds that are signed for. Only what signs is used; the rest is named because a section
// is read strictly.
type agentKeys struct {
	URL         string        `yaml:"url"`
	Mode        string        `yaml:"mode"`
	Token       secret.Text   `yaml:"token"`
	TokenHeader string        `yaml:"token_header"`
	Channel     string        `yaml:"channel"`
	AccessKey   secret.Text   `yaml:"access_key"`
	Header      string        `yaml:"signature_header"`
	Secret      secret.Text   `yaml:"secret"`
	Secrets     []secret.Text `yaml:"secrets"`
}

// kindOpenClaw is the agent kind that is signed for as the signer's kind of that name.
const kindOpenClaw = "openclaw"

func (r *ringFlags) agentSecrets(a *app) (secrets []string, header string, err error) {
	cfg, err := a.load()
	if err != nil {
		return nil, "", err
	}
	name, err := pickAgent(cfg, r.agent)
	if err != nil {
		return nil, "", err
	}
	var keys agentKeys
	if err := cfg.Agents[name].Own.Decode(&keys); err != nil && keys.Secret.IsZero() && len(keys.Secrets) == 0 {
		return nil, "", err
	}
	for _, s := range (config.Keys{Secret: keys.Secret, Secrets: keys.Secrets}).All() {
		secrets = append(secrets, s.Reveal())
	}
	if len(secrets) == 0 {
		return nil, "", failed(fmt.Errorf("agent %s has no secret", name), "it is not signed for; use --secret-file or --secret-env")
	}
	header = keys.Header
	if header == "" && cfg.Agents[name].Kind != kindOpenClaw {
		header = signer.HeaderGitHub
	}
	return secrets, header, nil
}

// pickAgent returns the asked-for agent, or the only one.
func pickAgent(cfg config.Config, asked string) (string, error) {
	names := slices.Sorted(maps.Keys(cfg.Agents))
	switch {
	case asked == "" && len(names) == 1:
		return names[0], nil
	case asked == "":
		return "", misused("add --agent with one of "+strings.Join(names, ", "), "several agents are configured")
	case !slices.Contains(names, asked):
		return "", misused("configured: "+strings.Join(names, ", "), "no agent is called %q", asked)
	}
	return asked, nil
}

// body reads what is signed: the file, or standard input for - and for no argument.
func (a *app) body(args []string) ([]byte, error) {
	in := a.Stdin
	if len(args) == 1 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, fmt.Errorf("read body: %w", err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read body: %w", err)
	case len(b) > maxBody:
		return nil, fmt.Errorf("read body: it is over %d bytes", maxBody)
	}
	return b, nil
}
