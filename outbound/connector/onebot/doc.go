// Package onebot sends through a OneBot v11 implementation: NapCat, LLOneBot, Lagrange, go-cqhttp and their relatives. It
// calls their HTTP API, or keeps a WebSocket to them, or lets them connect to the account's inbound path; what comes on a
// WebSocket is handed in byte for byte, as if it had been posted. It reads no events: that is the format's business.
//
// # What it sends
//
// A message always goes as a list of segments, never as a string: nothing in a text is acted on, be it a CQ code. Before
// the text stand the reply, if the id is a number, and one "at" for each mention in a group. Mentions are numbers other
// than 0: some implementations read everything else as everybody. A recipient is named as the format names
// conversations: group:<id>, private:<id>, or private:<id>@<group> for a temporary session. A bare number is refused,
// since a group and a person may have the same. Numbers beyond 2^53 go as strings, for JavaScript would round them.
//
// # What an answer means
//
// "ok" and retcode 0 are sent, "async" and retcode 1 are sent without an id. retcode 100 is unknown: it is the
// implementation's guess that the account is under risk control, and such messages have been seen to arrive. So is every
// failure that speaks of a time-out. All other failures, 1400 and its neighbours included, are refusals for good. 401
// and 403 mean the token, and raise the alarm "token".
//
// # Connections
//
// A link is one WebSocket, whoever opened it. It works from its first event or answer on.
//
//	opened ──first frame──▶ works ──silence, probe unanswered──▶ doubted ──a newer one works──▶ closed
//	  │                      │  ▲                                  │
//	  │                      ▼  │ an answer                        │
//	  │                    probed                                  │
//	  └──────── closed by either side ◀────────────────────────────┘
//
// Only frames of OneBot count as a sign of life, not pings: nothing for three heartbeats (each says how often it comes;
// 90 s before the first) brings a probe, get_status. A connection of ours that does not answer is made again, and closed
// once the new one works; one of theirs is closed, for they come again. One for events alone cannot be asked, so its
// implementation has to send heartbeats. Of several that work the newest sends, and one that it replaces ends when its
// calls are answered. So does every connection when the relay is told to end it, within the time of a call.
//
// Events of all connections stand in one line of bounded length; while it is full, nothing is read. Messages are taken
// from every connection, for the relay knows them again by their ids; notices and requests have none, and are taken from
// the newest connection for events that works. An event that cannot be taken in waits for the store for as long as it is
// away, is tried again for ten minutes where something else is wrong, and has ten seconds when the connection is told to
// end; its loss is logged. One of more than 4 MiB ends its connection.
//
// A lost connection of ours is made again within ten seconds. A relay that does not keep the connection opens one for
// each send, to the address's /api where it has no path of its own. To a relay that is connected to, only the account of
// its configuration may connect, and only the relay that it is connected to can send.
package onebot
