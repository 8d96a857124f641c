// Package lanes decides which job is next: it is the scheduler of the stores that keep their lanes in this process. It
// holds for each lane the places of its waiting jobs, who has it leased, whether it is paused, and when it is due. It
// does no I/O, reads no clock (every method is told the time), holds no job's bytes, and is not safe for concurrent use:
// the store has the lock.
//
// # Sets
//
// A lane is in the [Set] while it has a waiting job, or an ack of it is not on disk yet, or its hold is not over. It is
// then in exactly one of
//
//   - ready: in one of its agent's two heaps, ordered by when it is due: calm lanes and troubled ones, so that neither
//     hides the other;
//   - leased: in its agent's heap of leases, ordered by when they lapse;
//   - held: in no heap, because its conversation is paused, or because nothing but an ack ahead of its commit is left
//     in it, or because a second job waits for that ack, or because some of its jobs are on their way to be buried. A
//     paused agent keeps its ready lanes: it just gives none out;
//   - empty: in the set's heap of those, ordered by when their hold ends; the first Take after that drops them.
//
// # Settling
//
// [Set.Settle] fences by the token and says that a transition is on its way to the disk; [Set.Done] says that it is
// there, [Set.Undo] that it will not be. An ack frees the lane at Settle, if no other ack of the lane is on its way;
// everything else, and a second ack, frees it at Done. In between the lease is still its holder's to renew.
package lanes
