// Package seat is for what only one relay may do at a time: keep a long connection to an agent, poll an IM. A relay that
// sits is the only one; when it goes, or is not heard of any more, another takes its place.
package seat

import "context"

// Keeper gives the seats out.
type Keeper interface {
	// Sit waits until the seat of that name is ours, calls work, and does so again whenever work returns or the seat was
	// lost, until ctx ends. work's context ends with ctx, or when it is not certain any more that the seat is ours; work
	// must return soon then, for another relay may sit down. Sit returns when ctx has ended and work has returned, and gives
	// the seat back. Seats of different names do not wait for each other. One seat has one Sit a process at a time.
	Sit(ctx context.Context, name string, work func(ctx context.Context))
}

// Alone is the Keeper of a relay that shares its store with nobody: every seat is free.
type Alone struct{}

var _ Keeper = Alone{}

// Sit calls work until ctx ends.
func (Alone) Sit(ctx context.Context, _ string, work func(ctx context.Context)) {
	for ctx.Err() == nil {
		work(ctx)
	}
}
