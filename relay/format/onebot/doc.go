// Package onebot reads what a OneBot v11 server pushes: go-cqhttp, NapCat, LLOneBot, Lagrange and their relatives, by HTTP
// or in a WebSocket's frame. A message may be a list of segments or a string with CQ codes, and an id a number or a
// string. It downloads nothing, calls nobody and never acts on a code that it reads.
//
// # What it reads
//
//   - A body is one event. message and message_sent are messages, notice and request are read as below, meta_event is
//     Meta. A body with another post_type, or none, is of kind "other".
//   - Conversation: "group:<group_id>", "private:<user_id>", or "private:<user_id>@<group_id>" for a temporary session,
//     which can only be answered by way of its group; "private:<user_id>" is then in Peers. A group and a person may
//     have the same number. The peer of an own private message is target_id; on the messages of others that is the
//     account itself, and is not looked at. What is neither private nor of a group (a guild's channel) has no
//     conversation, so that no answer goes to a person who said nothing.
//   - Self: message_sent, or user_id is the account. The account is the body's self_id, else the configured self.
//   - Sender: user_id. All anonymous members of a group share one, but not the nickname.
//   - Nickname: the anonymous name, else the card (the name in the group), else the nickname.
//   - Mentioned: a segment "at" names the account or all. A reply to one of its messages is no mention by itself, nor is
//     what only looks like a code inside a text segment.
//   - Text: the text segments in their order, a mention of somebody else as @<qq>, without the blanks around it all. The
//     mention of the account itself is left out, unless nothing else was said.
//   - Media: image, record (voice), video, file and mface segments, by the url in them, or their file if that is one.
//   - Kind: text if there is any, else what the first segment is that has a name of its own.
//   - At: time.
//
// A notice is of kind "recall" (group_recall, friend_recall) or "system"; a file that was sent to the account
// (offline_file) is a message of kind "file". Its sender is who did it (operator_id, sender_id), else whom it is about
// (user_id). Recalls, pokes and uploads by the account are its own; that it joined or was muted is not. Notices of
// no conversation are Meta: input_status (somebody is typing), client_status, and those of the next paragraph. A request
// is of kind "friend_request", or "system" if it is about joining a group.
//
// Whether the account is logged in is told by meta events of kind "offline" (the notice bot_offline, a heartbeat whose
// status is not online) and "online" (bot_online, a heartbeat whose status is online, the lifecycle's connect).
// Other heartbeats, and what else a lifecycle tells, are of kind "meta".
//
// # What makes a repeat
//
// A message is known by self_id, message_type, conversation, message_id and time together: message_id is often no more
// than 31 bits of a digest, and the next message with it is another one. Where the time is missing, or the id is a number
// that looks rounded (beyond 2^53 and ending in 000) or is no whole one, the sender and a digest of the body are taken
// with it. Without an id, or with 0, a message is never taken for a repeat. A recall has the id "recall:<message_id>", so
// that it is not taken for the message; other notices and requests have none.
package onebot
