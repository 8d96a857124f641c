package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what the binary knows of itself.
type build struct {
	Version string `json:"version"`
	// Commit is the revision it was built from, with + when the tree had changes.
	Commit string `json:"commit,omitempty"`
	// Date is when that revision was committed, RFC 3339: a build is reproducible, so it has no date of its own.
	Date     string `json:"date,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// describe reads the build information; linked is the version that the linker was given.
func describe(linked string) build {
	b := build{Version: linked, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		b.Version = cmp.Or(b.Version, "unknown")
		return b
	}
	b.Version = cmp.Or(b.Version, info.Main.Version, "unknown")
	changed := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				changed = "+"
			}
		}
	}
	if b.Commit != "" {
		b.Commit += changed
	}
	return b
}

func (a *app) version() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, Go and date",
		Args:  cobra.NoArgs,
		Example: `  imrelay version
  imrelay version --json`,
	}
	jsonFlag(c, &asJSON, "one JSON object")
	return does(c, func(context.Context, []string) error {
		b := describe(a.Version)
		if asJSON {
			return writeJSON(a.Stdout, b)
		}
		_, err := fmt.Fprintf(a.Stdout, "imrelay %s\ncommit   %s\ndate     %s\ngo       %s\nplatform %s\n",
			b.Version, cmp.Or(b.Commit, "unknown"), cmp.Or(b.Date, "unknown"), b.Go, b.Platform)
		return err
	})
}

// jsonFlag adds --json.
func jsonFlag(c *cobra.Command, into *bool, shape string) {
	c.Flags().BoolVar(into, "json", false, "print "+shape)
}

// writeJSON writes one value on one line.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
