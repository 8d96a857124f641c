package telegram_test

import "sync"

// alarms are those of a wire.
type alarms struct {
	// slow holds the raising up, until it is read from twice; nil: nothing does.
	slow  chan struct{}
	mu    sync.Mutex
	texts map[string]string
}

func newAlarms() *alarms { return &alarms{texts: map[string]string{}} }

// Raise implements connector.Alarm.
func (a *alarms) Raise(what, text string) {
	if a.slow != nil {
		a.slow <- struct{}{}
		a.slow <- struct{}{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.texts[what] = text
}

// Clear implements connector.Alarm.
func (a *alarms) Clear(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.texts, what)
}

// raised is an alarm's text; empty: it is not raised.
func (a *alarms) raised(what string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.texts[what]
}
