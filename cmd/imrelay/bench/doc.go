// Package bench measures one imrelay process: how much it takes in and delivers, how soon, and for how much CPU and
// memory, each as a ratio to what nginx does in the same minute on the same machine when it passes the same requests on
// and keeps nothing. A relay on Redis is measured beside one with the embedded store, and its queue beside
// redis-benchmark. It has benchmarks only, and no code for anybody to call. It changes nothing but folders of its own,
// and talks to nobody but loopback.
//
//	go test -run '^$' -bench . -benchtime 1x ./cmd/imrelay/bench
//
// The relay under test is the real program, built without cgo, started with an empty data folder and configured by its
// environment alone, as a newcomer would. What plays the IM server and the agent is written on bare sockets, so that of
// two cores most is left to the program under test. Relay and nginx are loaded in turn, for some rounds, and the median
// of the rounds' ratios counts; rounds in which other processes took over a quarter of the machine are left out as long
// as others are left. Every benchmark fails when a message is lost, comes twice, changed, unsigned or out of order, or
// when a request is refused; one that misses its target does not fail, the table at the end says so.
//
// A Redis is a redis-server of the benchmark's own, with appendonly, and with appendfsync as the name says: always keeps
// all in a power cut, as the embedded store does, everysec all but the last second. It is used over TCP, as from another
// machine. Its CPU time has a column of its own. BENCH_SHARDS is the number of shards, where it is not to be the default.
//
// Where there is no nginx, a proxy of net/http takes its place, and the table says that too. CPU and memory of processes
// are read from /proc; where there is none those columns stay empty. BENCH_BACKLOG is how many messages wait in
// [BenchmarkBacklog] (default 100000). The data folders are where TMPDIR says: on a file system in memory durability
// costs nothing, and the figures are worth as much.
package bench
