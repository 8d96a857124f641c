// Package sqlitequeue is the queue of the embedded store: package queue over the database file of package sqlitefile. It
// opens and closes no file, and it decides no order: that is package lanes.
//
// # What is where
//
// On disk: every job, its body, its lane, the keys seen, the pauses. In memory: for each waiting job its place and when
// it is due (package lanes), the records and bodies of some of them within a byte budget, the records of those that are
// leased, the newest keys, and per agent how many are delivered and dead. So Take writes nothing, and reads only what the
// budget had no room for. Leases are in memory only: after a restart there are none, attempts are as last settled.
// What Rouse did is in memory only too.
//
// # Keys
//
// A key is kept as the first half of its SHA-256. Those of new jobs stand in their job's row, and in memory; once some
// thousands have gathered, more as the tables grow, they are moved, in the order of their hashes, into the table of their
// period. A period is a day, whatever the dedupe window is, so that the file can be opened with another window. A table
// is emptied in steps and dropped when all of it is over. Whether a key is within the window is told by the time stored
// with it. A Bloom filter for each table says "surely not" for nearly all new keys without a look at the disk.
//
// # Time
//
// All times on disk are in the store's time (package clock), in milliseconds: no step of the system's clock while the
// queue is open changes when a job is due, a lease lapses or a key is forgotten. Where that clock stood is saved every
// second of activity. A clock that was set back while the relay was down, even by years, counts as no time at all; one
// that was set forward then cannot be told from a long rest, and counts as one.
//
// # Contexts
//
// A call whose context is over before it reached the writer changes nothing. After that it returns the context's error,
// and the change may be made all the same. Put keeps the Meta and Body of its jobs: they must not be changed afterwards.
package sqlitequeue
