package daemon

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// teardown undoes what was done, last first, each step by its name; it goes on after a step that fails.
type teardown struct {
	mu    sync.Mutex
	steps []step
}

type step struct {
	name string
	undo func() error
}

// add registers a step the moment that there is something to undo.
func (t *teardown) add(name string, undo func() error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = append(t.steps, step{name, undo})
}

// run undoes everything once; later calls find nothing to do.
func (t *teardown) run() error {
	t.mu.Lock()
	steps := t.steps
	t.steps = nil
	t.mu.Unlock()
	var errs []error
	for _, s := range slices.Backward(steps) {
		if err := s.undo(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}
