package cli

import (
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/relay/config"
)

// insecureFlag adds --insecure.
func insecureFlag(c *cobra.Command, into *bool) {
	c.Flags().BoolVar(into, "insecure", false, "allow a listener beyond loopback whose accounts check nothing")
}

// dataFlag adds --data, for commands that look for the relay on a data folder.
func dataFlag(c *cobra.Command, into *string) {
	c.Flags().StringVar(into, "data", "", "data `folder` (default: as configured)")
}

// overrides are the flags that set keys of the configuration; an empty one sets nothing.
func overrides(pairs ...string) []config.Flag {
	var flags []config.Flag
	for i := 0; i+1 < len(pairs); i += 2 {
		if value := pairs[i+1]; value != "" {
			flags = append(flags, config.Flag{Name: "--" + pairs[i], Key: pairs[i], Value: value})
		}
	}
	return flags
}

// complete makes a shell offer the values of a flag.
func complete(c *cobra.Command, flag string, values ...string) {
	// The only error is a flag that the command does not have, and the line above has made it.
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// wantsChinese reads --lang, or the environment where it is not given.
func wantsChinese(flag string) (bool, error) {
	switch flag {
	case "zh":
		return true, nil
	case "en":
		return false, nil
	case "":
		return strings.HasPrefix(locale(), "zh"), nil
	}
	return false, misused("en or zh", "--lang: unknown language %q", flag)
}

// locale is the language of messages, as POSIX finds it.
func locale() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// since reads a time, or how long ago it was; empty: the zero time.
func since(v string, now time.Time) (time.Time, error) {
	if v == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, v); err == nil {
		return t, nil
	}
	if d, err := config.ParseDuration(v); err == nil {
		return now.Add(-d), nil
	}
	return time.Time{}, misused("write it as 2h, 3d or 2026-01-02T15:04:05Z", "--since: %q is neither a duration nor a time", v)
}
