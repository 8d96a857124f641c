// Package agents proves that each kind of agent keeps what the relay promises when relay and agent both break: it has tests
// only, and no code for anybody to call. Each test starts the real program between an IM that remembers and the kind's own
// fake with its unkindness switched on, feeds some conversations, kills the relay again and again, restarts the agent, and
// then holds what was accepted against what the agent heard and what the IM was sent.
//
// What must hold for every kind: the agent heard each message that was accepted, first in the order of the conversation,
// and nothing of another one; and a reply that the relay has answered for reached the IM, unless the relay was killed
// while it was sent and says that it does not know. Where a reply can be known again, by a key of the agent's or by the
// event and its number, it went out once, however often the agent ran. What a kind cannot promise is counted and shown in
// the output (go test -v): agents that ran twice, replies that an agent gave up.
//
//	go test -v ./cmd/imrelay/agents
//
// IMRELAY_CHAOS_KILLS says how often each relay is killed.
package agents
