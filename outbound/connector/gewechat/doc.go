// Package gewechat sends through the servers that speak GeWe's API for WeChat's iPad protocol: gewechat on a host of
// one's own, GeWe, and their relatives. It logs nobody in, registers no callback, and downloads and converts no media:
// what is pushed is read by format wechat.
//
// # What is called
//
// Under the configured base: message/postText for a text, message/postImage, postFile and postVoice for a medium of its
// own, message/postAppMsg for a reply that is to show what it answers, login/checkOnline to ask for the login. The
// server fetches a medium from its URL by itself, so the URL must be within reach of the server. A voice message has to
// say how long it plays, and is SILK. Of a file's name, paths and controls are left out. Videos are refused: the API wants a preview picture, which nobody gives us.
//
// # What is sent, and what is not
//
// Every answer has HTTP status 200, so a message was sent when the answer's ret is 200, and then only. The id is
// data.newMsgId, all of its 64 bits, as text: it may come as a number, a text, or in halves ({"high":…,"low":…}). One that
// is missing or 0 is none, and data.msgId is never taken for it: it is 0, or counts within one login.
//
// An answer with another ret is read by its words as package ipad tells. Beside those, a device that is gone is a logout,
// and a recipient, a friend or a call that is not there, a wrong token, and a medium that could not be fetched are refused
// for good. Where the words say nothing, code -2 is a logout; else a ret of 500 and above leaves it unknown, for the server
// uses 500 for whatever went wrong, after the message left too, and a lower one is a refusal for good.
//
// An answer that is no JSON or has no ret says nothing: it may have been sent. Another HTTP status is that of something
// in between, and means what it means everywhere. The server drops no repeats, so what may have been sent is not repeated.
//
// # Text
//
// WeChat shows text as it is written, so Markdown's marks are taken out of what agents write, unless markdown is "keep".
//
// # Mentions
//
// Who is called is in the field ats; package ipad tells who can be, and how the text names them.
//
// # Pace
//
// No server announces a limit, and WeChat logs out who goes too fast. The pace is what other clients keep, and a bit
// slower: one message each 1.2 seconds and up to half a second more, half as many to one recipient, and a quarter of
// that at first in the ten minutes after a login. The longest text is 1800 UTF-16 units, so that names can be put before
// it; WeChat's own bound is not announced. A call for a medium has 35 seconds, unless a timeout is configured; a send has a
// minute, to which a longer one is cut.
//
// # What is not known
//
// The words of failures are collected from reports; no list of them is published. Replies are left out unless quote is
// set: the message that is made then has the shape that other clients send, but of the message that it answers only the
// id and the conversation are known, and how WeChat shows such a quote was not tried. A reply that mentions somebody, or
// whose message has no number for an id, is an ordinary text.
package gewechat
