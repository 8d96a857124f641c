package redisqueue

import "github.com/imrelay/imrelay/relay/store/redisconn"

// LookEverywhere makes the next Take ask all shards, as it does once a second.
func (q *Queue) LookEverywhere(agent string) { q.desk(agent).lookAt(q.clock()) }

// Mark makes the next Take ask all shards, and wakes nobody.
func (q *Queue) Mark(agent string) { q.desk(agent).mark(q.clock()) }

// Scripts are all scripts by their names.
func Scripts() map[string]*redisconn.Script {
	all := map[string]*redisconn.Script{}
	for _, s := range []*redisconn.Script{
		putScript, rememberScript, sightedScript, takeScript, settleScript, renewScript, rouseScript, statesScript, reviveScript,
		dropScript, expireScript, pauseScript, resumeScript, pausesScript, getScript, listScript, statsScript, accountsScript,
		sweepScript, importJobsScript, importPauseScript, importNamesScript, exportJobsScript, exportKeysScript,
		exportChatsScript,
	} {
		all[s.Name()[len("queue "):]] = s
	}
	return all
}
