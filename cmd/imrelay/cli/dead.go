package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/cmd/imrelay/term"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/queue"
)

// moveSize is how many dead letters are moved at a time: what fits into one request.
const moveSize = 10_000

func (a *app) dead() *cobra.Command {
	return family(&cobra.Command{
		Use:   "dead",
		Short: "List, show, replay and drop dead letters",
		Example: `  imrelay dead list
  imrelay dead replay evt_01985b2e-…
  imrelay dead replay --all --agent openclaw --rate 10/s`,
	}, a.deadList(), a.eventsShow("show", "Show one dead letter"), a.deadReplay(), a.deadDrop())
}

func (a *app) deadList() *cobra.Command {
	states := []string{queue.Dead.String(), queue.Parked.String()}
	var f filterFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List dead letters with their reasons, the newest first",
		Long: `List dead letters with their reasons, the newest first. With --state parked those that are still
retried beside their conversation. With --json each is one JSON object on a line of its own.`,
		Args: cobra.NoArgs,
		Example: `  imrelay dead list --since 24h
  imrelay dead list --state parked
  imrelay dead list --json | jq -r .lastError | sort | uniq -c`,
	}
	f.add(c, states...)
	f.addLimit(c)
	jsonFlag(c, &asJSON, "one JSON object a line")
	return does(c, func(ctx context.Context, _ []string) error {
		q, err := f.filter(states...)
		if err != nil {
			return err
		}
		if len(q.States) == 0 {
			q.States = []queue.State{queue.Dead}
		}
		return a.list(ctx, listing{filter: q, flags: f, asJSON: asJSON, none: "no dead letters"})
	})
}

// move is a command that moves dead letters.
type move struct {
	// verb and done are the word and its past tense.
	verb, done string
	filter     filterFlags
	all, yes   bool
	asJSON     bool
	// gap is the time between two of them.
	gap time.Duration
	do  func(ctx context.Context, s shelf, ids []string) (int, error)
}

func (m *move) add(c *cobra.Command) {
	m.filter.add(c)
	c.Flags().IntVar(&m.filter.limit, "limit", 0, "with --all: at most so many, the newest; 0: all")
	c.Flags().BoolVar(&m.all, "all", false, "all dead letters that the filters let through")
	c.Flags().BoolVar(&m.yes, "yes", false, "do not ask, however many there are")
	jsonFlag(c, &m.asJSON, "the counts as one JSON object")
}

func (a *app) deadReplay() *cobra.Command {
	m := move{verb: "replay", done: "replayed"}
	var rate string
	c := &cobra.Command{
		Use:   "replay (ID… | --all)",
		Short: "Deliver dead letters again, with the same ids and bytes",
		Long: `Deliver dead letters again, the oldest first, with the same ids and bytes: attempts start at 0, and the
age anew. They are attempted between the other events of their conversations, and are not taken for repeats.`,
		Example: `  imrelay dead replay evt_01985b2e-…
  imrelay dead replay --all --im wechat --since 24h --yes
  imrelay dead replay --all --rate 10/s`,
		ValidArgsFunction: a.completeIDs(queue.Dead),
	}
	m.add(c)
	c.Flags().StringVar(&rate, "rate", "", "at most so many: `10/s`, 100/m (default: at once)")
	return does(c, func(ctx context.Context, args []string) error {
		if rate != "" {
			r, err := config.ParseRate(rate)
			if err != nil {
				return misused("write it as 10/s, 100/m or 1000/h", "--rate: %v", err)
			}
			m.gap = r.Per / time.Duration(r.N)
		}
		m.do = func(ctx context.Context, s shelf, ids []string) (int, error) { return s.Revive(ctx, ids, m.gap) }
		return a.move(ctx, m, args)
	})
}

func (a *app) deadDrop() *cobra.Command {
	m := move{verb: "drop", done: "dropped"}
	c := &cobra.Command{
		Use:   "drop (ID… | --all)",
		Short: "Remove dead letters for good",
		Long:  "Remove dead letters for good. Named by their ids, parked events can be dropped too.",
		Example: `  imrelay dead drop evt_01985b2e-…
  imrelay dead drop --all --conversation 48213570966@chatroom --yes`,
		ValidArgsFunction: a.completeIDs(queue.Dead, queue.Parked),
	}
	m.add(c)
	return does(c, func(ctx context.Context, args []string) error {
		m.do = func(ctx context.Context, s shelf, ids []string) (int, error) { return s.Drop(ctx, ids) }
		return a.move(ctx, m, args)
	})
}

// move moves what the arguments name, and tells how many it were.
func (a *app) move(ctx context.Context, m move, args []string) (err error) {
	switch {
	case m.all && len(args) > 0:
		return misused("give ids, or --all with filters", "ids and --all do not go together")
	case !m.all && len(args) == 0:
		return misused("give ids, or --all with or without filters", "nothing is named to %s", m.verb)
	case !m.all && (m.filter.set() || m.filter.limit > 0):
		return misused("add --all, or leave the filters out", "filters go with --all")
	}
	q, err := m.filter.filter()
	if err != nil {
		return err
	}
	s, closeShelf, err := a.openShelf(ctx, m.filter.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeShelf()) }()
	ids := dedupe(args)
	if m.all {
		if ids, err = deadIDs(ctx, s, q, m.filter.limit); err != nil {
			return err
		}
	}
	if err := a.confirm(m, len(ids)); err != nil {
		return err
	}
	moved, err := m.run(ctx, s, ids)
	return a.tellMoved(m, moved, len(ids), err)
}

// dedupe keeps the first of each.
func dedupe(ids []string) []string {
	var out []string
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// deadIDs are the ids of the newest dead letters that the filter lets through, at most limit, the oldest first; 0: all.
func deadIDs(ctx context.Context, s shelf, f queue.Filter, limit int) ([]string, error) {
	f.States = []queue.State{queue.Dead}
	jobs, err := collect(ctx, s, f, limit)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(jobs))
	for i, j := range jobs {
		ids[len(jobs)-1-i] = j.ID
	}
	return ids, nil
}

// run moves the events, as many at a time as a request holds. Those after the first lot wait until its last is due.
func (m move) run(ctx context.Context, s shelf, ids []string) (moved int, err error) {
	for lot := range slices.Chunk(ids, moveSize) {
		n, err := m.do(ctx, s, lot)
		moved += n
		if err != nil {
			return moved, err
		}
		if len(lot) < moveSize || m.gap == 0 {
			continue
		}
		if err := wait(ctx, time.Duration(len(lot))*m.gap); err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// wait waits, or returns ctx's error when it ends before.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// confirm asks before more than one event is moved. Where nobody can be asked, --yes must have been given.
func (a *app) confirm(m move, n int) error {
	if m.yes || n <= 1 {
		return nil
	}
	if !term.IsTerminal(a.Stdin) {
		return misused("add --yes", "this would %s %d events", m.verb, n)
	}
	fmt.Fprintf(a.Stderr, "%s %d events? [y/N] ", m.verb, n)
	answer, _ := bufio.NewReader(a.Stdin).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a == "y" || a == "yes" {
		return nil
	}
	return failed(errors.New("nothing was done"), "")
}

func (a *app) tellMoved(m move, moved, asked int, err error) error {
	if m.asJSON {
		if err := writeJSON(a.Stdout, map[string]int{m.done: moved, "selected": asked}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.Stdout, "%s %d of %d\n", m.done, moved, asked)
	}
	if err != nil || moved == asked || m.all {
		return err
	}
	return failed(fmt.Errorf("%d of the named events were passed over", asked-moved),
		"they do not exist, or are not dead: imrelay events show tells")
}
