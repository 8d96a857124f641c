package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
)

// maxSelection is the most dead letters that one request moves; who has more asks again.
const maxSelection = 50_000

// selection chooses dead letters: by id, or all that the filters let through.
type selection struct {
	IDs          []string `json:"ids,omitempty"`
	All          bool     `json:"all,omitempty"`
	IM           string   `json:"im,omitempty"`
	Agent        string   `json:"agent,omitempty"`
	Conversation string   `json:"conversation,omitempty"`
	Since        string   `json:"since,omitempty"`
}

// replayJSON is the body of a replay.
type replayJSON struct {
	selection

	// Rate is how fast the replayed events become due: "20/m", "5/s", "1/250ms"; empty: all at once.
	Rate string `json:"rate,omitempty"`
}

// movedJSON says how many events an action moved, and whether there are more to choose.
type movedJSON struct {
	Replayed *int `json:"replayed,omitempty"`
	Dropped  *int `json:"dropped,omitempty"`
	More     bool `json:"more,omitempty"`
}

// listDead serves GET /api/admin/dead.
func listDead(c *call) error {
	f, err := readFilter(c.r.URL.Query())
	if err != nil {
		return err
	}
	f.States = []queue.State{queue.Dead}
	return c.listJobs(f)
}

// replayDead serves POST /api/admin/dead/replay.
func replayDead(c *call) error {
	var in replayJSON
	if err := c.decode(&in); err != nil {
		return err
	}
	gap, err := readRate(in.Rate)
	if err != nil {
		return err
	}
	ids, more, err := c.selected(in.selection)
	if err != nil {
		return err
	}
	n, err := c.s.o.Store.Revive(c.r.Context(), ids, gap)
	if err != nil {
		return fmt.Errorf("replay events: %w", err)
	}
	c.logAction("admin.replayed", zap.Int("events", n))
	return c.encodeJSON(http.StatusOK, movedJSON{Replayed: &n, More: more})
}

// dropDead serves POST /api/admin/dead/drop. By id it drops parked events too.
func dropDead(c *call) error {
	var in selection
	if err := c.decode(&in); err != nil {
		return err
	}
	ids, more, err := c.selected(in)
	if err != nil {
		return err
	}
	n, err := c.s.o.Store.Drop(c.r.Context(), ids)
	if err != nil {
		return fmt.Errorf("drop events: %w", err)
	}
	c.logAction("admin.dropped", zap.Int("events", n))
	return c.encodeJSON(http.StatusOK, movedJSON{Dropped: &n, More: more})
}

// selected returns the ids of a selection.
func (c *call) selected(s selection) (ids []string, more bool, err error) {
	filtered := s.IM != "" || s.Agent != "" || s.Conversation != "" || s.Since != ""
	switch {
	case len(s.IDs) > 0 && (s.All || filtered):
		return nil, false, invalid("ids", "cannot be combined with all or a filter")
	case len(s.IDs) > 0:
		return s.IDs, false, nil
	case !s.All:
		return nil, false, invalid("ids", "is missing: name the events, or say all, with or without a filter")
	}
	f, err := readFilter(url.Values{
		"im": {s.IM}, "agent": {s.Agent}, "conversation": {s.Conversation}, "since": {s.Since},
	})
	if err != nil {
		return nil, false, err
	}
	return allDead(c.r.Context(), c.s.o.Store, f)
}

// allDead collects the ids of all dead letters that the filter lets through, the oldest first, so that a replay begins
// with what has waited longest.
func allDead(ctx context.Context, in queue.Inspector, f queue.Filter) (ids []string, more bool, err error) {
	f.States, f.Limit = []queue.State{queue.Dead}, maxPage
	for {
		page, err := in.List(ctx, f)
		if err != nil {
			return nil, false, fmt.Errorf("list dead events: %w", err)
		}
		for _, j := range page.Jobs {
			ids = append(ids, j.ID)
		}
		if f.Before = page.Next; f.Before == 0 {
			break
		}
		if len(ids) >= maxSelection {
			more = true
			break
		}
	}
	slices.Reverse(ids)
	return ids, more, nil
}

// logAction writes one line for an action of the operator.
func (c *call) logAction(event string, fields ...zap.Field) {
	c.s.log.Info("operator acted", append([]zap.Field{
		zap.String("event", event), zap.String("requestId", c.id),
		zap.String("remote", clientAddr(c.r, c.t.proxies).String()),
	}, fields...)...)
}

// readRate reads "20/m" as the gap between two events; empty: none.
func readRate(rate string) (gap time.Duration, err error) {
	if rate == "" {
		return 0, nil
	}
	wrong := invalid("rate", "must be a number and a unit such as 20/m, 5/s or 1/250ms")
	var n int
	var unit string
	if _, err := fmt.Sscanf(rate, "%d/%s", &n, &unit); err != nil || n < 1 {
		return 0, wrong
	}
	if slices.Contains([]string{"s", "m", "h"}, unit) {
		unit = "1" + unit
	}
	per, err := time.ParseDuration(unit)
	if err != nil || per <= 0 {
		return 0, wrong
	}
	return max(per/time.Duration(n), 1), nil
}
