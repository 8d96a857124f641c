import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { LIMITS, settingsOf } from "../src/settings.js";
import { PlatformMessageNotDispatchedError, startGateway } from "./support/gateway.js";
import { startRelay } from "./support/relay.js";

const manifest = JSON.parse(await readFile(new URL("../openclaw.plugin.json", import.meta.url), "utf8"));

async function outbound(t, script) {
  const relay = await startRelay(t, script);
  const gateway = await startGateway(t, { agent: () => {}, apiBase: relay.apiBase, section: { limits: { sendTries: 2 } } });
  return { relay, cfg: gateway.cfg, plugin: gateway.plugin, send: gateway.plugin.outbound.attachedResults };
}

describe("the channel", { concurrency: true }, () => {
  test("sends that the agent starts: one key for all tries of a call, another for the next", async (t) => {
    const { relay, cfg, send } = await outbound(t, [503]);
    const params = { cfg, to: "wechat_abot:wxid_ann", text: "good morning", replyToId: "42" };
    assert.deepEqual(await send.sendText(params), { messageId: "out-1" });
    assert.deepEqual(await send.sendText({ cfg, to: "wxid_ann", text: "good morning" }), { messageId: "out-2" });
    assert.deepEqual(relay.calls[0].body, { to: "wxid_ann", text: "good morning", replyToMessageId: "42" });
    const keys = relay.calls.map((c) => c.headers["idempotency-key"]);
    assert.equal(keys[0], keys[1]);
    assert.notEqual(keys[1], keys[2]);
  });

  test("OpenClaw's own delivery id is the key where there is one", async (t) => {
    const { relay, cfg, send } = await outbound(t);
    for (let i = 0; i < 2; i++) await send.sendText({ cfg, to: "wxid_ann", text: "hi", deliveryQueueId: "q7", deliveryPartIndex: 1 });
    assert.deepEqual(relay.calls.map((c) => c.headers["idempotency-key"]), ["openclaw/q7/1", "openclaw/q7/1"]);
    assert.equal(relay.sent.size, 1);
  });

  test("media", async (t) => {
    const { relay, cfg, send } = await outbound(t);
    await send.sendMedia({ cfg, to: "wxid_ann", text: "look", mediaUrl: "https://pics.example/cat.jpg" });
    assert.deepEqual(relay.calls[0].body.media, [{ type: "image", url: "https://pics.example/cat.jpg", name: "cat.jpg" }]);
    assert.throws(() => send.sendMedia({ cfg, to: "wxid_ann", text: "", mediaUrl: "/etc/passwd" }), /http or https/);
  });

  test("what was surely not sent may be sent again by OpenClaw, what may have been may not", async (t) => {
    const params = (cfg) => ({ cfg, to: "wxid_ann", text: "hi" });
    const surely = await outbound(t, [403]);
    await assert.rejects(surely.send.sendText(params(surely.cfg)), PlatformMessageNotDispatchedError);
    for (const script of [[{ status: 504 }], [409, 409], [500, 500], ["lost", 503], [{ status: 503, body: "proxy" }, { status: 503, body: "proxy" }]]) {
      const perhaps = await outbound(t, script);
      const isOpen = (e) => !(e instanceof PlatformMessageNotDispatchedError);
      await assert.rejects(perhaps.send.sendText(params(perhaps.cfg)), isOpen, JSON.stringify(script));
    }
    const nobody = await outbound(t, []);
    await nobody.relay.close();
    await assert.rejects(nobody.send.sendText(params(nobody.cfg)), PlatformMessageNotDispatchedError);
  });

  test("the account is configured when the three needed settings are there", () => {
    const section = { webhookSecret: "s", apiBase: "http://r/api/", botToken: "b" };
    assert.deepEqual(settingsOf({ channels: { wechat_abot: section } }).missing, []);
    assert.equal(settingsOf({ channels: { wechat_abot: section } }).apiBase, "http://r/api");
    assert.deepEqual(settingsOf({}).missing, ["webhookSecret", "apiBase", "botToken"]);
    assert.deepEqual(settingsOf({ channels: { wechat_abot: { ...section, webhookSecret: ["a", "b"] } } }).secrets, ["a", "b"]);
  });

  test("nobody may write unless the operator says so", () => {
    const settings = settingsOf({ channels: { wechat_abot: {} } });
    assert.deepEqual([settings.dmPolicy, settings.groupPolicy, settings.allowFrom], ["allowlist", "allowlist", []]);
  });

  test("who may write, as OpenClaw asks it", async (t) => {
    const { cfg, plugin } = await outbound(t);
    const account = plugin.config.resolveAccount({ channels: { wechat_abot: { ...cfg.channels.wechat_abot, allowFrom: ["ann", 7] } } });
    assert.deepEqual(plugin.security.dm.resolveAllowFrom(account), ["ann", "7"]);
    assert.deepEqual(plugin.config.resolveAllowFrom({ cfg }), []);
    assert.equal(plugin.security.dm.resolvePolicy(account), "open");
  });

  test("settings that are nearly right", () => {
    const of = (section) => settingsOf({ channels: { wechat_abot: { webhookSecret: "s", apiBase: "http://r/api", botToken: "b", ...section } } });
    assert.deepEqual(of({ allowFrom: null }).allowFrom, []);
    assert.deepEqual(of({ allowFrom: "*" }).allowFrom, ["*"]);
    for (const apiBase of ["http://u:p@r/api", "http://u@r", "ftp://r", "r:80"]) assert.deepEqual(of({ apiBase }).missing, ["apiBase"], apiBase);
    const { pattern } = manifest.channelConfigs.wechat_abot.schema.properties.apiBase;
    assert.deepEqual(["http://r:1/api", "https://r", "http://u:p@r/api"].map((url) => new RegExp(pattern).test(url)), [true, true, false]);
  });

  test("manifest, settings and READMEs name the same keys", async () => {
    const { properties } = manifest.channelConfigs.wechat_abot.schema;
    assert.deepEqual(Object.keys(properties.limits.properties).sort(), Object.keys(LIMITS).sort());
    const internal = ["secrets", "missing"];
    const known = Object.keys(settingsOf({})).filter((key) => !internal.includes(key)).concat("webhookSecret");
    assert.deepEqual(Object.keys(properties).sort(), known.sort());
    for (const name of ["README.md", "README.zh-CN.md"]) {
      const readme = await readFile(new URL(`../${name}`, import.meta.url), "utf8");
      for (const key of [...known, ...Object.keys(LIMITS)]) assert.ok(readme.includes(`\`${key}\``), `${name} has no ${key}`);
      for (const value of Object.values(LIMITS)) assert.ok(readme.includes(String(value)), `${name} has no default ${value}`);
    }
  });

  test("secrets are marked as such", () => {
    const hints = manifest.channelConfigs.wechat_abot.uiHints;
    assert.deepEqual(["webhookSecret", "botToken"].map((key) => hints[key].sensitive), [true, true]);
  });
});
