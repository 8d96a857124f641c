package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/cmd/imrelay/term"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/secret"
)

func (a *app) store() *cobra.Command {
	return family(&cobra.Command{
		Use:   "store",
		Short: "Move what the relay keeps to another place",
		Example: `  imrelay store migrate --to redis://10.0.0.5:6379/0
  imrelay store migrate --to file:/run/secrets/redis-url`,
	}, a.storeMigrate())
}

// migration is what store migrate says as JSON.
type migration struct {
	From    string         `json:"from"`
	Shards  int            `json:"shards"`
	Moved   []daemon.Moved `json:"moved"`
	Bytes   int64          `json:"bytes"`
	Removed int            `json:"removed"`
	Seconds float64        `json:"seconds"`
}

// migrateFlags are the flags of store migrate.
type migrateFlags struct {
	to, data         string
	insecure, asJSON bool
}

func (a *app) storeMigrate() *cobra.Command {
	var f migrateFlags
	c := &cobra.Command{
		Use:   "migrate --to URL",
		Short: "Move the store into Redis, or into another number of shards",
		Long: `Copy everything that the configured store holds into a Redis: events that wait, are parked, dead
or delivered, pauses, keys of repeats, what is remembered of sends, and what agents made the relay
remember. The counts of both sides are compared before relays may start there. All relays have to be stopped. Broken off, it is
begun anew.

An embedded store stays as it was. Of a store that is in the same Redis already, with another
number of shards, the old keys are removed at the end.

So that no password stands in the list of processes, --to takes file:PATH, and ${NAME} from the environment.`,
		Args: cobra.NoArgs,
		Example: `  imrelay store migrate --to redis://10.0.0.5:6379/0
  imrelay store migrate --to file:/run/secrets/redis-url
  imrelay store migrate --to 'rediss://relay:${REDIS_PASSWORD}@redis.example:6379/0?shards=64'`,
	}
	c.Flags().StringVar(&f.to, "to", "", "`URL` of the Redis, file:PATH or with ${NAME}; its ?shards= is the new number")
	_ = c.MarkFlagRequired("to") // the only error is a flag that the command does not have
	dataFlag(c, &f.data)
	c.Flags().BoolVar(&f.insecure, "insecure", false, "allow a Redis whose maxmemory-policy may throw events away")
	jsonFlag(c, &f.asJSON, "one JSON object")
	return does(c, func(ctx context.Context, _ []string) error { return a.migrate(ctx, f) })
}

func (a *app) migrate(ctx context.Context, f migrateFlags) error {
	cfg, err := a.load(overrides("data", f.data)...)
	if err != nil {
		return err
	}
	to, err := a.target(f.to)
	if err != nil {
		return err
	}
	o := daemon.MoveOptions{From: cfg, To: to, Insecure: f.insecure, Log: zap.NewNop()}
	if term.IsTerminal(a.Stderr) && !f.asJSON {
		o.Progress = a.tellProgress
		defer fmt.Fprintln(a.Stderr)
	}
	r, err := daemon.Move(ctx, o)
	if err != nil {
		return migrateFailure(err)
	}
	return a.tellMigration(f, r)
}

// reference is ${NAME}.
var reference = regexp.MustCompile(`\$\{(\w+)\}`)

// target reads the URL as the configuration would read it.
func (a *app) target(given string) (secret.Text, error) {
	missing := ""
	given = reference.ReplaceAllStringFunc(given, func(ref string) string {
		name := ref[2 : len(ref)-1]
		value, ok := os.LookupEnv(name)
		if !ok && missing == "" {
			missing = name
		}
		return value
	})
	if missing != "" {
		return secret.Text{}, misused("set it, or give --to file:PATH", "--to: %s is not set", missing)
	}
	cfg, err := a.load(config.Flag{Name: "--to", Key: "redis", Value: given})
	if err != nil { // the rest of the configuration was read before
		return secret.Text{}, misused("imrelay store migrate --help", "%v", err)
	}
	return cfg.Redis, nil
}

// tellProgress writes over its own last line.
func (a *app) tellProgress(p daemon.MoveProgress) {
	fmt.Fprintf(a.Stderr, "\rcopied %d events, %d keys, %d sends, %d notes", p.Events, p.Keys, p.Sends, p.Notes)
}

func (a *app) tellMigration(f migrateFlags, r daemon.MoveReport) error {
	if f.asJSON {
		from := "redis"
		if r.Embedded {
			from = "embedded"
		}
		return writeJSON(a.Stdout, migration{
			From: from, Shards: r.Shards, Moved: r.Moved, Bytes: r.Bytes, Removed: r.Removed,
			Seconds: r.Took.Round(time.Millisecond).Seconds(),
		})
	}
	t := term.NewTable("WHAT", "AGENT", "STATE", "MOVED")
	for _, m := range r.Moved {
		count := term.Cell{Text: strconv.Itoa(m.Count)}
		t.Row(term.Cell{Text: m.What}, term.Cell{Text: m.Agent}, term.Cell{Text: m.State}, count)
	}
	if err := t.Print(a.Stdout, a.style); err != nil {
		return err
	}
	fmt.Fprintf(a.Stderr, "moved into %d shards in %v, counts compared\n", r.Shards, r.Took.Round(time.Millisecond))
	if r.Embedded {
		fmt.Fprintln(a.Stderr, "next: give the relays this Redis (redis: or IMRELAY_REDIS) and start them; the old store stays "+
			"as it was, and a relay that starts on it would deliver its events once more")
		return nil
	}
	fmt.Fprintln(a.Stderr, "next: give the relays the new URL (redis: or IMRELAY_REDIS) and start them")
	return nil
}

// migrateFailure finds code and hint for a move that failed. Until the last step the source is what it was.
func migrateFailure(err error) error {
	const again = "the store is as it was; begin again when that is mended: what was copied is replaced"
	if f := lockedFailure(err); f != nil {
		return f
	}
	if e, ok := errors.AsType[*daemon.RelaysError](err); ok {
		hint := "stop them first; one that was killed counts for five seconds"
		return &failure{code: codeLocked, what: e.Error(), hint: hint, err: err}
	}
	if e, ok := errors.AsType[*daemon.URLError](err); ok {
		return misused("imrelay store migrate --help", "--to: %v", e)
	}
	if e, ok := errors.AsType[*daemon.TargetError](err); ok {
		return failed(e, e.Hint)
	}
	if e, ok := errors.AsType[*config.Error](err); ok {
		return failureOf(e)
	}
	switch {
	case errors.Is(err, daemon.ErrMoved):
		return failed(err, "give the relays the new URL and start them; where the old keys are in the same Redis, begin again "+
			"to have them removed")
	case errors.Is(err, daemon.ErrUnsure):
		return failed(err, "nothing is lost; begin again when Redis can be reached: a target that then is said to hold "+
			"data has all of it")
	case errors.Is(err, context.Canceled):
		return &failure{code: codeFailed, what: "interrupted", hint: "the store is as it was; begin again", err: err}
	case errors.Is(err, daemon.ErrNoStore):
		return failed(err, "name its folder with --data or --config")
	case errors.Is(err, daemon.ErrSameStore):
		return misused("name another Redis, or another number of ?shards=", "%v", err)
	case errors.Is(err, daemon.ErrOccupied):
		return failed(err, "name an empty database, or empty that one; nothing was changed")
	case errors.Is(err, daemon.ErrClocks):
		return failed(err, "set them right: due times and the dedupe window are carried over as they are")
	}
	return failed(err, again)
}
