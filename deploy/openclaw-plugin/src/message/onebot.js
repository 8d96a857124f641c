/**
 * OneBot v11 events, with messages as an array of segments or as a string with CQ codes. A conversation is
 * "group:<group_id>" or "private:<user_id>", for one number may be both.
 */

import { first, idOf, millisOf, textOf } from "./value.js";

/** Returns the messages of an event, [] for notices, requests and meta events, null if it is no OneBot event. */
export function readOnebot(body) {
  if (typeof body?.post_type !== "string") return null;
  if (body.post_type !== "message" && body.post_type !== "message_sent") return [];
  const self = idOf(body.self_id);
  const sender = idOf(body.user_id ?? body.sender?.user_id);
  const own = body.post_type === "message_sent" || (sender !== "" && sender === self);
  const group = body.message_type === "group";
  const segments = segmentsOf(body.message ?? body.raw_message);
  const text = plainText(segments, self);
  return [{
    account: self,
    id: idOf(body.message_id),
    conversation: conversationOf(body, { group, own, sender }),
    sender,
    nickname: first(textOf(body.sender?.card), textOf(body.sender?.nickname)),
    group,
    self: own,
    mentioned: segments.some((s) => s.type === "at" && idOf(s.data.qq) !== "" && ["all", self].includes(idOf(s.data.qq))),
    kind: text === "" ? first(segments.find((s) => MEDIA.has(s.type))?.type, "other") : "text",
    text,
    media: segments.flatMap(mediaOf),
    at: millisOf(body.time),
  }];
}

const MEDIA = new Map([["image", "image"], ["record", "voice"], ["video", "video"], ["file", "file"]]);

/** `target_id` is who received it: the peer of the account's own messages, but the account itself in those of others. */
function conversationOf(body, { group, own, sender }) {
  const id = group ? idOf(body.group_id) : first(own ? idOf(body.target_id) : "", sender);
  return id === "" ? "" : `${group ? "group" : "private"}:${id}`;
}

function segmentsOf(message) {
  if (!Array.isArray(message)) return fromCodes(textOf(message));
  return message.filter((s) => typeof s?.type === "string").map((s) => ({ type: s.type, data: s.data ?? {} }));
}

/** Reads CQ codes: text [CQ:type,name=value,…] text. Brackets in values are escaped, so a code ends at either. */
function fromCodes(text) {
  const segments = [];
  let from = 0;
  for (const match of text.matchAll(/\[CQ:([\w-]+)((?:,[^[\]]*)?)\]/g)) {
    segments.push(words(text.slice(from, match.index)), { type: match[1], data: parameters(match[2]) });
    from = match.index + match[0].length;
  }
  return [...segments, words(text.slice(from))];
}

function words(text) {
  return { type: "text", data: { text: unescape(text) } };
}

function parameters(text) {
  const data = {};
  for (const pair of text.split(",").slice(1)) {
    const at = pair.indexOf("=");
    if (at > 0) data[pair.slice(0, at)] = unescape(pair.slice(at + 1));
  }
  return data;
}

function unescape(text) {
  return text.replaceAll("&#91;", "[").replaceAll("&#93;", "]").replaceAll("&#44;", ",").replaceAll("&amp;", "&");
}

/** The text that was written; mentions of others stay readable, the one of the account itself goes. */
function plainText(segments, self) {
  const parts = segments.map((s) => {
    if (s.type === "text") return textOf(s.data.text);
    const other = s.type === "at" && idOf(s.data.qq) !== self ? idOf(s.data.qq) : "";
    return other === "" ? "" : `@${other}`;
  });
  return parts.join("").trim();
}

function mediaOf(segment) {
  const url = textOf(segment.data.url);
  return MEDIA.has(segment.type) && /^https?:\/\//.test(url) ? [{ type: MEDIA.get(segment.type), url }] : [];
}
