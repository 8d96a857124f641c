package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/deploy"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
)

// load reads the configuration that the command was told to use.
func (a *app) load(flags ...config.Flag) (config.Config, error) {
	return config.Load(a.path, os.LookupEnv, flags...)
}

// loadAll is load with everything checked that a start would check: the keys of the kinds and the expressions too.
func (a *app) loadAll(o daemon.Options, flags ...config.Flag) (config.Config, error) {
	cfg, err := a.load(flags...)
	return cfg, config.Merge(err, daemon.Check(cfg, o))
}

func (a *app) config() *cobra.Command {
	return family(&cobra.Command{
		Use:   "config",
		Short: "Write, check and print the configuration",
		Example: `  imrelay config init imrelay.yaml
  imrelay config check --config imrelay.yaml
  imrelay config print`,
	}, a.configInit(), a.configCheck(), a.configPrint())
}

// report is what config check says as JSON.
type report struct {
	OK       bool      `json:"ok"`
	Path     string    `json:"path,omitempty"`
	Mistakes []mistake `json:"mistakes"`
}

type mistake struct {
	Line    int    `json:"line,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
}

func (a *app) configCheck() *cobra.Command {
	var asJSON, insecure bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Name every mistake in the configuration, with line and key",
		Long:  "Name every mistake in the configuration, with line and key. Exit 78 when there is one.",
		Args:  cobra.NoArgs,
		Example: `  imrelay config check --config imrelay.yaml
  imrelay config check --json | jq '.mistakes[].key'`,
	}
	jsonFlag(c, &asJSON, "one JSON object")
	insecureFlag(c, &insecure)
	return does(c, func(context.Context, []string) error {
		_, err := a.loadAll(daemon.Options{Insecure: insecure})
		if !asJSON {
			if err == nil {
				fmt.Fprintln(a.Stdout, a.style.Green("ok"))
			}
			return err
		}
		r := report{OK: err == nil, Mistakes: []mistake{}}
		if e, ok := errors.AsType[*config.Error](err); ok {
			r.Path = e.Path
			for _, m := range e.Mistakes {
				r.Mistakes = append(r.Mistakes, mistake(m))
			}
		}
		if err := writeJSON(a.Stdout, r); err != nil {
			return err
		}
		if !r.OK {
			return silent(codeConfig)
		}
		return nil
	})
}

func (a *app) configPrint() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "print",
		Short: "Print what holds, with the source of each value and secrets masked",
		Args:  cobra.NoArgs,
		Example: `  imrelay config print
  imrelay config print --json | jq .inbound`,
	}
	jsonFlag(c, &asJSON, "one JSON object, without the sources")
	return does(c, func(context.Context, []string) error {
		cfg, err := a.load()
		if err != nil {
			return err
		}
		if !asJSON {
			return cfg.Print(a.Stdout)
		}
		var out bytes.Buffer
		if err := cfg.Print(&out); err != nil {
			return err
		}
		var v any
		if err := yaml.Unmarshal(out.Bytes(), &v); err != nil {
			return fmt.Errorf("read what was printed: %w", err)
		}
		return writeJSON(a.Stdout, v)
	})
}

// defaultInit is where config init writes.
const defaultInit = "imrelay.yaml"

func (a *app) configInit() *cobra.Command {
	var lang string
	var force bool
	c := &cobra.Command{
		Use:   "init [PATH|-]",
		Short: "Write a commented configuration with fresh secrets",
		Long: `Write a commented configuration with freshly made secrets to PATH (default imrelay.yaml), readable
by its owner only. A file that is there is left alone unless --force is given; - prints it.`,
		Args: cobra.MaximumNArgs(1),
		Example: `  imrelay config init
  imrelay config init /etc/imrelay/config.yaml --lang zh
  imrelay config init - | less`,
	}
	c.Flags().StringVar(&lang, "lang", "", "`language` of the comments: en or zh (default: as $LANG says)")
	c.Flags().BoolVar(&force, "force", false, "write over a file that is there")
	complete(c, "lang", "en", "zh")
	return does(c, func(_ context.Context, args []string) error {
		chinese, err := wantsChinese(lang)
		if err != nil {
			return err
		}
		sample := freshSample(chinese)
		path := defaultInit
		if len(args) == 1 {
			path = args[0]
		}
		if path == "-" {
			_, err := a.Stdout.Write(sample)
			return err
		}
		if err := writeNew(path, sample, force); err != nil {
			return err
		}
		fmt.Fprintf(a.Stderr, "wrote %s\nnext: give the agent the secrets in it, then imrelay config check --config %s\n", path, path)
		return nil
	})
}

// references are the values that the sample takes from the environment: the secrets that it cannot do without.
var references = regexp.MustCompile(`(?m)^(\s+(?:secret|token): )\$\{\w+\}$`)

// freshSample is the sample with a new secret in place of every one that it would take from the environment.
func freshSample(chinese bool) []byte {
	locale := "en"
	if chinese {
		locale = "zh"
	}
	return references.ReplaceAllFunc([]byte(deploy.Sample(locale)), func(line []byte) []byte {
		key, _, _ := bytes.Cut(line, []byte("$"))
		return append(slices.Clip(key), rand.Text()...)
	})
}

// writeNew writes a file that must not be there yet, unless force says so. Its mode is 0600 in either case.
func writeNew(path string, content []byte, force bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, mode, 0o600)
	if errors.Is(err, os.ErrExist) {
		return failed(fmt.Errorf("%s is there already", path), "choose another path, or write over it with --force")
	}
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	defer f.Close()
	if err := f.Chmod(0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if _, err := f.Write(content); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}
