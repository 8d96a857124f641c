package openai

import "time"

// Hasten shortens how long a turn is tried to be saved.
func (a *Agent) Hasten(save, again time.Duration) { a.times = times{save: save, again: again} }
