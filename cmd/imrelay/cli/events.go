package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/imrelay/imrelay/relay/queue"
)

// pageSize is how many events are asked for at a time.
const pageSize = 500

// filterFlags choose events.
type filterFlags struct {
	states                               []string
	im, agent, conversation, since, data string
	limit                                int
}

// add adds the flags. states are the ones that may be asked for; none: there is no such flag.
func (f *filterFlags) add(c *cobra.Command, states ...string) {
	flags := c.Flags()
	if len(states) > 0 {
		flags.StringSliceVar(&f.states, "state", nil, "only events in these `states`: "+fmt.Sprint(states))
		complete(c, "state", states...)
	}
	flags.StringVar(&f.im, "im", "", "only of this IM `account`")
	flags.StringVar(&f.agent, "agent", "", "only for this `agent`")
	flags.StringVar(&f.conversation, "conversation", "", "only of this `conversation`")
	flags.StringVar(&f.since, "since", "", "only accepted since this `time`, or so long ago: 2h, 3d, 2026-01-02T15:04:05Z")
	dataFlag(c, &f.data)
}

func (f *filterFlags) addLimit(c *cobra.Command) {
	c.Flags().IntVar(&f.limit, "limit", 100, "at most so many, the newest; 0: all")
}

// set says that something is filtered by.
func (f *filterFlags) set() bool {
	return len(f.states) > 0 || f.im != "" || f.agent != "" || f.conversation != "" || f.since != ""
}

// filter is what the flags ask for. States outside allowed are a misuse.
func (f *filterFlags) filter(allowed ...string) (queue.Filter, error) {
	q := queue.Filter{Agent: f.agent, Account: f.im, Conversation: f.conversation}
	var err error
	if q.Since, err = since(f.since, time.Now()); err != nil {
		return q, err
	}
	for _, name := range f.states {
		if !slices.Contains(allowed, name) {
			return q, misused("one of "+fmt.Sprint(allowed), "--state: unknown state %q", name)
		}
		if name == stateDelivering {
			q.Leased = true
			continue
		}
		s, err := queue.ParseState(name)
		if err != nil {
			return q, err
		}
		q.States = append(q.States, s)
	}
	if q.Leased && len(q.States) > 0 {
		return q, misused("ask for it alone", "--state: delivering goes with no other state")
	}
	return q, nil
}

// eventStates are the states of an event in the order of its life.
var eventStates = []string{
	queue.Queued.String(), stateDelivering, queue.Parked.String(), queue.Delivered.String(), queue.Dead.String(),
}

func (a *app) events() *cobra.Command {
	return family(&cobra.Command{
		Use:   "events",
		Short: "List and show events: accepted messages on their way to agents",
		Example: `  imrelay events list --state parked
  imrelay events show evt_01985b2e-…`,
	}, a.eventsList(), a.eventsShow("show", "Show one event"))
}

func (a *app) eventsList() *cobra.Command {
	var f filterFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List events, the newest first",
		Long: `List events, the newest first: of the running relay, or of the store of a stopped one.
With --json each event is one JSON object on a line of its own.`,
		Args: cobra.NoArgs,
		Example: `  imrelay events list --since 2h
  imrelay events list --state queued --state parked --agent openclaw
  imrelay events list --limit 0 --json | jq -r .conversation | sort | uniq -c`,
	}
	f.add(c, eventStates...)
	f.addLimit(c)
	jsonFlag(c, &asJSON, "one JSON object a line")
	return does(c, func(ctx context.Context, _ []string) error {
		q, err := f.filter(eventStates...)
		if err != nil {
			return err
		}
		return a.list(ctx, listing{filter: q, flags: f, asJSON: asJSON, none: "no events"})
	})
}

// listing is one call of a list command.
type listing struct {
	filter queue.Filter
	flags  filterFlags
	asJSON bool
	// none is said when there is nothing to list.
	none string
}

