// Package outbound sends an agent's messages to the IM: once for each idempotency key, in order for each recipient,
// within the limits, and with one of three outcomes: sent, failed, unknown. It knows no IM and no HTTP handler:
// connectors are its children, the handler is its caller.
//
// The way of a message:
//
//	Send ─▶ resolve account ─▶ ledger.Claim ─▶ split ─▶ recipient's turn ─▶ limits (hold) ─▶ ledger.Start ─▶ connector
//	                                                                                                          │
//	                        {messageId} ◀─ ledger.Finish (replayed for the same key), or Release (surely not sent) ◀─┘
//
// A [Sender] is made with New and runs with Run; callers use Send, Enqueue and Lookup. A send without a key needs no
// row in the ledger; a queued one always has one, and its row is the queued message.
//
// # Order
//
// Each recipient of an account has a line, in which callers' sends and queued ones stand in order of arrival. Only the
// head acts. A caller's send is let in if what stands before it, parts counted, leaves it a place in the pace within
// the hold; else it is refused at once. Places are taken by the head, so that a slow IM does not bunch the calls.
// Queued sends are taken out of the ledger, one a recipient, the oldest first; what an earlier run left goes before
// anything that came later.
//
// # What follows from a failed call
//
//	NotSent    tried again, a caller's within the hold, a queued one for a day; then upstream_unavailable
//	Throttled  the account (or the recipient) is held until then: waited for like NotSent, and all who cannot wait are
//	           refused without a call. An IM that names no time gets 2 s, doubled each time in a row, at most a minute;
//	           one that names minutes gets them doubled too, up to half an hour
//	Offline    the account stands still until it is in again: see below
//	Rejected   upstream_rejected, with the IM's words
//	Uncertain  delivery_unknown, kept in the ledger; tried twice more, with the same RequestID, only where the connector
//	           is [Idempotent]
//
// A caller who leaves before the first call takes the message along. After it the message is sent to its last part.
//
// Queued sends, and the rest of a message in parts, leave callers the nearer places. One that got none for a hold goes before
// them, one at a time. Who is not at the head of his line within two holds is refused.
//
// Each call takes a place in the pace, one that is tried again too. What comes in the way after that costs it the place, so
// that those who were held up go on at the account's pace and not at once.
//
// # What keeps an account alive
//
// A connector that is [Paced] knows the pace of its IM; configured limits win over it key by key. On top of the rates a send
// costs more, which makes the pause behind it longer: the jitter, at random; twice as much for each throttle, up to eight
// times, halved every ten minutes; up to four times as much for a while after a login. In quiet hours nothing goes but
// the rest of a message that has begun: callers are told when they end, queued sends wait.
//
// Of an account that is logged out nothing is called. Callers are refused, queued sends stay in order, for a day. A
// connector that is a [Checker] is asked every 30 s and more and more seldom, up to 5 min; else, or when it does not know,
// one send finds out after 30 s, the next after 5 min, and later and later up to 30. A message that comes in is a hint to
// find out at once. Another connector begins anew. All of this each process finds out for itself, and knows nothing of it
// after a restart.
//
// # Long texts
//
// A text that is too long for one message is cut by a [Cutter] into at most 20 parts. The reply and the media go with
// the first. The ledger keeps where the text goes on, not the parts: what is left after a failure is cut by the limits
// of then.
package outbound
