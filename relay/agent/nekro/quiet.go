package nekro

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// quietFor is how long the same is not logged again.
const quietFor = time.Minute

// quiet keeps what Nekro does over and over from filling the log.
type quiet struct {
	log *zap.Logger

	mu     sync.Mutex
	logged map[[2]string]time.Time
}

// warn logs, unless it has just done so for that reason. Reasons are few.
func (q *quiet) warn(what, reason string, fields ...zap.Field) {
	q.mu.Lock()
	key := [2]string{what, reason}
	at, ok := q.logged[key]
	again := ok && time.Since(at) < quietFor
	if !again {
		q.logged[key] = time.Now()
	}
	q.mu.Unlock()
	if !again {
		q.log.Warn(what, fields...)
	}
}
