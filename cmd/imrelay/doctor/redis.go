package doctor

import (
	"context"

	"github.com/imrelay/imrelay/relay/daemon"
)

// redis looks at the Redis that the relays share.
func (e *examination) redis(ctx context.Context) {
	r, err := daemon.LookAtRedis(ctx, e.Config)
	if err != nil {
		e.fail("redis", "start it, or look at redis: in the configuration; until then everything is answered 503", "%v", err)
		return
	}
	e.ok("redis", "%s", r.Summary)
	for _, p := range r.Problems {
		if p.Severe {
			e.fail("redis", p.Hint, "%s", p.Text)
		} else {
			e.warn("redis", p.Hint, "%s", p.Text)
		}
	}
	e.ok("redis: loss", "%s", r.Loss)
	e.ok("relays", "%d run on this Redis", r.Relays)
}
