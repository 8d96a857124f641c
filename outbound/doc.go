// Package outbound sends an agent's messages to the IM: once for each idempotency key, in order for each recipient,
// within the limits, and with one of three outcomes: sent, failed, unknown. It knows no IM and no HTTP handler:
// connectors are its children, the handler is its caller.
//
// The way of a message:
//
//	Send ─▶ resolve account ─▶ ledger.Claim ─▶ split ─▶ recipient's turn ─▶ limits (hold) ─▶ ledger.Start ─▶ connector
//	                                                                                                          │
//	                        {messageId} ◀─ ledger.Finish (replayed for the same key), or Release (surely not sent) ◀─┘
package outbound
