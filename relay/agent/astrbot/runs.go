package astrbot

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// remembered is how long it is known when an event's run may have begun.
const remembered = time.Hour

// run is what is known of the runs that an event's posts may have begun. It is remembered from before each such post.
type run struct {
	// Begun is when the last one may have begun, in milliseconds since 1970; 0: none was.
	Begun int64 `json:"begun"`
	// Count is how many may have begun.
	Count int `json:"count"`
	// Over says that the last one is known to be over, and that it had nothing to say.
	Over bool `json:"over,omitempty"`
}

func (a *Agent) loadRun(ctx context.Context, eventID string) (run, error) {
	value, err := a.wire.Memory.Load(ctx, "run/"+eventID)
	if err != nil {
		return run{}, fmt.Errorf("load run: %w", err)
	}
	var r run
	if value == nil {
		return r, nil
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return run{}, fmt.Errorf("read run: %w", err)
	}
	// A clock that was set back must not hold the event for long.
	r.Begun = min(r.Begun, time.Now().UnixMilli())
	return r, nil
}

func (a *Agent) saveRun(ctx context.Context, eventID string, r run) error {
	var value []byte
	if r != (run{}) {
		b, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode run: %w", err)
		}
		value = b
	}
	if err := a.wire.Memory.Save(ctx, "run/"+eventID, value, remembered); err != nil {
		return fmt.Errorf("save run: %w", err)
	}
	return nil
}

// age is how long ago the last run may have begun.
func (r run) age() time.Duration { return time.Since(time.UnixMilli(r.Begun)) }

// wait is how long nothing may be posted that could begin a run beside the last one.
func (r run) wait(ts times) time.Duration {
	if r.Begun == 0 {
		return 0
	}
	gap := ts.patience
	for n := 1; n < r.Count && gap < ts.longest; n++ {
		gap *= 2
	}
	return max(min(ts.hold+gap, ts.longest)-r.age(), 0)
}
