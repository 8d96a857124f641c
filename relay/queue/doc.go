// Package queue says what a durable queue of events is: lanes, leases and the one state machine that every store
// implements. It holds no events itself and knows nothing of HTTP, of agents or of what a body means.
//
// # States
//
//	          Put                      Ack
//	(nothing) ────▶ Queued ───────────────────────▶ Delivered ──▶ (swept after the retention)
//	                 │  ▲ Retry: stays the head        ▲
//	                 │  └──┘ of its lane               │ Ack
//	                 │                                 │
//	                 ├────────── Park ───────▶ Parked ─┤
//	                 │                         ▲  │ ▲  │ Retry, Park: stays aside
//	                 │                  Revive │  │ └──┘
//	                 │                         │  │ Bury
//	                 └────────── Bury ───────▶ Dead ──▶ (dropped, or swept after the retention)
//
// A job is leased or it is not; that is a property of its lane, not a state. Only [Source.Settle] moves a job that is
// leased, only [Mender] and [Expirer] (which buries) move one that is not, and every arrow is one commit.
//
// # Lanes
//
// A [Lane] is what is delivered in order: one agent, one IM account, one conversation. Its queued jobs stand in commit
// order, its parked jobs stand aside. A lane with work is in exactly one of three sets:
//
//	ready  ── Take ──▶ leased ── Settle, or the lease lapses ──▶ ready
//	  ▲ │                │
//	  │ └──── Pause ─────┴──▶ paused (a leased lane is let finish) ── Resume, or its end ──▶ ready
//	  └──────────────────────────────────────────────────────────────────┘
//
// A lane gives out at most one lease at a time: its queued head when that is due, or a due parked job; where both are
// due they are served in turn. The head leaves the lane only when it is settled by its token. A parked, dead or revived
// job has lost its place: nothing is ever inserted into a lane but at its end.
//
// # Promises
//
//   - Put is one commit of the dedupe key and the bytes, and so is every Settle.
//   - Attempts rise only at Settle, and only for a counted verdict.
//   - Only an Ack may run ahead of its commit, and by one job: the lane may be leased again before the ack is on disk,
//     but not twice. Retry, Park and Bury never run ahead.
//   - The store has the clock: callers say "in 5 s", the store says when that is.
package queue
