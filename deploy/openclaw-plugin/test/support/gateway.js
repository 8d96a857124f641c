/**
 * A gateway that is played: the parts of OpenClaw's SDK and runtime that the channel uses, behaving as the real ones do.
 * Work in the async scope of an ended request is refused, errors of a delivery are counted and not thrown.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createChannel } from "../../src/channel.js";
import { sign } from "../../src/signature.js";

export const SECRET = "test-secret-one";
export const TOKEN = "test-bot-token";

const requests = new AsyncLocalStorage();

export class PlatformMessageNotDispatchedError extends Error {}

const sdk = {
  createChannelPluginBase: (base) => base,
  createChatChannelPlugin: ({ base, ...rest }) => ({ ...base, ...rest }),
  channelReadyPatch: (patch) => ({ ...patch, ready: true }),
  channelStoppedPatch: (patch) => ({ ...patch, ready: false }),
  isReplyPayloadNonTerminalToolErrorWarning: (payload) => payload.toolWarning === true,
  PlatformMessageNotDispatchedError,
};

/** An error as the core throws it. */
export function draining() {
  return Object.assign(new Error("Gateway is draining"), { name: "GatewayDrainingError" });
}

/** Starts a gateway with the channel. `agent(ctx, deliver)` is the agent; `section` is laid over the channel's settings. */
export async function startGateway(t, { agent, apiBase = "http://127.0.0.1:9", section = {}, sessions = {}, session, folder, start = true }) {
  const gateway = { turns: [], plans: [], status: [], log: [] };
  const channel = createChannel(sdk);
  const stateDir = folder ?? (await mkdtemp(join(tmpdir(), "wechat-abot-")));
  gateway.sessions = sessions;
  channel.setRuntime({ state: { resolveStateDir: () => stateDir }, agent: { session: sessionStore(sessions) } });
  const settings = { webhookSecret: SECRET, apiBase, botToken: TOKEN, dmPolicy: "open", ...section };
  gateway.cfg = { channels: { wechat_abot: settings }, session };
  gateway.plugin = channel.plugin;
  gateway.stateDir = stateDir;
  let stopping = new AbortController();
  const run = () => channel.plugin.gateway.startAccount({
    cfg: gateway.cfg,
    accountId: "default",
    abortSignal: stopping.signal,
    channelRuntime: channelRuntime(gateway, agent),
    setStatus: (patch) => gateway.status.push(patch),
    log: { info: (line) => gateway.log.push(line), warn: (line) => gateway.log.push(line) },
  });
  gateway.account = start ? run() : Promise.resolve();
  gateway.stopAccount = async () => {
    stopping.abort();
    await gateway.account;
  };
  gateway.startAccount = () => {
    stopping = new AbortController();
    gateway.account = run();
  };
  const server = createServer((req, res) => requests.run({ req }, () => channel.handle(req, res)));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  gateway.url = `http://127.0.0.1:${server.address().port}/wechat_abot/webhook`;
  gateway.port = server.address().port;
  gateway.drop = () => server.closeAllConnections();
  while (start && gateway.status.length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.after(async () => {
    await gateway.stopAccount();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    if (!folder) await rm(stateDir, { recursive: true, force: true });
  });
  return gateway;
}

function channelRuntime(gateway, agent) {
  return {
    commands: { isControlCommandMessage: (text) => text.startsWith("/") },
    routing: {
      resolveAgentRoute: ({ peer, dmScope }) => {
        return { agentId: "main", dmScope, sessionKey: `agent:main:${dmScope}:${peer.kind}:${peer.id}` };
      },
    },
    inbound: {
      ingress: { resolveStable: async (params) => ingressOf(params) },
      buildContext: (params) => params,
      dispatch: (plan) => dispatch(gateway, agent, plan),
    },
  };
}

/** Sessions of the agent main by key. */
function sessionStore(sessions) {
  return {
    listSessionEntries: ({ agentId }) => {
      return Object.entries(agentId === "main" ? sessions : {}).map(([sessionKey, entry]) => ({ sessionKey, entry }));
    },
    patchSessionEntry: async ({ sessionKey, update }) => Object.assign(sessions[sessionKey], await update(sessions[sessionKey])),
  };
}

function ingressOf({ conversation, subject, dmPolicy, groupPolicy, ...lists }) {
  const isGroup = conversation.kind === "group";
  const policy = isGroup ? groupPolicy : dmPolicy;
  const allowFrom = isGroup ? lists.groupAllowFrom : lists.allowFrom;
  const allowed = policy === "open" || (policy === "allowlist" && allowFrom.includes(subject.stableId));
  return { ingress: { admission: allowed ? "dispatch" : "drop" }, commandAccess: { authorized: false } };
}

async function dispatch(gateway, agent, plan) {
  if (requests.getStore()) throw draining();
  gateway.turns.push(plan.ctxPayload);
  gateway.plans.push(plan);
  if (gateway.busy) return { admission: { kind: "dispatch" }, dispatched: true, dispatchResult: await busy(gateway, plan) };
  const failedCounts = {};
  const deliver = async (payload, kind = "final") => {
    try {
      return await plan.delivery.deliver(payload, { kind });
    } catch (error) {
      failedCounts[kind] = (failedCounts[kind] ?? 0) + 1;
      plan.delivery.onError(error, { kind });
      return undefined;
    }
  };
  await agent(plan.ctxPayload, deliver);
  return { admission: { kind: "dispatch" }, dispatched: true, dispatchResult: { counts: {}, failedCounts } };
}

/** A session that is busy takes the message into its run, unless it is told to queue and may not. */
async function busy(gateway, plan) {
  const { queueModeOverride, turnAdoptionLifecycle } = plan.replyOptions;
  if (queueModeOverride === "followup" && turnAdoptionLifecycle?.onDeferred() === false) return { counts: {} };
  gateway.deferred = (gateway.deferred ?? 0) + 1;
  return { counts: {}, deferredToActiveRun: queueModeOverride ?? "steer" };
}

/** Posts a body as the relay does. Returns {status, body, headers}. */
export async function post(gateway, body, { id, secret = SECRET, headers = {}, method = "POST" } = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(gateway.url, {
    method,
    headers: {
      ...(id ? { "x-relay-event-id": id } : {}),
      ...(secret ? { "x-wechat-abot-signature": sign(secret, text) } : {}),
      ...headers,
    },
    ...(method === "GET" ? {} : { body: text }),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

/** A private WeChat text. `newMsgId` is written into the JSON digit by digit. */
export function text(words, { from = "wxid_ann", newMsgId = "5203948571029384756" } = {}) {
  return `{"Wxid":"wxid_robot","TypeName":"AddMsg","Data":{"FromUserName":{"string":${JSON.stringify(from)}},` +
    `"ToUserName":{"string":"wxid_robot"},"MsgType":1,"Content":{"string":${JSON.stringify(words)}},"NewMsgId":${newMsgId}}}`;
}

/** A promise with its ends. */
export function gate() {
  let open;
  const passed = new Promise((resolve) => {
    open = resolve;
  });
  return { open, passed };
}
