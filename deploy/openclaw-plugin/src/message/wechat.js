/**
 * The pushes of servers that speak WeChat's iPad protocol: gewechat and GeWe, abot, XYBot and the 849 to 857 family,
 * WeChatPadPro by WebSocket and by webhook, and what a Node service makes of them. The families differ in case,
 * underscores and wrappers only, so one reader reads them all. It downloads nothing.
 */

import { first, fold, idOf, isTrue, millisOf, textOf } from "./value.js";

/** Returns the messages of a body, [] for one that is known to have none (a probe, a notice), null if it is not such a push. */
export function readWechat(body, self) {
  if (Array.isArray(body)) return body.every(isMessage) && body.length > 0 ? body.map((m) => message(m, "", self)) : null;
  const top = fold(body);
  const owner = first(idOf(top.get("wxid")), self);
  const account = first(idOf(top.get("wxid")), idOf(top.get("appid")), self);
  for (const candidate of [body, top.get("data")]) {
    const list = listOf(candidate);
    if (isMessage(candidate)) return [message(candidate, account, owner)];
    const found = list?.filter(isMessage).map((m) => message(m, account, owner));
    if (found && (found.length > 0 || list.length === 0)) return found;
  }
  return isNotice(top) ? [] : null;
}

/** An envelope of something else, or the probe of the address. */
function isNotice(top) {
  return top.has("testmsg") || !["", "addmsg"].includes(textOf(top.get("typename")).toLowerCase());
}

function isMessage(value) {
  const m = fold(value);
  const from = m.get("fromusername") ?? m.get("fromuser") ?? m.get("fromwxid");
  return idOf(from) !== "" && (m.has("msgtype") || m.has("content") || m.has("newmsgid") || m.has("msgid"));
}

function listOf(value) {
  if (Array.isArray(value)) return value;
  const m = fold(value);
  return [m.get("addmsgs"), m.get("messages")].find(Array.isArray);
}

function message(raw, account, owner) {
  const m = fold(raw);
  const type = typeOf(m.get("msgtype"));
  const content = textOf(m.get("content") ?? m.get("text"));
  const sides = sidesOf(m, owner, type);
  // Under "text" a server has summed a message up: what stands before ":\n" there may be the writer's own words.
  const hasPrefix = sides.fromRoom && (m.has("content") || sides.sender !== "");
  const { sender, text } = hasPrefix ? split(content, sides, type) : { sender: "", text: content };
  const kind = kindOf(type, text);
  return {
    account: first(account, owner),
    id: first(idOf(m.get("newmsgid")), idOf(m.get("msgid"))),
    conversation: sides.conversation,
    sender: first(sender, sides.sender),
    nickname: nicknameOf(m, sides, text),
    group: sides.group,
    self: sides.self,
    mentioned: sides.group && isMentioned(m, owner),
    kind,
    text: kind === "text" ? text : kind === "quote" ? element(text, "title") : "",
    media: [],
    at: millisOf(m.get("createtime")),
  };
}

/** Who speaks where. In a group a message to the room, instead of from it, is the owner's own. */
function sidesOf(m, owner, type) {
  const from = idOf(m.get("fromusername") ?? m.get("fromuser") ?? m.get("fromwxid"));
  const to = idOf(m.get("tousername") ?? m.get("touser") ?? m.get("towxid"));
  const member = idOf(m.get("senderwxid"));
  const own = (owner !== "" && from === owner) || isTrue(m.get("isself"));
  if (isRoom(from)) return { conversation: from, sender: member, group: true, self: own, fromRoom: true };
  if (isRoom(to)) {
    const self = own || (owner === "" && !isSystem(type));
    return { conversation: to, sender: from, group: true, self, fromRoom: false };
  }
  return { conversation: own ? to : from, sender: from, group: false, self: own, fromRoom: false };
}

function isRoom(id) {
  return id.endsWith("@chatroom") || id.endsWith("@im.chatroom");
}

function isSystem(type) {
  return type === "10000" || type === "10002";
}

/**
 * Takes the sender off a group's text, at the first ":\n" only, as people write ":\n" too. What stands there is a sender
 * only if it looks like an id; the room's own id stands before system events.
 */
function split(content, sides, type) {
  const at = content.indexOf(":\n");
  const left = content.slice(0, Math.max(at, 0));
  const known = sides.sender !== "" && left !== sides.sender;
  if (type === "10000" || known || !/^[\w@.+-]{1,64}$/.test(left)) return { sender: "", text: content };
  return { sender: left === sides.conversation ? "" : left, text: content.slice(at + 2) };
}

const KINDS = new Map(Object.entries({
  1: "text", 3: "image", 34: "voice", 42: "card", 43: "video", 47: "sticker", 48: "location", 62: "video",
  37: "system", 50: "system", 51: "system", 52: "system", 53: "system", 9999: "system", 10000: "system", 10002: "system",
}));

const SUBTYPES = new Map(Object.entries({ 57: "quote", 6: "file", 74: "system", 3: "link", 4: "link", 5: "link" }));

/** The number of a type; some servers write the commonest as a word. Without any it is a text. */
function typeOf(value) {
  const type = first(idOf(value), "1");
  return type.toLowerCase() === "text" ? "1" : type;
}

function kindOf(type, content) {
  if (type !== "49") return KINDS.get(type) ?? "other";
  return SUBTYPES.get(element(withoutQuoted(content), "type")) ?? "other";
}

/** Takes out the message that a quote refers to. It has a type of its own. */
function withoutQuoted(xml) {
  const open = xml.indexOf("<refermsg>");
  const close = open < 0 ? -1 : xml.indexOf("</refermsg>", open);
  return close < 0 ? xml : xml.slice(0, open) + xml.slice(close + "</refermsg>".length);
}

/** The text of the first <name> in some XML, entities and CDATA undone. */
function element(xml, name) {
  const open = xml.indexOf(`<${name}>`);
  const close = xml.indexOf(`</${name}>`, open);
  if (open < 0 || close < 0) return "";
  const inner = xml.slice(open + name.length + 2, close).trim();
  const cdata = /^<!\[CDATA\[([\s\S]*)\]\]>$/.exec(inner);
  return cdata ? cdata[1] : unescape(inner);
}

function unescape(text) {
  const names = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (_, name) => names[name]);
}

const EVERYONE = ["notify@all", "announcement@all", "所有人"];
const NOTICE = /在群聊中@(了你|所有人)$/;

/** The list of the mentioned decides where there is one; the notice that a phone would show does elsewhere. */
function isMentioned(m, owner) {
  const listed = element(textOf(m.get("msgsource")), "atuserlist").split(",").map((id) => id.trim());
  if (listed.some((id) => id !== "" && (id === owner || EVERYONE.includes(id)))) return true;
  return (owner === "" || listed.join("") === "") && NOTICE.test(textOf(m.get("pushcontent")));
}

/** What the notification calls the sender: "Alice : the text", "Alice在群聊中@了你". */
function nicknameOf(m, sides, text) {
  const told = textOf(m.get("fromnick") ?? m.get("fromnickname"));
  if (told !== "" && !sides.fromRoom) return told;
  const push = textOf(m.get("pushcontent"));
  if (sides.group && NOTICE.test(push)) return push.replace(NOTICE, "");
  if (text !== "" && push.endsWith(` : ${text.trim()}`)) return push.slice(0, -` : ${text.trim()}`.length);
  const label = /^([^\n]{0,256}?) : \[[^\]]{0,64}\]$/.exec(push);
  return label ? label[1] : "";
}
