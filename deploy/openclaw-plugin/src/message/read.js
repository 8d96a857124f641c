/**
 * What a push says, whichever IM sent it. A message is
 * {account, id, conversation, sender, nickname, group, self, mentioned, kind, text, media: [{type, url}], at}: ids are
 * text, exactly as they were sent; "" stands for what is not known.
 */

import { parseExact } from "../exact.js";
import { readGeneric } from "./generic.js";
import { readOnebot } from "./onebot.js";
import { readWechat } from "./wechat.js";

/** A body in which nothing can be read, though somebody may have said something. */
export class Unreadable extends Error {
  constructor() {
    super("nothing in the body can be read");
    this.name = "Unreadable";
  }
}

const BOM = "\ufeff";

/**
 * Reads a body's text. Throws SyntaxError if it is not JSON, and Unreadable if it is of no known kind, or all its messages
 * lack what a turn needs; [] means that it is known to hold no message.
 */
export function readMessages(text, self = "") {
  const body = parseExact(text.startsWith(BOM) ? text.slice(BOM.length) : text);
  const messages = readOnebot(body) ?? readWechat(body, self) ?? readGeneric(body, self);
  if (messages === null || (messages.length > 0 && messages.every(isLost))) throw new Unreadable();
  return messages;
}

/** Words of nobody, or from nowhere. What a room says about itself has no sender either, and is no loss. */
function isLost({ self, kind, conversation, sender, text }) {
  return !self && kind !== "system" && (conversation === "" || (sender === "" && text !== ""));
}

/** Says why a message starts no turn: "self", "meta", "empty"; "" if it starts one. */
export function ignoredFor(message) {
  if (message.self) return "self";
  if (message.conversation === "" || message.sender === "" || message.kind === "system") return "meta";
  return message.text.trim() === "" && message.media.length === 0 && message.kind === "other" ? "empty" : "";
}
