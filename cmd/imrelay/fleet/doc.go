// Package fleet proves that many relays on one Redis keep what one relay promises: it has tests only, and no code for
// anybody to call. Each test starts the real program two or three times, with data folders of their own and one Redis of
// its own, feeds the relays in turn, breaks something, and holds what was accepted against what came: nothing lost,
// conversations in order over all relays, nothing twice beyond what a lease allows, no event in a middle state.
//
// What is broken: relays are killed and frozen; Redis is killed, frozen, emptied, restarted without its data; the master
// of a Sentinel and of a Cluster is killed. What a failover loses because replication is asynchronous is no fault of a
// relay; it is counted and shown in the output (go test -v), and has to be nothing where replicas are waited for.
//
//	go test -v ./cmd/imrelay/fleet
package fleet