func (a *app) list(ctx context.Context, l listing) error {
	if l.flags.limit < 0 {
		return misused("0 lists all", "--limit: must not be negative")
	}
	s, closeShelf, err := a.openShelf(ctx, l.flags.data)
	if err != nil {
		return err
	}
	jobs, err := collect(ctx, s, l.filter, l.flags.limit)
	if err := errors.Join(err, closeShelf()); err != nil {
		return err
	}
	views := make([]eventView, len(jobs))
	for i, j := range jobs {
		views[i] = viewOf(j)
	}
	if !l.asJSON {
		if len(views) == 0 {
			fmt.Fprintln(a.Stderr, l.none)
		}
		return a.printEvents(views)
	}
	for _, v := range views {
		if err := writeJSON(a.Stdout, v); err != nil {
			return err
		}
	}
	return nil
}

// collect returns the events that the filter lets through, the newest first, at most limit of them; 0: all.
func collect(ctx context.Context, s shelf, f queue.Filter, limit int) ([]queue.Job, error) {
	var jobs []queue.Job
	for {
		f.Limit = pageSize
		if limit > 0 {
			f.Limit = min(pageSize, limit-len(jobs))
		}
		page, err := s.List(ctx, f)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, page.Jobs...)
		if f.Before = page.Next; f.Before == 0 || limit > 0 && len(jobs) >= limit {
			return jobs, nil
		}
	}
}

// eventsShow is events show and dead show, which differ in nothing but where one looks for them.
func (a *app) eventsShow(use, short string) *cobra.Command {
	var data string
	var asJSON, body bool
	c := &cobra.Command{
		Use:   use + " ID",
		Short: short,
		Long: short + `: all its fields, or with --body the bytes that the IM sent and nothing else.
With --json the body is in "body", in base64.`,
		Args: cobra.ExactArgs(1),
		Example: `  imrelay events show evt_01985b2e-…
  imrelay events show evt_01985b2e-… --body > body.json`,
		ValidArgsFunction: a.completeIDs(),
	}
	dataFlag(c, &data)
	jsonFlag(c, &asJSON, "one JSON object")
	c.Flags().BoolVar(&body, "body", false, "print the body, byte for byte, and nothing else")
	c.MarkFlagsMutuallyExclusive("json", "body")
	return does(c, func(ctx context.Context, args []string) error {
		s, closeShelf, err := a.openShelf(ctx, data)
		if err != nil {
			return err
		}
		job, err := s.Get(ctx, args[0])
		if err := errors.Join(err, closeShelf()); err != nil {
			return getFailure(args[0], err)
		}
		return a.show(job, asJSON, body)
	})
}

func getFailure(id string, err error) error {
	if errors.Is(err, queue.ErrNotFound) {
		return failed(fmt.Errorf("no event is called %q", id), "imrelay events list shows what there is; what is over is kept for retention.delivered only")
	}
	return err
}

func (a *app) show(job queue.Job, asJSON, body bool) error {
	switch {
	case asJSON:
		return writeJSON(a.Stdout, struct {
			eventView

			Body []byte `json:"body"`
			Size int    `json:"size"`
		}{viewOf(job), job.Body, len(job.Body)})
	case body && job.Body == nil:
		return failed(errors.New("the body is gone: the retention has removed it"), "retention.delivered and retention.max_bytes say how much is kept")
	case body:
		if _, err := a.Stdout.Write(job.Body); err != nil {
			return fmt.Errorf("write body: %w", err)
		}
		return nil
	}
	size := "removed by the retention"
	if job.Body != nil {
		size = fmt.Sprintf("%d bytes", len(job.Body))
	}
	printEvent(a.Stdout, a.style, viewOf(job), size)
	return nil
}

// completeIDs offers the ids of events of a running relay; a stopped one's store is not opened for that.
func (a *app) completeIDs(states ...queue.State) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), helloWait)
		defer cancel()
		data, _ := c.Flags().GetString("data")
		page, err := a.recent(ctx, data, queue.Filter{States: states, Limit: 50})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ids := make([]cobra.Completion, len(page.Jobs))
		for i, j := range page.Jobs {
			ids[i] = cobra.CompletionWithDesc(j.ID, j.Lane.Conversation+" "+j.LastError)
		}
		return ids, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}
