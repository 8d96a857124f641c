/**
 * What a push says, whichever IM sent it. A message is
 * {account, id, conversation, sender, nickname, group, self, mentioned, kind, text, media: [{type, url}], at}: ids are
 * text, exactly as they were sent; "" stands for what is not known.
 */

import { parseExact } from "../exact.js";
import { readGeneric } from "./generic.js";
import { readOnebot } from "./onebot.js";
import { readWechat } from "./wechat.js";

/** Reads a body's text. Throws SyntaxError if it is not JSON; [] means that it holds no message. */
export function readMessages(text, self = "") {
  const body = parseExact(text);
  return readOnebot(body) ?? readWechat(body, self) ?? readGeneric(body, self);
}

/** Says why a message starts no turn: "self", "meta", "empty"; "" if it starts one. */
export function ignoredFor(message) {
  if (message.self) return "self";
  if (message.conversation === "" || message.sender === "" || message.kind === "system") return "meta";
  return message.text.trim() === "" && message.media.length === 0 && message.kind === "other" ? "empty" : "";
}
