package redisdedupe

import "github.com/imrelay/imrelay/relay/store/redisconn"

// Scripts are the scripts by their names, for the tests of each.
func Scripts() map[string]*redisconn.Script {
	return map[string]*redisconn.Script{
		"point": pointScript, "move": moveScript, "claim": claimScript, "start": startScript, "note": noteScript,
		"finish": finishScript, "release": releaseScript, "renew": renewScript, "look": lookScript, "take": takeScript,
		"count": countScript, "find": findScript, "sweep": sweepScript, "rows": rowsScript, "import": importScript,
	}
}
