package relay

import "time"

// Meter counts what happens. Its labels are configured names and fixed words, never an id of a chat or a person.
type Meter interface {
	// Inbound counts a message by what became of it: accepted, duplicate, or why it was ignored.
	Inbound(account, result string)
	// Braked counts a conversation that was paused because it looks like a loop.
	Braked(account string)
	// Attempt counts an attempt by what was decided: delivered, retry, parked, dead.
	Attempt(agent, decision string, took time.Duration)
	// Delivered tells how long an event took from acceptance to the agent's answer.
	Delivered(agent string, took time.Duration)
}
