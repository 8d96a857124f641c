// Package xybot sends through the servers of WeChat's iPad protocol that XYBot speaks to: 849, 855, 857 and their
// relatives. It logs nobody in, fetches no messages and converts no media: what is pushed is read by format wechat.
//
// # What is called
//
// Under the configured base, all with POST: a text goes to SendTextMsg, a picture to SendImageMsg, a voice message to
// SendVoiceMsg, and Heartbeat asks for the login. With "api: msg" the paths are those of the later servers:
// api/Msg/SendTxt, api/Msg/UploadImg, api/Msg/SendVoice and api/Login/HeartBeat. A send is exactly one of these calls. The
// account's own id goes with each, and comes from the account's self. The servers ask for no token, so that id is all that
// is needed to send: nobody but the relay should reach them, and no error shows it.
//
// The server takes a medium's bytes and no address, so the relay fetches it before the call, as [connector.Fetch]
// tells: up to 10 MiB, in twenty seconds. What cannot be fetched, and what is no picture by its own bytes, is refused for
// good, with the code "media". The call has 35 seconds then, for a send has a minute, to which a longer timeout is cut. A
// voice message has to be SILK, and to say how long it plays. Files and videos are refused.
//
// # What is sent, and what is not
//
// The status is 200 for nearly everything. A message was sent when Success is true, Code is 0 or missing, and none of
// WeChat's own return codes within says otherwise; package ipad tells what those mean, and the words of failures. Where Success is missing, an id or
// a return code of 0 will do. The id is NewMsgId, however it is spelled and with all of its 64 bits, as text; one that is
// missing or 0 is none. The codes of failures are:
//
//   - -7, -8, -11: logged out, the session ended, the login is broken. Surely not sent, and the account is offline.
//   - -12: too frequent. No server says for how long, and trying on makes it worse, so it is three minutes.
//   - -1, -13: a wrong argument, an upload that failed. Refused for good, unless the words tell of a time-out or a crash.
//   - Any other is read by its words: a time-out leaves it unknown, a lost login means offline, and so on. Where they say
//     nothing, it may have been sent.
//
// The server drops no repeats, so what may have been sent is not repeated.
//
// # Mentions
//
// Who is called is in At; package ipad tells who can be, and how the text names them.
//
// # Pace
//
// The servers call an account too fast, and WeChat logs it out. The pace is what other clients keep, and a bit slower: one
// message each 1.2 seconds and up to half a second more, half as many to one recipient, and a quarter of that at first
// in the ten minutes after a login. The longest text is 1800 UTF-16 units, so that names can be put before it.
//
// # What is not known
//
// Replies do not show what they answer: there is no simple call for it, and the id is left out. A heartbeat also keeps the
// login alive, which does no harm beside the server's own. Some clients send it the account's id in the query, others in
// the body; here it is in both.
package xybot
