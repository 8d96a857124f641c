// Package relay is the heart: what an event is, how a received body becomes events, which agent they go to, and how
// each is attempted until it is delivered, parked or dead. It knows no IM, no agent and no store: formats, agents and
// queues are its children, and the daemon puts them together.
//
//   - [Acceptor] takes a received body in: envelope, filter, route, queue, and a short wait for the outcome.
//   - [Dispatcher] takes due events from the queue, attempts each once, and settles it by the [Policy].
//   - [Brake] pauses a conversation in which the agent and somebody's echo talk to each other.
package relay
