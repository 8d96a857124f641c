/** The webhook: who may post, what is answered, and when. */

import { createHash, randomUUID } from "node:crypto";
import { BodyError, BodyReader } from "./body.js";
import { Held } from "./held.js";
import { ignoredFor, readMessages, Unreadable } from "./message/read.js";
import { SendError } from "./send.js";
import { claimedDigest, isSigned, SIGNATURE_HEADER } from "./signature.js";
import { causeOf } from "./turn.js";
import { Unavailable } from "./turns.js";

const EVENT_HEADER = "x-relay-event-id";
const EVENT_ID = /^[ -~]{0,240}$/; // with the numbers behind it, it is a key of at most 256 characters
const MAX_MESSAGES = 100;

/** An answer other than success. */
class Refusal extends Error {
  constructor(status, code, headers = {}) {
    super(code);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

const RETRY = Object.freeze({ "retry-after": "1" });

export class Webhook {
  #settings;
  #ledger;
  #turns;
  #runTurn;
  #log;
  #bodies;
  #held;

  /** `runTurn(event, message)` runs one turn; `log` is {info, warn}, and gets no text, secret or signature. */
  constructor({ settings, ledger, turns, runTurn, log }) {
    this.#settings = settings;
    this.#ledger = ledger;
    this.#turns = turns;
    this.#runTurn = runTurn;
    this.#log = log;
    const { bodyBytes, readSeconds, held } = settings.limits;
    this.#bodies = new BodyReader({ maxBytes: bodyBytes, timeoutMs: readSeconds * 1000 });
    this.#held = new Held(held);
  }

  /** Answers one request. Never throws. */
  async handle(req, res) {
    try {
      const bytes = await this.#read(req);
      const event = this.#event(req, bytes);
      this.#hold(event, res);
      return answer(req, res, await this.#run(event));
    } catch (error) {
      return answer(req, res, this.#refusal(error));
    }
  }

  /** Reads and checks a request, in the order of what costs least. */
  async #read(req) {
    if (req.method !== "POST") throw new Refusal(405, "method_not_allowed", { allow: "POST" });
    const digest = claimedDigest(req.headers[SIGNATURE_HEADER]);
    if (!digest) throw new Refusal(401, "unauthorized");
    if (!EVENT_ID.test(idOf(req))) throw new Refusal(400, "invalid_event_id");
    const bytes = await this.#bodies.read(req);
    if (!isSigned(this.#settings.secrets, digest, bytes)) throw new Refusal(401, "unauthorized");
    if (!this.#turns.isOpen) throw new Unavailable();
    return bytes;
  }

  /** The messages with their keys. A key depends on nothing but the body, so that it is the same on the next attempt. */
  #event(req, bytes) {
    const messages = this.#messages(bytes);
    return messages.map((message, i) => ({ message, key: keyOf(idOf(req), message, messages.length > 1 ? i : -1) }));
  }

  #hold(event, res) {
    if (this.#held.isFull || this.#turns.pending >= this.#settings.limits.held) {
      throw new Refusal(429, "too_many_requests", RETRY);
    }
    const key = event[0]?.key ?? "";
    if (key !== "" && this.#held.isCrowded(key)) throw new Refusal(503, "event_in_progress", RETRY);
    this.#held.add(key, res);
  }

  #messages(bytes) {
    let messages;
    try {
      messages = readMessages(bytes.toString("utf8"), this.#settings.self);
    } catch (error) {
      throw error instanceof Unreadable ? new Refusal(422, "unreadable") : new Refusal(400, "invalid_json");
    }
    if (messages.length > MAX_MESSAGES) throw new Refusal(422, "too_many_messages");
    return messages;
  }

  async #run(event) {
    const wanted = event.filter(({ message }) => ignoredFor(message) === "");
    if (wanted.length === 0) return { ok: true, ignored: event.length === 0 ? "meta" : ignoredFor(event[0].message) };
    const turns = wanted.map(({ key, message }) => this.#turn(key, message));
    if (this.#settings.ack === "accepted") {
      for (const turn of turns) turn.catch(() => {}); // logged where it failed; nobody waits for it any more
      return { ok: true, accepted: true };
    }
    const results = await Promise.allSettled(turns);
    const failed = results.find((r) => r.status === "rejected");
    if (failed) throw failed.reason;
    return summary(results.map((r) => r.value));
  }

  async #turn(key, message) {
    const started = Date.now();
    try {
      const run = () => this.#turns.submit(message.conversation, () => this.#runTurn(key, message));
      const result = await this.#ledger.run(key, run);
      const outcome = result.duplicate ? "duplicate" : result.outcome.ignored ?? "done";
      this.#log.info(`turn ${outcome}: event=${key} replies=${result.outcome?.replies ?? 0} ms=${Date.now() - started}`);
      return result;
    } catch (error) {
      const cause = causeOf(error);
      const took = `ms=${Date.now() - started}${cause && ` cause=${JSON.stringify(cause)}`}`;
      this.#log.warn(`turn failed: event=${key} reason=${error.code ?? error.name} ${took}`);
      throw error;
    }
  }

  #refusal(error) {
    if (error instanceof Refusal) return error;
    if (error instanceof BodyError) return new Refusal(error.status, error.code);
    if (error instanceof Unavailable) return new Refusal(503, "gateway_unavailable", RETRY);
    if (error instanceof SendError) return new Refusal(error.final ? 422 : 500, `reply_not_sent_${error.code}`);
    return new Refusal(500, error.code ?? "turn_failed");
  }
}

/** Answers while there is no account that could run turns. */
export function answerUnavailable(req, res) {
  return answer(req, res, new Refusal(503, "gateway_unavailable", RETRY));
}

function idOf(req) {
  return String(req.headers[EVENT_HEADER] ?? "").trim();
}

/**
 * The event's id; without a relay in front, a digest of the message's, for it goes into a header; without either, a fresh
 * one, so nothing is a repeat of it.
 */
function keyOf(id, message, index) {
  if (id !== "") return index < 0 ? id : `${id}.${index}`;
  if (message.id === "") return randomUUID();
  const parts = JSON.stringify([message.account, message.conversation, message.id]);
  return `msg:${createHash("sha256").update(parts).digest("hex")}`;
}

function summary(results) {
  const replies = results.reduce((sum, r) => sum + (r.outcome?.replies ?? 0), 0);
  if (results.every((r) => r.duplicate)) return { ok: true, duplicate: true, replies };
  const ignored = results.find((r) => r.outcome?.ignored)?.outcome.ignored;
  return ignored && results.length === 1 ? { ok: true, ignored } : { ok: true, replies };
}

/** Writes the answer. A body that was not read to its end is thrown away for a second, so that the answer arrives. */
function answer(req, res, result) {
  if (res.headersSent || res.writableEnded || res.destroyed) return true;
  const refused = result instanceof Refusal;
  const body = JSON.stringify(refused ? { ok: false, error: result.code } : result);
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    ...(refused ? result.headers : {}),
  };
  if (!req.readableEnded) {
    headers.connection = "close";
    req.resume();
    setTimeout(() => req.destroy(), 1000).unref();
  }
  res.writeHead(refused ? result.status || 400 : 200, headers);
  res.end(body);
  return true;
}
