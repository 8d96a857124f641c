package daemon

import (
	"context"

	"github.com/imrelay/imrelay/relay/seat"
)

// Residents are residents whose seats are all free.
type Residents struct{ in residents }

// NewResidents are none yet.
func NewResidents() *Residents {
	return &Residents{in: residents{kind: "test", seats: seat.Alone{}}}
}

// Work is one resident's; two are the same if they are one.
type Work struct{ Run func(ctx context.Context) }

type worker struct{ *Work }

func (w worker) Run(ctx context.Context) { w.Work.Run(ctx) }

// Settle makes these the residents.
func (r *Residents) Settle(ctx context.Context, all map[string]*Work) {
	tenants := map[string]tenant{}
	for name, w := range all {
		tenants[name] = tenant{resident: worker{w}, made: w, alone: true}
	}
	r.in.settle(ctx, tenants)
}

// Close ends all.
func (r *Residents) Close(ctx context.Context) error { return r.in.close(ctx) }
