import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { Sender, SendError } from "../src/send.js";
import { LIMITS } from "../src/settings.js";
import { startRelay } from "./support/relay.js";

const MESSAGE = { to: "wxid_ann", text: "hi", replyToMessageId: "5203948571029384756" };

function senderFor(relay, limits = {}) {
  return new Sender({ apiBase: relay.apiBase, botToken: "bt", limits: { ...LIMITS, ...limits } });
}

describe("sending", { concurrency: true }, () => {
  test("a message goes out as the relay wants it", async (t) => {
    const relay = await startRelay(t);
    assert.deepEqual(await senderFor(relay).send("evt_1/1", MESSAGE), { messageId: "out-1", outcome: "sent" });
    const [call] = relay.calls;
    assert.equal(call.path, "/api/messages/send");
    assert.equal(call.headers.authorization, "Bearer bt");
    assert.equal(call.headers["content-type"], "application/json");
    assert.equal(call.headers["idempotency-key"], "evt_1/1");
    assert.deepEqual(call.body, MESSAGE);
  });

  test("the event goes along where it can", async (t) => {
    const relay = await startRelay(t);
    let key = 0;
    for (const event of ["evt_1", "", "two words", "雨"]) await senderFor(relay).send(`k-${++key}`, MESSAGE, event);
    assert.deepEqual(relay.calls.map((c) => c.headers["x-relay-event-id"]), ["evt_1", undefined, undefined, undefined]);
  });

  const again = [
    { name: "429 with retry_after in the body", first: { status: 429, body: { retry_after: 1 } }, waits: 1000 },
    { name: "429 with the header", first: { status: 429, headers: { "retry-after": "1" } }, waits: 1000 },
    { name: "503 with the header", first: { status: 503, headers: { "retry-after": "1" } }, waits: 1000 },
    { name: "503 with a date", first: { status: 503, headers: { "retry-after": new Date(Date.now() + 3000).toUTCString() } }, waits: 900 },
    { name: "503 with garbage", first: { status: 503, headers: { "retry-after": "soon" } }, waits: 400 },
    { name: "409, still being sent", first: 409, waits: 400 },
    { name: "502 of a proxy", first: { status: 502, body: "no" }, waits: 400 },
    { name: "a hang-up", first: "hangup", waits: 400 },
    { name: "an answer that was lost", first: "lost", waits: 400 },
  ];
  for (const { name, first, waits } of again) {
    test(`${name} is tried again with the same key`, async (t) => {
      const relay = await startRelay(t, [first]);
      assert.deepEqual(await senderFor(relay).send("k", MESSAGE), { messageId: "out-1", outcome: "sent" });
      assert.deepEqual(relay.calls.map((c) => c.headers["idempotency-key"]), ["k", "k"]);
      const waited = relay.calls[1].at - relay.calls[0].at;
      assert.ok(waited >= waits, `waited ${waited} ms, want at least ${waits}`);
      assert.equal(relay.sent.size, 1);
    });
  }

  test("a refused connection is tried again", async (t) => {
    const port = await new Promise((resolve) => {
      const server = createServer().listen(0, "127.0.0.1", () => {
        const { port: free } = server.address();
        server.close(() => resolve(free));
      });
    });
    const sending = senderFor({ apiBase: `http://127.0.0.1:${port}` }).send("k", MESSAGE);
    const sent = [];
    const http = await import("node:http");
    const relay = http.createServer((req, res) => {
      sent.push(req.headers["idempotency-key"]);
      res.end('{"messageId":"m"}');
    });
    setTimeout(() => relay.listen(port, "127.0.0.1"), 200);
    t.after(() => relay.close());
    assert.deepEqual(await sending, { messageId: "m", outcome: "sent" });
    assert.deepEqual(sent, ["k"]);
  });

  const never = [
    { name: "400", first: 400, final: true },
    { name: "401", first: 401, final: false },
    { name: "403", first: 403, final: true },
    { name: "404", first: 404, final: false },
    { name: "413", first: 413, final: true },
    { name: "501", first: 501, final: true },
    { name: "the IM refuses", first: { status: 502, body: { error: { code: "upstream_rejected" } } }, final: true },
  ];
  for (const { name, first, final } of never) {
    test(`${name} is not tried again`, async (t) => {
      const relay = await startRelay(t, [first]);
      await assert.rejects(senderFor(relay).send("k", MESSAGE), (e) => e instanceof SendError && e.final === final);
      assert.equal(relay.calls.length, 1);
    });
  }

  test("504: nobody knows, and nobody asks again", async (t) => {
    const relay = await startRelay(t, [{ status: 504, body: { error: { code: "delivery_unknown" } } }]);
    assert.deepEqual(await senderFor(relay).send("k", MESSAGE), { messageId: "", outcome: "unknown" });
    assert.equal(relay.calls.length, 1);
  });

  test("a key that an earlier run used for another text counts as sent", async (t) => {
    const relay = await startRelay(t);
    await senderFor(relay).send("k", MESSAGE);
    assert.equal((await senderFor(relay).send("k", { ...MESSAGE, text: "other" })).outcome, "earlier");
    assert.equal(relay.sent.get("k").text, "hi");
  });

  test("a 200 that is no JSON is sent, without an id", async (t) => {
    const relay = await startRelay(t, ["garbage"]);
    assert.deepEqual(await senderFor(relay).send("k", MESSAGE), { messageId: "", outcome: "sent" });
  });

  test("the number of tries is bounded", async (t) => {
    const relay = await startRelay(t, [503, 503, 503, 503]);
    await assert.rejects(senderFor(relay, { sendTries: 2 }).send("k", MESSAGE), { code: "code_503", final: false });
    assert.equal(relay.calls.length, 2);
  });

  test("a wait beyond the time is not begun", async (t) => {
    const relay = await startRelay(t, [{ status: 429, body: { error: { code: "rate_limited" }, retry_after: 30 } }]);
    const started = Date.now();
    await assert.rejects(senderFor(relay, { sendSeconds: 5 }).send("k", MESSAGE), { code: "rate_limited" });
    assert.ok(Date.now() - started < 3000);
    assert.equal(relay.calls.length, 1);
  });

  test("an answer that never comes is waited for no longer than the time", async (t) => {
    const relay = await startRelay(t, ["mute"]);
    const started = Date.now();
    const sending = senderFor(relay, { sendSeconds: 0.5 }).send("k", MESSAGE);
    await assert.rejects(sending, { code: "TimeoutError", maybeSent: true });
    assert.ok(Date.now() - started < 3000);
  });

  test("what cannot be requested is not tried again", async (t) => {
    const relay = await startRelay(t, [{ status: 307, headers: { location: "/elsewhere" } }]);
    const started = Date.now();
    for (const apiBase of [relay.apiBase.replace("//", "//u:p@"), relay.apiBase]) {
      await assert.rejects(senderFor({ apiBase }).send("k", MESSAGE), { code: "unusable_request" });
    }
    assert.ok(Date.now() - started < 1000, "it was tried again");
    assert.equal(relay.calls.length, 1);
  });

  test("an error tells neither token nor text", async (t) => {
    const relay = await startRelay(t, [400]);
    const error = await senderFor(relay).send("k", { to: "a", text: "a private word" }).catch((e) => e);
    assert.doesNotMatch(`${error.stack}${JSON.stringify(error)}`, /bt\b|private word/);
  });
});
