// Package wechat reads what the servers that speak WeChat's iPad protocol push: gewechat and GeWe, abot, XYBot and the
// 849 to 857 family, WeChatPadPro by WebSocket and by webhook, and the relatives that forward their messages. It tells
// the families apart by nothing: field names are matched without regard to case and underscores, and a value may be
// plain or wrapped ({"string":…}, {"str":…}, {"high":…,"low":…}). It downloads nothing and calls nobody.
//
// # What it reads
//
//   - A body with a list of messages (AddMsgs or messages, at the top or in Data) is one envelope for each, with the
//     element's bytes exactly as they stood there. A list of one is not a batch: its body is delivered whole.
//     Nor is one of more than 1000, whose body is one event of kind "other".
//   - Conversation: the side that is a room, else the peer that is not the owner. The owner is the envelope's Wxid, else
//     the configured self. If neither is known, it is the side that the message came from, and the other is in Peers.
//   - Self: the sender is the owner, or the body says isSelf. In a group a message to the room, instead of from it, is
//     the owner's own, even where nobody said who the owner is.
//   - Sender: the peer; in a group, what stands before the first ":\n" of the content, if that looks like an id and is
//     not the room. Own messages have no such prefix. System events of a room have no sender. Where the values are plain,
//     the server may have taken the prefix off: then a text begins with one only if senderWxid is the same, if it has
//     WeChat's own form (wxid_…, …@openim), or if PushContent shows the rest alone. A text whose sender none of these
//     proves is kept whole, and has no sender.
//   - Mentioned: in a group, when MsgSource's atuserlist names the owner or everybody; where there is no such list, when
//     PushContent is the notice of a mention. The text itself proves nothing, so where a server passes on neither, as
//     in GeWe's flat callback, nobody is known to be mentioned.
//   - At: CreateTime.
//   - Text: the content of a text message, and what was written in reply to a quoted one.
//   - Meta: the callback's probe, TypeNames without a message in them (Offline, ModContacts, …), an empty batch, and the
//     status sync between the owner's own devices (MsgType 51). Offline, the account's logout, is of kind "offline";
//     no server pushes that it is logged in again.
//
// # Other accounts of the server
//
// A server may push for all its accounts to one address, and a configured self may be wrong. So a message is delivered
// whatever Wxid its envelope has. But with a self configured, the logout of another Wxid is no logout of ours, what the
// self wrote is Self in the pushes of the other one too, and a message of both is two: each account got it.
//
// # What makes a repeat
//
// A message is known by its NewMsgId, which is the same on every push and for every member of a room, taken as text:
// it has 63 bits, more than a float64 can hold. MsgId counts within one login and is reused. So where NewMsgId is
// missing, 0, no number, or beyond 2^53 and ending in 000 (rounded by somebody before us), a message is known by MsgId,
// CreateTime, sender and a digest of its bytes together. With neither id it is never taken for a repeat.
package wechat
