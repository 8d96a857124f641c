/**
 * One turn: a message goes to the agent, what the agent says goes out through the relay.
 *
 * The context carries no message id on purpose. By that id OpenClaw would take the relay's next attempt after a failure
 * for a repeat and answer nothing, and would resume an interrupted turn by itself after a restart, while the relay
 * repeats it too. Repeats are the ledger's and the relay's business here; `replyToMessageId` is set by the plugin.
 *
 * Replies are gathered and go out when the agent is done: a run that failed has sent nothing, so the next one may word them
 * anew. If sending them fails, they are kept, and the next attempt sends the same without another run.
 */

import { CHANNEL } from "./settings.js";
import { SendError } from "./send.js";
import { Unavailable } from "./turns.js";

/** The turn ran and failed. */
export class TurnFailed extends Error {
  constructor(code, cause) {
    super(`turn: ${code}`, { cause });
    this.name = "TurnFailed";
    this.code = code;
  }
}

/** What went wrong inside OpenClaw, for the log: names and codes only, for an error's words may quote the message. */
export function causeOf(error) {
  const causes = [];
  for (let e = error.cause; e && causes.length < 3; e = e.cause) causes.push([e.name, e.code].filter(isName).join(" ") || "Error");
  return causes.join("; ");
}

function isName(word) {
  return typeof word === "string" && /^[\w.-]{1,64}$/.test(word);
}

/**
 * What OpenClaw says in place of an answer when a restart takes the turn away. Nothing else marks it, and an agent can be
 * made to say it, so it counts once for an event.
 */
const RESTARTING = "⚠️ Gateway is restarting. Please wait a few seconds and try again.";

/** What the turns of a process know of each other: replies that wait to be sent, and events that a restart put off. */
export class Memory {
  #unsent = new Map();
  #putOff = new Set();

  /** Keeps the replies of an event. */
  keep(event, replies) {
    this.#unsent.set(event, replies);
    forgetOldest(this.#unsent);
  }

  /** Takes out the replies that were kept for an event. */
  take(event) {
    const replies = this.#unsent.get(event);
    this.#unsent.delete(event);
    return replies;
  }

  /** Notes that a restart put an event off, and says whether that is news. */
  putOff(event) {
    const isNew = !this.#putOff.has(event);
    this.#putOff.add(event);
    forgetOldest(this.#putOff);
    return isNew;
  }
}

const MEMORY = 256;

function forgetOldest(all) {
  if (all.size > MEMORY) all.delete(all.keys().next().value);
}

/** Errors by which the gateway says that it takes no work: it drains, or is still busy with its state after the start. */
const NOT_NOW = new Set(["GatewayDrainingError", "CommandLaneClearedError", "StateDatabaseCoordinatorContentionError"]);

export class Turn {
  #host;
  #event;
  #message;
  #replies = [];
  #failure = null;

  /** `host` is {channel, cfg, accountId, settings, sender, memory, isStopping, isToolWarning}; `event` is the ledger's key. */
  constructor(host, event, message) {
    this.#host = host;
    this.#event = event;
    this.#message = message;
  }

  /** Runs the turn. Returns {replies} or {ignored}; throws Unavailable, TurnFailed or SendError. */
  async run() {
    const kept = this.#host.memory.take(this.#event);
    if (kept) return this.#send(kept);
    try {
      const plan = await this.#plan();
      if (plan.ignored) return plan;
      const result = await this.#host.channel.inbound.dispatch(plan);
      this.#check(result);
    } catch (error) {
      throw translate(this.#failure ?? error);
    }
    return this.#send(this.#replies);
  }

  /** Sends the replies in order, none after one that failed. */
  async #send(replies) {
    try {
      for (const [i, reply] of replies.entries()) await this.#host.sender.send(`${this.#event}/${i + 1}`, reply, this.#event);
    } catch (error) {
      if (!error.final) this.#host.memory.keep(this.#event, replies);
      throw translate(error);
    }
    return { replies: replies.length };
  }

  async #plan() {
    const { channel, cfg, accountId } = this.#host;
    const peer = { kind: this.#message.group ? "group" : "direct", id: this.#message.conversation };
    // People who do not know each other share no session unless the operator says so.
    const dmScope = cfg.session?.dmScope ?? "per-channel-peer";
    const route = channel.routing.resolveAgentRoute({ cfg, channel: CHANNEL, accountId, peer, dmScope });
    const ingress = await this.#admit(route, peer);
    if (ingress.ingress.admission !== "dispatch") return { ignored: "not_allowed" };
    return {
      cfg,
      channel: CHANNEL,
      accountId,
      route: { agentId: route.agentId, dmScope: route.dmScope, sessionKey: route.sessionKey },
      ctxPayload: this.#context(route, peer, ingress),
      delivery: {
        deliver: (payload, info) => this.#deliver(payload, info),
        onError: (error) => this.#fail(error),
      },
      replyOptions: {
        sourceReplyDeliveryMode: "automatic",
        disableBlockStreaming: true,
        // In a session that is busy (a cron run, a shared session) OpenClaw would take the message into the run that is
        // on, or queue it in memory, and end the turn: acknowledged, but not done. It is told to queue, and may not.
        queueModeOverride: "followup",
        turnAdoptionLifecycle: { admission: "exclusive", onAdopted: () => {}, onDeferred: () => this.#refuseDeferral() },
      },
      replyPipeline: {},
    };
  }

  #admit(route, peer) {
    const { channel, cfg, accountId, settings } = this.#host;
    const isCommand = channel.commands.isControlCommandMessage(this.#message.text, cfg);
    return channel.inbound.ingress.resolveStable({
      channelId: CHANNEL,
      accountId,
      cfg,
      identity: { key: "sender", entryIdPrefix: "wechat-abot" },
      subject: { stableId: this.#message.sender },
      conversation: peer,
      contextBinding: { agentId: route.agentId, sessionKey: route.sessionKey, inboundEventKind: "user_request" },
      dmPolicy: settings.dmPolicy,
      groupPolicy: settings.groupPolicy,
      allowFrom: settings.allowFrom,
      groupAllowFrom: settings.allowFrom,
      ...(isCommand ? { command: { allowTextCommands: true, hasControlCommand: true } } : {}),
    });
  }

  #context(route, peer, ingress) {
    const { sender, nickname, conversation, group, mentioned, text, kind, media, at } = this.#message;
    const body = text || `[${kind}]`;
    return this.#host.channel.inbound.buildContext({
      channel: CHANNEL,
      accountId: this.#host.accountId,
      timestamp: at ?? Date.now(),
      from: `${CHANNEL}:${sender}`,
      sender: { id: sender, name: nickname || sender },
      conversation: { ...peer, label: group ? conversation : nickname || conversation },
      route: {
        agentId: route.agentId,
        dmScope: route.dmScope,
        accountId: this.#host.accountId,
        routeSessionKey: route.sessionKey,
        dispatchSessionKey: route.sessionKey,
      },
      reply: { to: conversation, originatingTo: conversation },
      message: { body, bodyForAgent: body, rawBody: body, commandBody: body, senderLabel: nickname || sender },
      media: media.map(({ type, url }) => ({ url, kind: MEDIA_KINDS.get(type) ?? type })),
      access: {
        commands: ingress.commandAccess,
        ...(group ? { mentions: { canDetectMention: true, wasMentioned: mentioned } } : {}),
      },
      channelIngress: ingress,
    });
  }

  /** Takes one reply. What is no answer (thinking, progress) stays here; an error in place of an answer fails the turn. */
  async #deliver(payload, info) {
    if (this.#failure) throw this.#failure;
    if (isAside(payload, info)) return { visibleReplySent: false };
    const text = typeof payload.text === "string" ? payload.text : "";
    if (this.#isPutOff(text)) throw this.#fail(new Unavailable());
    if (payload.isError && !this.#host.isToolWarning(payload)) throw this.#fail(new TurnFailed("agent_failed"));
    const message = this.#reply(text, mediaOf(payload));
    if (!message) return { visibleReplySent: false };
    this.#replies.push(message);
    return { visibleReplySent: true, content: text };
  }

  #isPutOff(text) {
    if (text.trim() !== RESTARTING) return false;
    return this.#host.memory.putOff(this.#event) || this.#host.isStopping();
  }

  /** The request for a reply, null if nothing is left to say. */
  #reply(text, { media, local }) {
    const words = text.trim() === "" && media.length === 0 && local > 0 ? "[media]" : text;
    if (words.trim() === "" && media.length === 0) return null;
    return {
      to: this.#message.conversation,
      ...(words.trim() === "" ? {} : { text: words }),
      ...(this.#message.id === "" ? {} : { replyToMessageId: this.#message.id }),
      ...(media.length === 0 ? {} : { media }),
    };
  }

  #refuseDeferral() {
    this.#fail(new Unavailable());
    return false;
  }

  #fail(error) {
    this.#failure ??= error;
    return error;
  }

