/**
 * Sending through the relay: POST <apiBase>/messages/send. Every try of one message carries the same Idempotency-Key, so
 * the relay sends it at most once however often it is asked.
 *
 * Tried again, by retry_after or Retry-After, up to a number and a time: 408, 409 (still being sent), 425, 429, 500, a proxy's
 * 502, 503, a refused connection, and an answer that never came. Not tried again: 504 (it may have been sent; the same key would only say so
 * again) and every other refusal. 422 says that the key was used for another text: an earlier run of the same turn has
 * sent this reply, so it counts as sent.
 */

import { setTimeout } from "node:timers/promises";

/** A message was not sent. `final` says that trying again cannot help, `maybeSent` that some try may have arrived. */
export class SendError extends Error {
  constructor(code, { status = 0, final = false, maybeSent = false } = {}) {
    super(`send: ${code}`);
    this.name = "SendError";
    this.code = code;
    this.status = status;
    this.final = final;
    this.maybeSent = maybeSent;
  }
}

const AGAIN = new Set([408, 409, 425, 429, 500, 502, 503]);
const CALL_MS = 30_000;
const MAX_ANSWER = 64 * 1024;
const HEADER_SAFE = /^[!-~]{1,128}$/;

export class Sender {
  #settings;

  constructor(settings) {
    this.#settings = settings;
  }

  /**
   * Sends {to, text, replyToMessageId, media} under a key; `event` is the event that it answers, for the relay's log.
   * Returns {messageId, outcome}, where outcome is "sent", "earlier" or "unknown". Throws SendError when it was surely not sent, or when nobody could say.
   */
  async send(key, message, event = "") {
    const body = JSON.stringify(message);
    const { sendTries, sendSeconds } = this.#settings.limits;
    const until = Date.now() + sendSeconds * 1000;
    let maybeSent = false;
    for (let tries = 1; ; tries++) {
      const answer = await this.#call({ key, event, body }, until);
      maybeSent ||= !isSurelyUnsent(answer);
      const result = settle(answer);
      if (result) return result;
      const wait = Math.max(answer.waitMs, Math.min(250 * 2 ** tries, 8000));
      if (!isWorthTrying(answer) || tries >= sendTries || Date.now() + wait > until) throw errorOf(answer, maybeSent);
      await setTimeout(wait);
    }
  }

  async #call({ key, event, body }, until) {
    try {
      const response = await fetch(`${this.#settings.apiBase}/messages/send`, {
        method: "POST",
        headers: {
          "authorization": `Bearer ${this.#settings.botToken}`,
          "content-type": "application/json",
          "idempotency-key": key,
          ...(HEADER_SAFE.test(event) ? { "x-relay-event-id": event } : {}),
        },
        body,
        redirect: "error",
        signal: AbortSignal.timeout(Math.max(1, Math.min(CALL_MS, until - Date.now()))),
      });
      return await answerOf(response);
    } catch (error) {
      // What fetch throws without a code is no trouble of the network: the request cannot be made, or was redirected.
      const isHopeless = error instanceof TypeError && !error.cause?.code;
      return { status: 0, code: isHopeless ? "unusable_request" : error.cause?.code ?? error.name, waitMs: 0, body: {} };
    }
  }
}

async function answerOf(response) {
  const text = await boundedText(response);
  const body = objectOf(text);
  const wait = Math.max(secondsOf(body.retry_after), secondsOf(response.headers.get("retry-after")));
  const told = body.error?.code;
  const code = typeof told === "string" && /^[\w.-]{1,64}$/.test(told) ? told : "";
  return { status: response.status, code, waitMs: wait * 1000, body };
}

async function boundedText(response) {
  const chunks = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function objectOf(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** Seconds of a number, its text, or an HTTP date; 0 for anything else, at most an hour. */
function secondsOf(value) {
  const plain = typeof value === "string" && value.trim() === "" ? NaN : Number(value ?? NaN);
  const seconds = Number.isNaN(plain) ? (Date.parse(value) - Date.now()) / 1000 : plain;
  return seconds > 0 ? Math.min(seconds, 3600) : 0;
}

/** The outcome of an answer that settles the matter, else null. */
function settle({ status, code, body }) {
  const messageId = typeof body.messageId === "string" ? body.messageId : "";
  if (status >= 200 && status < 300) return { messageId, outcome: "sent" };
  if (status === 422 && code === "idempotency_key_reused") return { messageId, outcome: "earlier" };
  if (status === 504) return { messageId, outcome: "unknown" };
  return null;
}

/** A relay in front of the relay answers 502 while it starts; the relay's own 502 is a refusal for good. */
function isWorthTrying({ status, code }) {
  if (status === 0) return code !== "unusable_request";
  return AGAIN.has(status) && code !== "upstream_rejected";
}

/** Nobody was there, or the relay itself said that it did not send. A proxy before it has no codes. */
function isSurelyUnsent({ status, code }) {
  if (status === 0) return code === "ECONNREFUSED";
  return code !== "" && (status === 503 || (status >= 400 && status < 500 && status !== 408 && status !== 409));
}

/** These are about the message. The others (a wrong token, a wrong path) heal when the operator corrects them. */
const FINAL = new Set([400, 403, 413, 422, 501, 502]);

function errorOf(answer, maybeSent) {
  const code = answer.code || `status_${answer.status}`;
  const final = FINAL.has(answer.status) && !isWorthTrying(answer);
  return new SendError(code, { status: answer.status, final, maybeSent });
}
