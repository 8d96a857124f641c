/** Bodies of an IM that is none of the known: flat JSON under the usual names, in any case, with or without underscores. */

import { first, fold, idOf, isObject, isTrue, millisOf, textOf } from "./value.js";

const NAMES = Object.freeze({
  id: ["id", "messageid", "msgid", "eventid"],
  conversation: ["conversation", "conversationid", "chat", "chatid", "channel", "channelid", "room", "roomid", "groupid"],
  sender: ["sender", "senderid", "from", "fromuser", "user", "userid", "author"],
  nickname: ["nickname", "sendername", "username", "displayname"],
  text: ["text", "content", "message", "body"],
  group: ["group", "isgroup", "chattype"],
  mentioned: ["mentioned", "ismentioned", "atme", "mentions"],
  self: ["self", "isself", "fromme"],
  time: ["time", "timestamp", "createtime", "createdat", "date", "ts"],
});

const GROUPS = ["group", "supergroup", "room", "channel"];

/** Returns the messages of a body, null if none of it names a sender and a conversation. */
export function readGeneric(body, self) {
  const list = Array.isArray(body) ? body : [body];
  const messages = list.filter(isObject).map((raw) => message(fold(raw), self));
  const usable = messages.filter((m) => m.conversation !== "" && m.sender !== "");
  return usable.length > 0 ? usable : null;
}

function message(m, self) {
  const pick = (name) => NAMES[name].map((n) => m.get(n)).find((v) => v !== undefined && v !== null);
  const sender = who(pick("sender"));
  const group = isTrue(pick("group")) || GROUPS.includes(textOf(pick("group")).toLowerCase());
  const to = who(m.get("to"));
  const text = textOf(pick("text"));
  const media = (Array.isArray(m.get("media")) ? m.get("media") : []).filter((x) => /^https?:/.test(textOf(x?.url)));
  return {
    account: first(self, group ? "" : to.id),
    id: idOf(pick("id")),
    conversation: first(who(pick("conversation")).id, group ? to.id : "", sender.id),
    sender: sender.id,
    nickname: first(textOf(pick("nickname")), sender.name),
    group,
    self: isTrue(pick("self")) || (self !== "" && sender.id === self),
    mentioned: isTrue(pick("mentioned")) || names(pick("mentioned"), self),
    kind: text === "" ? first(media[0] && textOf(media[0].type), "other") : "text",
    text,
    media: media.map((x) => ({ type: first(textOf(x.type), "file"), url: textOf(x.url) })),
    at: millisOf(pick("time")),
  };
}

/** A person or a chat: an id, or an object with one. */
function who(value) {
  if (!isObject(value)) return { id: idOf(value), name: "" };
  const m = fold(value);
  const id = ["id", "userid", "openid", "username"].map((n) => idOf(m.get(n))).find((v) => v !== "");
  const name = ["nickname", "displayname", "name"].map((n) => textOf(m.get(n))).find((v) => v !== "");
  return { id: id ?? "", name: name ?? "" };
}

/** Says whether a list of the mentioned names the account. */
function names(list, self) {
  return self !== "" && Array.isArray(list) && list.some((entry) => who(entry).id === self);
}
