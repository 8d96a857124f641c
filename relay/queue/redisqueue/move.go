package redisqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

// imported says whether jobs may have come by an import within so long, and so be older than their seqs say.
func (q *Queue) imported(time.Duration) bool { return false }

// Export implements queue.Exporter.
func (q *Queue) Export(context.Context, func(queue.Cargo) error) error {
	return fmt.Errorf("%w: not there yet", queue.ErrUnavailable)
}

// Import implements queue.Importer.
func (q *Queue) Import(context.Context, queue.Cargo) error {
	return fmt.Errorf("%w: not there yet", queue.ErrUnavailable)
}
