// Package telegram reads the updates of Telegram's Bot API: each as a webhook brings it, or the answer of getUpdates with
// a list of them. It downloads nothing and calls nobody.
//
// # What it reads
//
//   - A body with a list of updates (at the top, or in result) is one envelope for each, with the update's bytes exactly
//     as they stood there. A list of one is not a batch: its body is delivered whole.
//   - Conversation: the chat's id, which is negative for groups and channels. A topic is a conversation of its own, so
//     that an answer goes where the question was: "<chat>/<topic>" in a chat with topics, "<chat>/direct/<topic>" for
//     the direct messages of a channel, "<chat>/business/<connection>" for the chats of a business account, where
//     the same chat without it would be another one. A thread of replies in a chat without topics is none, nor is
//     the topic General. An update of no chat (an inline query, a poll) has no conversation. A public group or channel
//     can also be sent to by its name, so "@<username>" is in Peers.
//   - Sender: from, or sender_chat where somebody speaks as a chat (a channel, an anonymous administrator). Nickname is
//     the first and the last name, else the username, of a chat its title. Of a forwarded message the sender is who
//     forwarded it.
//   - The account's own id (self) is the bot's numeric id, its username with or without @, or both: "7012345678@some_bot".
//     The number knows the bot's own messages, replies to it and mentions by id; only the username knows @some_bot in a
//     text.
//   - Self: from is the bot. Another bot is not. In the chats of a business account also what the account or a bot
//     of it wrote: the account is the side that we speak for. A group that became a supergroup is never left out as
//     the bot's own.
//   - Mentioned: in a group or channel, when an entity of the text or caption is @username, a mention by the bot's id, or
//     /command@username; when it replies to a message of the bot, which the bot is shown even in privacy mode; and when
//     somebody pressed a button under one. Entities count in UTF-16 units. The text itself proves nothing, a /command
//     without a name is for every bot, and without self nothing but a button is a mention.
//   - Group: everything but private chats and the direct messages of a channel.
//   - At: date, of an edited message edit_date. A pressed button has no time; that of the message above it would be too
//     old.
//   - Kind: of messages text, image, voice, audio, video, file, sticker, location, card, poll, dice, game, invoice,
//     checklist, story; "edited" of edited ones, whatever is in them; "callback" of a pressed button; "recall" of
//     deleted business messages; "system" of all else: what the service says in a chat (members, titles, pins, a group
//     that became a supergroup), and all updates that are no message. None of them is a meta event.
//   - Text: the text or the caption, and the data of a pressed button.
//   - Media is always empty: an update has a file_id and no URL. An agent that wants the file asks getFile with the
//     bot's token, and that URL holds the token, so it belongs in no event.
//
// # What makes a repeat
//
// An update is known by its update_id, which is the same when a webhook is repeated and when getUpdates brings it
// again. The Identity is "update:<update_id>". MessageID is the message_id, which counts within a chat, of both a
// message and its edits, so it is no key; what is no message has "update:<update_id>" here too, and cannot be replied
// to by id: the message_id inside a pressed button or a reaction is that of another message, often our own. Where
// update_id is missing, 0, no number, or beyond 2^53 and ending in 000 (rounded by somebody before us), an update is
// known by both ids, date, sender and a digest of its bytes together. With neither id it is never taken for a repeat.
package telegram
