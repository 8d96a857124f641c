package redisqueue

import (
	_ "embed" // the scripts
	"fmt"

	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// The sources of the scripts. What they share stands before each.
var (
	//go:embed lua/lib.lua
	shared string
	//go:embed lua/put.lua
	putSource string
	//go:embed lua/turn.lua
	turnSource string
	//go:embed lua/remember.lua
	rememberSource string
	//go:embed lua/sighted.lua
	sightedSource string
	//go:embed lua/take.lua
	takeSource string
	//go:embed lua/settle.lua
	settleSource string
	//go:embed lua/renew.lua
	renewSource string
	//go:embed lua/rouse.lua
	rouseSource string
	//go:embed lua/states.lua
	statesSource string
	//go:embed lua/revive.lua
	reviveSource string
	//go:embed lua/drop.lua
	dropSource string
	//go:embed lua/expire.lua
	expireSource string
	//go:embed lua/pause.lua
	pauseSource string
	//go:embed lua/resume.lua
	resumeSource string
	//go:embed lua/pauses.lua
	pausesSource string
	//go:embed lua/get.lua
	getSource string
	//go:embed lua/list.lua
	listSource string
	//go:embed lua/stats.lua
	statsSource string
	//go:embed lua/accounts.lua
	accountsSource string
	//go:embed lua/sweep.lua
	sweepSource string
	//go:embed lua/exportchats.lua
	exportChatsSource string
	//go:embed lua/exportkeys.lua
	exportKeysSource string
	//go:embed lua/exportjobs.lua
	exportJobsSource string
	//go:embed lua/importnames.lua
	importNamesSource string
	//go:embed lua/importpause.lua
	importPauseSource string
	//go:embed lua/import.lua
	importJobsSource string
)

// The scripts.
var (
	putScript         = script("put", putSource)
	turnScript        = relief("turn", turnSource)
	rememberScript    = script("remember", rememberSource)
	sightedScript     = relief("sighted", sightedSource)
	takeScript        = relief("take", takeSource)
	settleScript      = relief("settle", settleSource)
	renewScript       = relief("renew", renewSource)
	rouseScript       = relief("rouse", rouseSource)
	statesScript      = relief("states", statesSource)
	reviveScript      = relief("revive", reviveSource)
	dropScript        = relief("drop", dropSource)
	expireScript      = relief("expire", expireSource)
	pauseScript       = relief("pause", pauseSource)
	resumeScript      = relief("resume", resumeSource)
	pausesScript      = relief("pauses", pausesSource)
	getScript         = relief("get", getSource)
	listScript        = relief("list", listSource)
	statsScript       = relief("stats", statsSource)
	accountsScript    = relief("accounts", accountsSource)
	sweepScript       = relief("sweep", sweepSource)
	exportChatsScript = relief("exportchats", exportChatsSource)
	exportKeysScript  = relief("exportkeys", exportKeysSource)
	exportJobsScript  = relief("exportjobs", exportJobsSource)
	importNamesScript = script("importnames", importNamesSource)
	importPauseScript = script("importpause", importPauseSource)
	importJobsScript  = script("import", importJobsSource)
)

// script makes one that takes in, relief one that lets out, or that does neither.
func script(name, source string) *redisconn.Script {
	return redisconn.NewScript("queue "+name, shared+source)
}

func relief(name, source string) *redisconn.Script {
	return redisconn.NewRelief("queue "+name, shared+source)
}

// reply reads what a script returned. It keeps the first thing that is not as it should be.
type reply struct {
	values []any
	err    error
}

func replyOf(v any) *reply {
	r := &reply{}
	values, ok := v.([]any)
	if !ok && v != nil {
		r.err = fmt.Errorf("script returned %T in place of a list", v)
	}
	r.values = values
	return r
}

func (r *reply) more() bool { return r.err == nil && len(r.values) > 0 }

func (r *reply) next() any {
	if len(r.values) == 0 {
		if r.err == nil {
			r.err = fmt.Errorf("script returned too little")
		}
		return nil
	}
	v := r.values[0]
	r.values = r.values[1:]
	return v
}

func (r *reply) int() int64 {
	v := r.next()
	n, ok := v.(int64)
	if s, isText := v.(string); isText {
		n, ok = parse(s)
	}
	if !ok && r.err == nil {
		r.err = fmt.Errorf("script returned %T in place of a number", v)
	}
	return n
}

func (r *reply) text() string {
	v := r.next()
	s, ok := v.(string)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("script returned %T in place of a text", v)
	}
	return s
}

func (r *reply) list() *reply {
	inner := replyOf(r.next())
	if r.err == nil {
		r.err = inner.err
	}
	return inner
}
