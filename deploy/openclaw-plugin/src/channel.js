/**
 * The channel as OpenClaw sees it: accounts, policy, sends that the agent starts by itself, and the account's life. What
 * comes from OpenClaw's SDK is handed in, so that everything here runs without it in tests.
 */

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { settleInterrupted } from "./interrupted.js";
import { Ledger } from "./ledger.js";
import { Sender, SendError } from "./send.js";
import { CHANNEL, settingsOf } from "./settings.js";
import { mediumOf, Memory, Turn } from "./turn.js";
import { Turns } from "./turns.js";
import { answerUnavailable, Webhook } from "./webhook.js";

const ACCOUNT = "default";

/** Makes the channel. `sdk` is what index.js imports. Returns {plugin, handle, setRuntime}. */
export function createChannel(sdk) {
  let runtime = null;
  let webhook = null;
  let settled = false;
  let ledger = null;
  const lanes = new Map();
  const memory = new Memory();

  async function startAccount(ctx) {
    const settings = settingsOf(ctx.cfg);
    if (settings.missing.length > 0) throw new Error(`${CHANNEL}: missing ${settings.missing.join(", ")}`);
    const turns = new Turns(lanes);
    ledger ??= await openLedger(runtime, settings, ctx.log);
    ledger.remember(settings.limits.remembered);
    if (!settled) await settle(ctx);
    const host = {
      channel: ctx.channelRuntime ?? runtime.channel,
      cfg: ctx.cfg,
      accountId: ctx.accountId ?? ACCOUNT,
      settings,
      sender: new Sender(settings),
      memory,
      isStopping: () => !turns.isOpen,
      isToolWarning: sdk.isReplyPayloadNonTerminalToolErrorWarning,
    };
    const runTurn = (event, message) => new Turn(host, event, message).run();
    const own = new Webhook({ settings, ledger, turns, runTurn, log: logOf(ctx.log) });
    const served = turns.serve(ctx.abortSignal);
    webhook = own;
    ctx.setStatus(sdk.channelReadyPatch({ accountId: host.accountId }));
    try {
      await served;
    } finally {
      if (webhook === own) webhook = null;
      ctx.setStatus(sdk.channelStoppedPatch({ accountId: host.accountId }));
    }
  }

  /** Once in a process: later, what runs is running. */
  async function settle(ctx) {
    settled = true;
    const startedAt = Date.now() - process.uptime() * 1000;
    const { warn } = logOf(ctx.log);
    await settleInterrupted({ sessions: runtime.agent.session, cfg: ctx.cfg, startedAt, warn });
  }

  return {
    plugin: sdk.createChatChannelPlugin(definition(sdk, startAccount)),
    handle: (req, res) => (webhook ? webhook.handle(req, res) : answerUnavailable(req, res)),
    setRuntime(value) {
      runtime = value;
    },
  };
}

async function openLedger(runtime, settings, log) {
  const ledger = new Ledger({ remembered: settings.limits.remembered, warn: logOf(log).warn });
  const folder = runtime?.state?.resolveStateDir?.();
  if (folder) await ledger.open(join(folder, CHANNEL, "done"));
  return ledger;
}

function logOf(log) {
  return { info: (line) => log?.info?.(line), warn: (line) => log?.warn?.(line) };
}

function definition(sdk, startAccount) {
  return {
    base: {
      ...sdk.createChannelPluginBase({
        id: CHANNEL,
        meta: { label: "WeChat Abot", selectionLabel: "WeChat Abot (imrelay)", blurb: "IMs through imrelay." },
        capabilities: { chatTypes: ["direct", "group"], media: true },
        config: accountConfig(),
        setup: { applyAccountConfig },
      }),
      messaging: {
        normalizeTarget,
        inferTargetChatType: ({ to }) => (isGroupId(normalizeTarget(to) ?? "") ? "group" : "direct"),
        targetResolver: { looksLikeId: (raw) => Boolean(normalizeTarget(raw)), hint: "<conversation id>" },
      },
      gateway: { startAccount },
    },
    security: {
      dm: {
        channelKey: CHANNEL,
        resolvePolicy: (account) => account.dmPolicy,
        resolveAllowFrom: (account) => account.allowFrom,
        defaultPolicy: "allowlist",
      },
    },
    threading: { topLevelReplyToMode: "reply" },
    outbound: {
      base: { deliveryMode: "direct" },
      attachedResults: {
        channel: CHANNEL,
        sendText: (params) => sendByAgent(sdk, params, {}),
        sendMedia: (params) => sendByAgent(sdk, params, mediaOf(params.mediaUrl)),
      },
    },
  };
}

/** The single account, whose settings are the channel's. */
function accountConfig() {
  const describe = (cfg) => {
    const settings = settingsOf(cfg);
    const configured = settings.missing.length === 0;
    return { accountId: ACCOUNT, enabled: settings.enabled, configured };
  };
  return {
    listAccountIds: () => [ACCOUNT],
    defaultAccountId: () => ACCOUNT,
    resolveAccount: (cfg) => ({ ...settingsOf(cfg), ...describe(cfg) }),
    inspectAccount: describe,
    isEnabled: (account) => account.enabled,
    isConfigured: (account) => account.configured,
    resolveAllowFrom: ({ cfg }) => settingsOf(cfg).allowFrom,
  };
}

function applyAccountConfig({ cfg, input }) {
  return { ...cfg, channels: { ...cfg.channels, [CHANNEL]: { ...cfg.channels?.[CHANNEL], ...input } } };
}

/** A target as the relay knows it: without the channel's name before it. */
export function normalizeTarget(raw) {
  const id = String(raw ?? "").trim();
  const bare = id.startsWith(`${CHANNEL}:`) ? id.slice(CHANNEL.length + 1) : id;
  return bare || undefined;
}

function isGroupId(id) {
  return id.endsWith("chatroom") || id.startsWith("group:");
}

/**
 * A send that the agent starts by itself. Its key is OpenClaw's own id of the delivery where there is one, so that it
 * outlives a restart, else a fresh one; all tries of the call share it.
 */
async function sendByAgent(sdk, params, extra) {
  const settings = settingsOf(params.cfg);
  const id = params.deliveryQueueId ? `${params.deliveryQueueId}/${params.deliveryPartIndex ?? 0}` : randomUUID();
  const message = {
    to: normalizeTarget(params.to),
    ...(params.text ? { text: params.text } : {}),
    ...(params.replyToId ? { replyToMessageId: String(params.replyToId) } : {}),
    ...extra,
  };
  try {
    const { messageId, outcome } = await new Sender(settings).send(`openclaw/${id}`, message);
    if (outcome === "unknown") throw new Error("the message may have been sent; the relay could not tell");
    return { messageId };
  } catch (error) {
    const unsent = error instanceof SendError && !error.maybeSent;
    throw unsent ? new sdk.PlatformMessageNotDispatchedError(error.message, { cause: error }) : error;
  }
}

function mediaOf(url) {
  const medium = url ? mediumOf(url) : null;
  if (url && !medium) throw new Error("only media with an http or https URL can be sent");
  return medium ? { media: [medium] } : {};
}
