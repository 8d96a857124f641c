package redisdedupe

import (
	_ "embed" // the scripts

	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// The scripts, and the parts that they share. Each says in its head what it is given and what it returns.
var (
	//go:embed lua/row.lua
	rowPart string
	//go:embed lua/line.lua
	linePart string
	//go:embed lua/hold.lua
	holdPart string

	//go:embed lua/point.lua
	pointSource string
	//go:embed lua/move.lua
	moveSource string
	//go:embed lua/claim.lua
	claimSource string
	//go:embed lua/start.lua
	startSource string
	//go:embed lua/note.lua
	noteSource string
	//go:embed lua/finish.lua
	finishSource string
	//go:embed lua/release.lua
	releaseSource string
	//go:embed lua/renew.lua
	renewSource string
	//go:embed lua/look.lua
	lookSource string
	//go:embed lua/take.lua
	takeSource string
	//go:embed lua/count.lua
	countSource string
	//go:embed lua/find.lua
	findSource string
	//go:embed lua/sweep.lua
	sweepSource string
	//go:embed lua/rows.lua
	rowsSource string
	//go:embed lua/import.lua
	importSource string
)

var (
	pointScript   = redisconn.NewScript("dedupe.point", pointSource)
	moveScript    = redisconn.NewScript("dedupe.move", moveSource)
	claimScript   = redisconn.NewScript("dedupe.claim", rowPart+linePart+claimSource)
	startScript   = redisconn.NewRelief("dedupe.start", rowPart+holdPart+startSource)
	noteScript    = redisconn.NewRelief("dedupe.note", rowPart+holdPart+noteSource)
	finishScript  = redisconn.NewRelief("dedupe.finish", rowPart+linePart+holdPart+finishSource)
	releaseScript = redisconn.NewRelief("dedupe.release", rowPart+linePart+holdPart+releaseSource)
	renewScript   = redisconn.NewRelief("dedupe.renew", rowPart+renewSource)
	lookScript    = redisconn.NewRelief("dedupe.look", rowPart+linePart+lookSource)
	takeScript    = redisconn.NewRelief("dedupe.take", rowPart+linePart+takeSource)
	countScript   = redisconn.NewRelief("dedupe.count", rowPart+linePart+countSource)
	findScript    = redisconn.NewRelief("dedupe.find", rowPart+findSource)
	sweepScript   = redisconn.NewRelief("dedupe.sweep", rowPart+sweepSource)
	rowsScript    = redisconn.NewRelief("dedupe.rows", rowPart+rowsSource)
	importScript  = redisconn.NewScript("dedupe.import", rowPart+linePart+importSource)
)
