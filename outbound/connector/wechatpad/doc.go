// Package wechatpad sends through WeChatPadPro and its relatives (859, 869, 875), servers of WeChat's iPad protocol. It
// logs nobody in, registers no webhook, opens no socket and converts no media: what is pushed is read by format wechat.
//
// # What is called
//
// Under the configured base, with the account's key in the query: message/SendTextMessage for a text,
// message/SendImageNewMessage for a picture, message/SendVoice for a voice message, login/GetLoginStatus to ask for the
// login. A send is exactly one of these calls.
//
// The server takes a medium's bytes and no address, so the relay fetches it before the call, as [connector.Fetch]
// tells: up to 10 MiB, in twenty seconds. What cannot be fetched, and what is no picture by its own bytes, is refused for
// good, with the code "media". The call has 35 seconds then, for a send has a minute, to which a longer timeout is cut. A
// voice message has to be SILK, and to say how long it plays. Files and videos are refused: the API wants an uploaded
// attachment or a preview, which nobody gives us.
//
// # What is sent, and what is not
//
// Nearly every answer has HTTP status 200. A message was sent when all layers of the answer agree: the outer code is 200
// (0 in some builds), isSendSuccess is not false, and WeChat's own return codes, of the answer and of the recipient, are
// 0. Letter case and underscores of the keys differ between builds and do not count. An answer that says neither that nor
// the opposite leaves it unknown. The id is newMsgId, all of its 64 bits, as text; one that is missing or 0 is none.
//
// An outer code other than that is read by its words first: a time-out between the server and WeChat leaves it unknown,
// a lost login means offline, too frequent means three minutes of rest, a stranger or a wrong argument is refused for
// good. Where the words say nothing, 300 means that nobody is logged in, -2 that the key is unknown, which is refused for
// good, and all else that nobody knows. Package ipad tells what the words and WeChat's return codes mean.
//
// The server drops no repeats, so what may have been sent is not repeated.
//
// # Mentions
//
// Who is called is in AtWxIDList; package ipad tells who can be, and how the text names them.
//
// # Pace
//
// No server announces a limit, and WeChat logs out who goes too fast. The pace is what other clients keep, and a bit
// slower: one message each 1.2 seconds and up to half a second more, half as many to one recipient, and a quarter of
// that at first in the ten minutes after a login. The longest text is 1800 UTF-16 units, so that names can be put before it.
//
// # What is not known
//
// Replies do not show what they answer: there is no simple call for it, and the id is left out. The words of failures and
// the meaning of return codes are collected from public clients; no list of them is published. What SendVoice answers is
// not documented: its answer is read as the others are, and is unknown where that fails.
package wechatpad
