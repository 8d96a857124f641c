import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { sign } from "../src/signature.js";
import { draining, gate, post, SECRET, startGateway, text } from "./support/gateway.js";
import { startRelay } from "./support/relay.js";

const echo = (ctx, deliver) => deliver({ text: `echo ${ctx.message.rawBody}` });

const silent = async () => {};

const RESTARTING = "⚠️ Gateway is restarting. Please wait a few seconds and try again.";

/** A gateway and the relay that its replies go to. */
async function pair(t, { script, agent = echo, ...rest } = {}) {
  const relay = await startRelay(t, script);
  const gateway = await startGateway(t, { agent, apiBase: relay.apiBase, ...rest });
  return { relay, gateway };
}

describe("the webhook", { concurrency: true }, () => {
  test("a message gets its reply, then the answer", async (t) => {
    const { relay, gateway } = await pair(t);
    const answer = await post(gateway, text("hello"), { id: "evt_1" });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body, { ok: true, replies: 1 });
    assert.deepEqual(relay.calls.map((c) => c.body), [
      { to: "wxid_ann", text: "echo hello", replyToMessageId: "5203948571029384756" },
    ]);
    assert.equal(relay.calls[0].headers["idempotency-key"], "evt_1/1");
    assert.equal(relay.calls[0].headers["x-relay-event-id"], "evt_1");
  });

  test("the context says who, where and what", async (t) => {
    const { gateway } = await pair(t);
    const body = '{"Wxid":"wxid_robot","TypeName":"AddMsg","Data":{"FromUserName":{"string":"31@chatroom"},"ToUserName":{"string":"wxid_robot"},"MsgType":1,' +
      '"Content":{"string":"wxid_bob:\\nhi:\\nall"},"MsgSource":"<msgsource><atuserlist>wxid_robot</atuserlist></msgsource>","PushContent":"Bob在群聊中@了你","NewMsgId":1}}';
    assert.equal((await post(gateway, body, { id: "evt_1" })).status, 200);
    const [ctx] = gateway.turns;
    assert.deepEqual(ctx.sender, { id: "wxid_bob", name: "Bob" });
    assert.deepEqual(ctx.conversation, { kind: "group", id: "31@chatroom", label: "31@chatroom" });
    assert.equal(ctx.message.rawBody, "hi:\nall");
    assert.equal(ctx.access.mentions.wasMentioned, true);
    assert.equal(ctx.reply.to, "31@chatroom");
    assert.equal("messageId" in ctx, false, "a message id would make OpenClaw drop the next attempt");
  });

  test("people share no session unless the operator says so", async (t) => {
    const one = await startGateway(t, { agent: silent });
    await post(one, text("hello"), { id: "evt_1" });
    assert.equal(one.turns[0].route.dmScope, "per-channel-peer");
    const two = await startGateway(t, { agent: silent, session: { dmScope: "main" } });
    await post(two, text("hello"), { id: "evt_1" });
    assert.equal(two.turns[0].route.dmScope, "main");
  });

  const refused = [
    { name: "no signature", post: { secret: "" }, status: 401 },
    { name: "another secret", post: { secret: "other" }, status: 401 },
    { name: "a signature of other bytes", post: { secret: "", headers: { "x-wechat-abot-signature": sign(SECRET, "{}") } }, status: 401 },
    { name: "half a signature", post: { secret: "", headers: { "x-wechat-abot-signature": "sha256=ab" } }, status: 401 },
    { name: "GET", post: { method: "GET" }, status: 405, header: ["allow", "POST"] },
    { name: "no JSON", body: "{no", status: 400 },
    { name: "an endless event id", post: { id: "e".repeat(300) }, status: 400 },
    { name: "a large body", body: `{"a":"${"x".repeat(5000)}"}`, status: 413 },
  ];
  for (const row of refused) {
    test(`${row.name}: ${row.status}`, async (t) => {
      const { gateway } = await pair(t, { section: { limits: { bodyBytes: 4096 } } });
      const answer = await post(gateway, row.body ?? text("hello"), { id: "evt_1", ...row.post });
      assert.equal(answer.status, row.status);
      assert.equal(answer.body.ok, false);
      if (row.header) assert.equal(answer.headers.get(row.header[0]), row.header[1]);
      assert.equal(gateway.turns.length, 0);
    });
  }

  test("the old secret is good while it is being changed", async (t) => {
    const { gateway } = await pair(t, { section: { webhookSecret: ["new", "old"] } });
    for (const secret of ["new", "old"]) {
      assert.equal((await post(gateway, text("hello"), { id: `evt_${secret}`, secret })).status, 200);
    }
  });

  test("a body that counts its bytes wrongly is cut off at the limit", async (t) => {
    const { gateway } = await pair(t, { section: { limits: { bodyBytes: 4096 } } });
    const answer = await raw(gateway, [
      `POST / HTTP/1.1\r\nhost: x\r\nx-wechat-abot-signature: ${sign(SECRET, "")}\r\ntransfer-encoding: chunked\r\n\r\n`,
      `2000\r\n${"x".repeat(0x2000)}\r\n`,
    ]);
    assert.match(answer, /^HTTP\/1\.1 413 /);
  });

  test("a body that promises too much is not waited for", async (t) => {
    const { gateway } = await pair(t, { section: { limits: { bodyBytes: 4096 } } });
    const head = `POST / HTTP/1.1\r\nhost: x\r\nx-wechat-abot-signature: ${sign(SECRET, "")}\r\ncontent-length: 4097\r\n\r\n`;
    assert.match(await raw(gateway, [head]), /^HTTP\/1\.1 413 /);
  });

  test("bodies on their way hold up nobody, and the oldest is given up", async (t) => {
    const { gateway } = await pair(t, { section: { limits: { held: 1 } } });
    const head = `POST / HTTP/1.1\r\nhost: x\r\nx-wechat-abot-signature: ${sign("guess", "")}\r\ncontent-length: 9\r\n\r\n{`;
    const slow = Array.from({ length: 300 }, () => raw(gateway, [head]));
    assert.match(await Promise.race(slow), /^HTTP\/1\.1 408 /);
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 200);
    await gateway.drop();
    await Promise.allSettled(slow);
  });

  test("bodies on their way are bounded in bytes", async (t) => {
    const { gateway } = await pair(t, { section: { limits: { bodyBytes: 4096 } } });
    const head = `POST / HTTP/1.1\r\nhost: x\r\nx-wechat-abot-signature: ${sign("guess", "")}\r\ncontent-length: 4000\r\n\r\n`;
    const slow = Array.from({ length: 5 }, () => raw(gateway, [head, "x".repeat(3900)]));
    assert.match(await Promise.race(slow), /^HTTP\/1\.1 408 .*body_given_up/s);
    await gateway.drop();
    await Promise.allSettled(slow);
  });

  test("who left holds no place, though his turn goes on", async (t) => {
    const { open, passed } = gate();
    const agent = (ctx) => (ctx.message.rawBody === "slow" ? passed : undefined);
    const { gateway } = await pair(t, { agent, section: { limits: { held: 3 } } });
    for (let i = 0; i < 3; i++) await leave(gateway, text("slow"), "evt_1");
    while (gateway.turns.length < 1) await sleep(5);
    let status = 0;
    for (let i = 0; status !== 200 && i < 50; i++) ({ status } = await post(gateway, text("other", { from: "b" }), { id: "evt_2" }));
    assert.equal(status, 200);
    open();
  });

  test("few repeats wait for a turn", async (t) => {
    const { open, passed } = gate();
    const { gateway } = await pair(t, { agent: () => passed });
    const statuses = [];
    const all = Array.from({ length: 5 }, () => post(gateway, text("slow"), { id: "evt_1" }).then((a) => statuses.push(a.status)));
    while (statuses.length < 2) await sleep(5);
    assert.deepEqual(statuses, [503, 503]);
    open();
    await Promise.all(all);
    assert.deepEqual(statuses.slice(2), [200, 200, 200]);
  });

  test("only so many turns are pending", async (t) => {
    const { open, passed } = gate();
    const { gateway } = await pair(t, { agent: () => passed, section: { ack: "accepted", limits: { held: 2 } } });
    const statuses = [];
    for (const from of ["a", "b", "c"]) {
      statuses.push((await post(gateway, text("hello", { from }), { id: `evt_${from}` })).status);
      while (gateway.turns.length < Math.min(statuses.length, 2)) await sleep(5);
    }
    assert.deepEqual(statuses, [200, 200, 429]);
    open();
  });

  test("what nobody can read is no success", async (t) => {
    const { gateway } = await pair(t);
    const answer = await post(gateway, '{"update_id":1,"message":{"text":"hello"}}', { id: "evt_1" });
    assert.deepEqual([answer.status, answer.body.error], [422, "unreadable"]);
  });

  test("keys of a batch do not follow the settings", async (t) => {
    const body = '[{"id":"1","from":"a","text":"one"},{"id":"2","from":"b","text":"two"},{"id":"3","from":"c","text":"three"}]';
    for (const self of ["", "a"]) {
      const { relay, gateway } = await pair(t, { section: { self } });
      await post(gateway, body, { id: "evt_1" });
      assert.equal(relay.sent.get("evt_1.1/1").text, "echo two");
    }
  });

  test("ids of any kind and length make a key that can be sent", async (t) => {
    const { relay, gateway } = await pair(t);
    const rows = [
      { body: { id: "1", from: "u1", chat: "测试群", text: "hi" } },
      { body: { id: "m".repeat(200), from: "u1", chat: "c".repeat(200), text: "hi" } },
      { body: text("hi"), id: "e".repeat(240) },
    ];
    for (const { body, id } of rows) assert.equal((await post(gateway, body, { id })).status, 200);
    const keys = relay.calls.map((c) => c.headers["idempotency-key"]);
    assert.deepEqual(keys.slice(0, 2).map((key) => /^msg:[0-9a-f]{64}\/1$/.test(key)), [true, true]);
    assert.ok(keys.every((key) => key.length <= 256));
    assert.equal((await post(gateway, text("hi"), { id: "e".repeat(241) })).status, 400);
  });

  test("a body of over 100 messages is refused", async (t) => {
    const { gateway } = await pair(t, { agent: silent });
    const body = (n) => JSON.stringify(Array.from({ length: n }, (_, i) => ({ id: `m${i}`, from: `u${i}`, text: "hi" })));
    assert.equal((await post(gateway, body(101), { id: "evt_1" })).status, 422);
    assert.equal((await post(gateway, body(100), { id: "evt_2" })).status, 200);
  });

  test("a body that never ends is given up", async (t) => {
    const { gateway } = await pair(t, { section: { limits: { readSeconds: 0.3 } } });
    const answer = await raw(gateway, [
      `POST / HTTP/1.1\r\nhost: x\r\nx-wechat-abot-signature: ${sign(SECRET, "")}\r\ncontent-length: 100\r\n\r\n{"a"`,
    ]);
    assert.match(answer, /^HTTP\/1\.1 408 /);
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 200);
  });

  test("only so many requests are held", async (t) => {
    const { open, passed } = gate();
    const { gateway } = await pair(t, { section: { limits: { held: 2 } }, agent: () => passed });
    const held = ["a", "b"].map((from) => post(gateway, text("hello", { from }), { id: `evt_${from}` }));
    while (gateway.turns.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const answer = await post(gateway, text("hello", { from: "c" }), { id: "evt_c" });
    assert.equal(answer.status, 429);
    assert.equal(answer.headers.get("retry-after"), "1");
    open();
    assert.deepEqual((await Promise.all(held)).map((a) => a.status), [200, 200]);
  });

  test("a repeat waits for the turn and gets its outcome", async (t) => {
    const { open, passed } = gate();
    const agent = async (ctx, deliver) => {
      await passed;
      await deliver({ text: "late" });
    };
    const { relay, gateway } = await pair(t, { agent });
    let answered = 0;
    const both = [1, 2].map(() => post(gateway, text("hello"), { id: "evt_1" }).finally(() => answered++));
    while (gateway.turns.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(answered, 0);
    open();
    assert.deepEqual((await Promise.all(both)).map((a) => a.status), [200, 200]);
    assert.deepEqual((await post(gateway, text("hello"), { id: "evt_1" })).body, { ok: true, duplicate: true, replies: 0 });
    assert.equal(gateway.turns.length, 1);
    assert.equal(relay.calls.length, 1);
  });

  test("a failed turn is no done event: the next attempt runs", async (t) => {
    let fails = 1;
    const agent = async (ctx, deliver) => {
      if (fails-- > 0) throw new Error("the model is down");
      await deliver({ text: "now" });
    };
    const { relay, gateway } = await pair(t, { agent });
    const first = await post(gateway, text("hello"), { id: "evt_1" });
    assert.deepEqual([first.status, first.body.ok], [500, false]);
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 200);
    assert.deepEqual([...relay.sent.keys()], ["evt_1/1"]);
  });

  test("an agent's error is a failed turn, and nobody's reply", async (t) => {
    const { relay, gateway } = await pair(t, { agent: (ctx, deliver) => deliver({ text: "⚠️ no model", isError: true }) });
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 500);
    assert.equal(relay.calls.length, 0);
  });

  test("a tool's warning is part of the reply", async (t) => {
    const agent = async (ctx, deliver) => {
      await deliver({ text: "the answer" });
      await deliver({ text: "a tool failed", isError: true, toolWarning: true });
    };
    const { relay, gateway } = await pair(t, { agent });
    assert.deepEqual((await post(gateway, text("hello"), { id: "evt_1" })).body, { ok: true, replies: 2 });
    assert.deepEqual([...relay.sent.keys()], ["evt_1/1", "evt_1/2"]);
  });

  test("thinking and progress stay inside", async (t) => {
    const agent = async (ctx, deliver) => {
      for (const mark of ["isReasoning", "isCommentary", "isCompactionNotice"]) await deliver({ text: "hm", [mark]: true });
      await deliver({ text: "hm", isStatusNotice: true }, "block");
      await deliver({ text: "  " });
      await deliver({ text: "new session", isStatusNotice: true });
      await deliver({ text: "yes" });
    };
    const { relay, gateway } = await pair(t, { agent });
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).body.replies, 2);
    assert.deepEqual(relay.calls.map((c) => c.body.text), ["new session", "yes"]);
  });

  test("an agent may stay silent", async (t) => {
    const { gateway } = await pair(t, { agent: silent });
    assert.deepEqual((await post(gateway, text("hello"), { id: "evt_1" })).body, { ok: true, replies: 0 });
  });

  const away = [
    { name: "throws", agent: () => { throw draining(); } },
    { name: "says so in an answer", agent: (ctx, deliver) => deliver({ text: "⚠️ Gateway is restarting. Please wait a few seconds and try again." }) },
    { name: "is busy with its state", agent: () => { throw Object.assign(new Error("owned"), { name: "StateDatabaseCoordinatorContentionError" }); } },
    { name: "wraps the reason", agent: () => { throw new Error("dispatch", { cause: draining() }); } },
  ];
  for (const { name, agent } of away) {
    test(`a gateway that drains and ${name}: 503`, async (t) => {
      const { relay, gateway } = await pair(t, { agent });
      const answer = await post(gateway, text("hello"), { id: "evt_1" });
      assert.equal(answer.status, 503);
      assert.equal(answer.headers.get("retry-after"), "1");
      assert.equal(relay.calls.length, 0);
    });
  }

  test("a session that is busy: 503, and nothing is left in its queue", async (t) => {
    const { gateway } = await pair(t);
    gateway.busy = true;
    const answer = await post(gateway, text("hello"), { id: "evt_1" });
    assert.deepEqual([answer.status, gateway.deferred], [503, undefined]);
    gateway.busy = false;
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).body.replies, 1);
  });

  test("turns that a crash interrupted are not resumed beside the relay's repeat", async (t) => {
    const sessions = {
      "agent:main:wechat_abot:direct:a": { status: "running", updatedAt: 1 },
      "agent:main:wechat_abot:direct:b": { status: "running", updatedAt: Date.now() + 60_000, abortedLastRun: true, mainRestartRecovery: {} },
      "agent:main:wechat_abot:direct:c": { status: "running", updatedAt: Date.now() + 60_000 },
      "agent:main:wechat_abot:direct:d": { status: "done", updatedAt: 1 },
      "agent:main:main": { status: "running", updatedAt: 1, delivery: { context: { channel: "wechat_abot" } } },
      "agent:main:telegram:direct:a": { status: "running", updatedAt: 1, abortedLastRun: true },
    };
    await pair(t, { sessions });
    assert.deepEqual(Object.values(sessions).map((s) => s.status), ["failed", "failed", "running", "done", "failed", "running"]);
    assert.equal(sessions["agent:main:wechat_abot:direct:b"].mainRestartRecovery, undefined);
    assert.equal(sessions["agent:main:wechat_abot:direct:b"].abortedLastRun, false);
  });

  test("503 before the account runs and after it stopped", async (t) => {
    const before = await startGateway(t, { agent: echo, start: false });
    assert.equal((await post(before, text("hello"), { id: "evt_1" })).status, 503);
    const { gateway } = await pair(t);
    await gateway.stopAccount();
    const answer = await post(gateway, text("hello"), { id: "evt_1" });
    assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "1"]);
  });

  test("a stop lets the running turn end and refuses those behind it", async (t) => {
    const { open, passed } = gate();
    const agent = async (ctx, deliver) => {
      await passed;
      await deliver({ text: "done" });
    };
    const { relay, gateway } = await pair(t, { agent });
    const first = post(gateway, text("one"), { id: "evt_1" });
    while (gateway.turns.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    const second = post(gateway, text("two"), { id: "evt_2" });
    await new Promise((resolve) => setTimeout(resolve, 100)); // lets the second arrive; were it late, it is refused as well
    let ended = false;
    const stopped = gateway.stopAccount().then(() => {
      ended = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(ended, false, "the account ended before its turn");
    open();
    assert.deepEqual([(await first).status, (await second).status], [200, 503]);
    await stopped;
    assert.deepEqual([...relay.sent.keys()], ["evt_1/1"]);
    assert.equal(gateway.status.at(-1).ready, false);
  });

  test("what is done is done after a restart", async (t) => {
    const { gateway, relay } = await pair(t);
    await post(gateway, text("hello"), { id: "evt_1" });
    await gateway.stopAccount();
    const next = await startGateway(t, { agent: echo, apiBase: relay.apiBase, folder: gateway.stateDir });
    assert.deepEqual((await post(next, text("hello"), { id: "evt_1" })).body, { ok: true, duplicate: true, replies: 0 });
    assert.equal(next.turns.length, 0);
  });

  test("turns of a conversation run in order, others beside it", async (t) => {
    const { open, passed } = gate();
    const order = [];
    const agent = async (ctx) => {
      order.push(`+${ctx.message.rawBody}`);
      if (ctx.message.rawBody === "a1") await passed;
      order.push(`-${ctx.message.rawBody}`);
    };
    const { gateway } = await pair(t, { agent });
    const first = post(gateway, text("a1", { from: "a" }), { id: "1" });
    while (order.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    const second = post(gateway, text("a2", { from: "a" }), { id: "2" });
    await post(gateway, text("b1", { from: "b" }), { id: "3" });
    open();
    await Promise.all([first, second]);
    assert.deepEqual(order, ["+a1", "+b1", "-b1", "-a1", "+a2", "-a2"]);
  });

  test("ack accepted: the answer comes before the turn ends", async (t) => {
    const { open, passed } = gate();
    const agent = async (ctx, deliver) => {
      await passed;
      await deliver({ text: "later" });
    };
    const { relay, gateway } = await pair(t, { agent, section: { ack: "accepted" } });
    assert.deepEqual((await post(gateway, text("hello"), { id: "evt_1" })).body, { ok: true, accepted: true });
    assert.equal(relay.calls.length, 0);
    open();
    while (relay.sent.size < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual([...relay.sent.keys()], ["evt_1/1"]);
  });

  test("ack accepted: nothing is accepted while the account stops", async (t) => {
    const { open, passed } = gate();
    const { gateway } = await pair(t, { agent: () => passed, section: { ack: "accepted" } });
    await post(gateway, text("one"), { id: "evt_1" });
    while (gateway.turns.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    const stopped = gateway.stopAccount();
    assert.equal((await post(gateway, text("two"), { id: "evt_2" })).status, 503);
    open();
    await stopped;
  });

  test("without an event id the message's own id tells repeats, to the last digit", async (t) => {
    const { gateway } = await pair(t);
    for (const last of ["1", "2", "3", "4", "5", "5"]) {
      assert.equal((await post(gateway, text("hello", { newMsgId: `726541903881234567${last}` }))).status, 200);
    }
    assert.equal(gateway.turns.length, 5);
    for (let i = 0; i < 2; i++) await post(gateway, '{"from":"wxid_ann","text":"ok"}');
    assert.equal(gateway.turns.length, 7, "a message without any id is no repeat");
  });

  test("reply ids are exact", async (t) => {
    const { relay, gateway } = await pair(t);
    const ids = [0, 1, 2, 3, 4].map((n) => `726541903881234567${n}`);
    for (const id of ids) await post(gateway, text("hello", { newMsgId: id }), { id: `evt_${id}` });
    assert.deepEqual(relay.calls.map((c) => c.body.replyToMessageId), ids);
  });

  test("who may write", async (t) => {
    const { gateway } = await pair(t, { section: { dmPolicy: "allowlist", allowFrom: ["wxid_ann"] } });
    assert.deepEqual((await post(gateway, text("hello"), { id: "1" })).body, { ok: true, replies: 1 });
    assert.deepEqual((await post(gateway, text("hello", { from: "wxid_eve" }), { id: "2" })).body, { ok: true, ignored: "not_allowed" });
  });

  test("who may write in groups", async (t) => {
    const { gateway } = await pair(t, { section: { groupPolicy: "allowlist", allowFrom: ["ann"] } });
    const said = (sender) => post(gateway, { id: sender, from: sender, chat: "room", group: true, text: "hi" }, { id: sender });
    assert.deepEqual((await said("ann")).body, { ok: true, replies: 1 });
    assert.deepEqual((await said("eve")).body, { ok: true, ignored: "not_allowed" });
  });

  test("what starts no turn is taken all the same", async (t) => {
    const { gateway } = await pair(t, { section: { self: "wxid_robot" } });
    const rows = [
      [text("hello", { from: "wxid_robot" }), "self"],
      ['{"TypeName":"Offline","Wxid":"wxid_robot"}', "meta"],
      ['{"post_type":"meta_event","meta_event_type":"heartbeat"}', "meta"],
    ];
    for (const [body, ignored] of rows) assert.deepEqual((await post(gateway, body, { id: "e" })).body, { ok: true, ignored });
    assert.equal(gateway.turns.length, 0);
  });

  test("a body of several messages is done when all are", async (t) => {
    let fail = true;
    const agent = async (ctx, deliver) => {
      if (ctx.message.rawBody === "two" && fail) throw new Error("no");
      await deliver({ text: `re ${ctx.message.rawBody}` });
    };
    const { relay, gateway } = await pair(t, { agent });
    const body = '[{"id":"1","from":"a","text":"one"},{"id":"2","from":"b","text":"two"}]';
    assert.equal((await post(gateway, body, { id: "evt_1" })).status, 500);
    fail = false;
    assert.equal((await post(gateway, body, { id: "evt_1" })).status, 200);
    assert.deepEqual([...relay.sent.keys()], ["evt_1.0/1", "evt_1.1/1"]);
  });

  test("a reply that was not sent fails the turn; the next attempt sends it once", async (t) => {
    const { relay, gateway } = await pair(t, { script: [503, 503], section: { limits: { sendTries: 2 } } });
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 500);
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 200);
    assert.deepEqual([...relay.sent.keys()], ["evt_1/1"]);
  });

  test("a reply that is refused for good is final for the event too", async (t) => {
    const { gateway } = await pair(t, { script: [{ status: 502, body: { error: { code: "upstream_rejected" } } }] });
    const answer = await post(gateway, text("hello"), { id: "evt_1" });
    assert.deepEqual([answer.status, answer.body.error], [422, "reply_not_sent_upstream_rejected"]);
  });

  test("504 is not repeated, and the turn is done", async (t) => {
    const { relay, gateway } = await pair(t, { script: [{ status: 504, body: { error: { code: "delivery_unknown" } } }] });
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 200);
    assert.equal(relay.calls.length, 1);
  });

  test("a second run that words it differently sends nothing twice", async (t) => {
    let run = 0;
    const agent = async (ctx, deliver) => {
      await deliver({ text: `answer ${++run}` });
      if (run === 1) throw new Error("lost before its end");
    };
    const { relay, gateway } = await pair(t, { agent });
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 500);
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 200);
    assert.deepEqual([...relay.sent.values()].map((m) => m.text), ["answer 2"]);
  });

  test("a run that failed has sent nothing", async (t) => {
    let run = 0;
    const agent = async (ctx, deliver) => {
      if (++run === 1) {
        await deliver({ text: "Part one." }, "block");
        throw new Error("died");
      }
      await deliver({ text: "Part one. Part two: the actual answer." });
    };
    const { relay, gateway } = await pair(t, { agent });
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 500);
    assert.equal(relay.calls.length, 0);
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 200);
    assert.deepEqual(relay.calls.map((c) => c.body.text), ["Part one. Part two: the actual answer."]);
  });

  test("OpenClaw is told to send no blocks", async (t) => {
    const { gateway } = await pair(t);
    await post(gateway, text("hello"), { id: "evt_1" });
    assert.equal(gateway.plans[0].replyOptions.disableBlockStreaming, true);
  });

  test("after a reply that failed none is sent; the next attempt sends the same, without another run", async (t) => {
    const agent = async (ctx, deliver) => {
      for (const n of [1, 2, 3]) await deliver({ text: `${n} of run ${gateway.turns.length}` });
    };
    const { relay, gateway } = await pair(t, { agent, script: [200, 503], section: { limits: { sendTries: 1 } } });
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 500);
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 200);
    assert.deepEqual([...relay.sent.values()].map((m) => m.text), ["1 of run 1", "2 of run 1", "3 of run 1"]);
    assert.equal(gateway.turns.length, 1);
  });

  test("a restart in the middle of the replies: 503, and nothing was sent", async (t) => {
    const agent = async (ctx, deliver) => {
      await deliver({ text: "answer" });
      await deliver({ text: RESTARTING });
    };
    const { relay, gateway } = await pair(t, { agent });
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 503);
    assert.equal(relay.calls.length, 0);
  });

  test("who makes the agent speak of a restart gets what it says", async (t) => {
    const { relay, gateway } = await pair(t);
    const agentSays = (words) => post(gateway, text(words), { id: `evt_${words.length}` });
    assert.equal((await agentSays(`${RESTARTING} said Bob`)).status, 200);
    assert.equal(relay.sent.size, 1);
    const { gateway: parrot } = await pair(t, { agent: (ctx, deliver) => deliver({ text: RESTARTING }) });
    const statuses = [];
    for (let i = 0; i < 2; i++) statuses.push((await post(parrot, text("hello"), { id: "evt_1" })).status);
    assert.deepEqual(statuses, [503, 200]);
  });

  test("an account that is started again waits for what the last one left running", { timeout: 20_000 }, async (t) => {
    const { open, passed } = gate();
    const { relay, gateway } = await pair(t, { agent: async (ctx, deliver) => {
      await passed;
      await deliver({ text: `re ${ctx.message.rawBody}` });
    } });
    const first = post(gateway, text("one"), { id: "evt_1" });
    while (gateway.turns.length < 1) await sleep(5);
    await gateway.stopAccount();
    gateway.startAccount();
    while (gateway.status.at(-1).ready !== true) await sleep(5);
    const later = [post(gateway, text("one"), { id: "evt_1" }), post(gateway, text("two"), { id: "evt_2" })];
    await sleep(200); // lets them start, which they must not
    assert.equal(gateway.turns.length, 1);
    open();
    assert.deepEqual((await Promise.all([first, ...later])).map((a) => a.status), [200, 200, 200]);
    assert.deepEqual([...relay.sent.values()].map((m) => m.text), ["re one", "re two"]);
  });

  test("media go by their URLs, what only this machine can read does not", async (t) => {
    const agent = async (ctx, deliver) => {
      await deliver({ text: "look", mediaUrls: ["https://pics.example/a%20b.png?x=1", "/tmp/secret.png", "https://files.example/r.pdf"] });
      await deliver({ mediaUrl: "/tmp/only.png" });
    };
    const { relay, gateway } = await pair(t, { agent });
    assert.equal((await post(gateway, text("hello"), { id: "evt_1" })).status, 200);
    assert.deepEqual(relay.calls[0].body.media, [
      { type: "image", url: "https://pics.example/a%20b.png?x=1", name: "a b.png" },
      { type: "file", url: "https://files.example/r.pdf", name: "r.pdf" },
    ]);
    assert.equal(relay.calls[1].body.text, "[media]");
    assert.doesNotMatch(JSON.stringify(relay.calls.map((c) => c.body)), /\/tmp/);
  });

  test("the log tells why a turn failed, but does not quote the message", async (t) => {
    const { gateway } = await pair(t, { agent: (ctx) => { throw new Error(`no ${ctx.message.rawBody}`); } });
    await post(gateway, text(`a private word ${"x ".repeat(200)}`), { id: "evt_1" });
    const { gateway: other } = await pair(t, { agent: () => { throw Object.assign(new Error("a private word"), { code: "ENOSPC" }); } });
    await post(other, text("a private word"), { id: "evt_1" });
    assert.doesNotMatch(gateway.log.join("\n"), /private/);
    assert.doesNotMatch(other.log.join("\n"), /private/);
    assert.match(other.log.join("\n"), /event=evt_1 reason=turn_failed .*cause="Error ENOSPC"/);
  });

  test("no secret, token, signature or text is logged", async (t) => {
    const { gateway } = await pair(t, { script: [401] });
    await post(gateway, text("a private word"), { id: "evt_1" });
    await post(gateway, text("a private word"), { id: "evt_2" });
    await post(gateway, text("a private word"), { id: "evt_3", secret: "wrong" });
    assert.ok(gateway.log.length >= 2);
    assert.doesNotMatch(gateway.log.join("\n"), /private word|test-secret|test-bot|sha256=/);
  });
});

/** Posts and hangs up when all is written. */
function leave(gateway, body, id) {
  const head = `POST / HTTP/1.1\r\nhost: x\r\nx-relay-event-id: ${id}\r\nx-wechat-abot-signature: ${sign(SECRET, body)}`;
  return new Promise((resolve) => {
    const socket = connect(gateway.port, "127.0.0.1");
    socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () => setTimeout(() => socket.destroy(), 50));
    socket.on("error", () => {});
    socket.on("close", resolve);
  });
}

/** Writes raw parts to the gateway's socket and returns what comes back until it closes. */
function raw(gateway, parts) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    const socket = connect(gateway.port, "127.0.0.1", () => parts.forEach((part) => socket.write(part)));
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", reject);
    socket.on("close", () => resolve(Buffer.concat(chunks).toString("utf8")));
  });
}