  /** OpenClaw does not throw for everything that went wrong. A turn without a reply is fine: the agent may stay silent. */
  #check(result) {
    if (this.#failure) throw this.#failure;
    if (result.dispatchResult?.deferredToActiveRun) throw new Unavailable();
    if (result.admission.kind === "drop") throw new TurnFailed("dropped");
    const failed = Object.values(result.dispatchResult?.failedCounts ?? {}).some((n) => n > 0);
    if (failed) throw new TurnFailed("delivery_failed");
  }
}

/** What OpenClaw calls the media that it calls otherwise. */
const MEDIA_KINDS = new Map([["voice", "audio"], ["file", "document"]]);

/** What is not meant for the chat. A final notice is: it is all that a command such as /new answers. */
function isAside(payload, { kind }) {
  if (payload.isReasoning || payload.isCommentary || payload.isCompactionNotice) return true;
  return payload.isStatusNotice === true && kind !== "final";
}

function translate(error) {
  if (error instanceof Unavailable || error instanceof TurnFailed || error instanceof SendError) return error;
  for (let e = error; e; e = e.cause) if (NOT_NOW.has(e.name)) return new Unavailable();
  return new TurnFailed("turn_failed", error);
}

const KINDS = Object.freeze({
  image: /\.(png|jpe?g|gif|webp|bmp|heic)$/i,
  voice: /\.(mp3|ogg|opus|wav|m4a|amr|silk)$/i,
  video: /\.(mp4|mov|webm|mkv)$/i,
});

/** One medium as the relay takes it, by its URL's end; null for what only this machine can read. */
export function mediumOf(url) {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) return null;
  const path = new URL(url).pathname;
  const type = Object.keys(KINDS).find((name) => KINDS[name].test(path)) ?? "file";
  const name = decodedName(path);
  return { type, url, ...(name ? { name } : {}) };
}

function decodedName(path) {
  const last = path.slice(path.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

function mediaOf(payload) {
  const urls = payload.mediaUrls?.length ? payload.mediaUrls : [payload.mediaUrl].filter(Boolean);
  const media = urls.map(mediumOf);
  return { media: media.filter(Boolean), local: media.filter((m) => m === null).length };
}
