/**
 * The plugin in a real OpenClaw, behind a real imrelay: node --test real/openclaw.real.js
 *
 * IMRELAY is the relay's binary. OPENCLAW_DIR is a folder that has OpenClaw in its node_modules; without it one is
 * installed from npm (650 MB) and removed afterwards. KEEP=1 keeps the folder with the logs.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { installed } from "./install.js";
import { until } from "./process.js";
import { BOT, Rig } from "./rig.js";

const MINUTES = 60_000;
const folder = mkdtempSync(join(tmpdir(), "imrelay-openclaw-"));
let rig;

before(async () => {
  assert.ok(process.env.IMRELAY, "IMRELAY names no binary");
  rig = new Rig({ openclaw: installed(folder), imrelay: process.env.IMRELAY, folder });
  await rig.start();
}, { timeout: 15 * MINUTES });

after(async () => {
  await rig?.stop();
  if (process.env.KEEP) console.log(`kept ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}, { timeout: 2 * MINUTES });

/** `count` messages of some people, whose ids differ in digits that a float64 does not hold. */
function messages(name, count, people = 5) {
  const base = 7265419038812340000n + BigInt([...name].reduce((sum, c) => sum * 31 + c.charCodeAt(0), 7) % 5000) * 1000n;
  return Array.from({ length: count }, (_, i) => {
    const [marker, id, from] = [`${name}-${i}`, String(base + BigInt(i)), `wxid_${name}_${i % people}`];
    const content = { Content: { string: `hello, marker ${marker}` }, MsgType: 1, NewMsgId: "@" };
    const data = { FromUserName: { string: from }, ToUserName: { string: BOT }, ...content };
    const body = JSON.stringify({ TypeName: "AddMsg", Appid: "wx_app", Wxid: BOT, Data: data }).replace('"@"', id);
    return { marker, id, from, body };
  });
}

function repliesTo(name) {
  return rig.im.sent.filter((m) => String(m.text).startsWith(`echo ${name}-`));
}

/** Every message has exactly one reply: the right one, to the right person, to the right message. */
function assertAnswered(name, all) {
  const got = repliesTo(name).map((m) => `${m.text} to ${m.to} on ${m.replyToMessageId}`).sort();
  const want = all.map((m) => `echo ${m.marker} to ${m.from} on ${m.id}`).sort();
  assert.deepEqual(got, want);
}

/** Posts until the plugin takes the event. Returns the statuses. */
async function postUntilTaken(event, body) {
  const statuses = [];
  for (;;) {
    const status = await rig.post(event, body);
    statuses.push(status);
    if (status === 200) return statuses;
    await sleep(500);
  }
}

test("20 messages sent twice each get 20 replies, each to its message", { timeout: 5 * MINUTES }, async () => {
  const all = messages("twice", 20);
  const statuses = await Promise.all(all.flatMap((m) => [1, 2].map(() => postUntilTaken(`evt_${m.marker}`, m.body))));
  console.log(`sent twice: ${tally(statuses.flat())}`);
  assertAnswered("twice", all);
});

test("20 messages pushed twice each through imrelay get 20 replies", { timeout: 5 * MINUTES }, async () => {
  const all = messages("pushed", 20);
  const answers = [];
  for (const m of all) answers.push(await rig.push(m.body), await rig.push(m.body));
  assert.equal(answers.filter((a) => a.body.duplicate).length, 20);
  await until("20 replies", () => repliesTo("pushed").length >= 20);
  await sleep(2000); // would show a reply too many
  assertAnswered("pushed", all);
});

test("a wrong signature is refused with 401", { timeout: MINUTES }, async () => {
  const [m] = messages("forged", 1);
  assert.equal(await rig.post("evt_forged", m.body, "not-the-secret"), 401);
  assert.equal(rig.model.runs.has(m.marker), false);
});

test("a group's message is answered in the group, a command like any message", { timeout: 3 * MINUTES }, async () => {
  const [m] = messages("group", 1);
  const inRoom = m.body.replace(`"string":"${m.from}"`, '"string":"39284750116@chatroom"').replace('"hello', `"${m.from}:\\nhello`);
  assert.deepEqual((await postUntilTaken("evt_group", inRoom)).at(-1), 200);
  assertAnswered("group", [{ ...m, from: "39284750116@chatroom" }]);
  const [command] = messages("command", 1);
  await postUntilTaken("evt_command", command.body.replace(`hello, marker ${command.marker}`, "/new"));
  const [answer] = rig.im.sent.filter((s) => s.to === command.from);
  assert.match(answer.text, /session/i);
});

test("what OpenClaw sends by itself goes out once, media by their URL", { timeout: 3 * MINUTES }, async () => {
  await rig.send("wxid_own", "good morning");
  await rig.send("wxid_own", "look", "https://pics.example/cat.jpg");
  const sent = rig.im.sent.filter((m) => m.to === "wxid_own").map(({ text, media }) => ({ text, media }));
  const media = [{ type: "image", url: "https://pics.example/cat.jpg", name: "cat.jpg" }];
  assert.deepEqual(sent, [{ text: "good morning", media: undefined }, { text: "look", media }]);
});

test("a turn that failed is answered 500, and runs again", { timeout: 3 * MINUTES }, async () => {
  const [m] = messages("failing", 1);
  rig.model.failing.add(m.marker);
  assert.equal(await rig.post("evt_failing", m.body), 500);
  rig.model.failing.clear();
  assert.deepEqual(repliesTo("failing"), []);
  assert.equal(await rig.post("evt_failing", m.body), 200);
  assertAnswered("failing", [m]);
});

for (const signal of ["SIGTERM", "SIGKILL"]) {
  const title = `OpenClaw ended by ${signal} under load and started again loses nothing that it had not acknowledged`;
  test(title, { timeout: 10 * MINUTES }, async () => {
    const name = `direct${signal}`;
    const all = messages(name, 24);
    rig.model.delayMs = 600;
    const posting = all.map((m) => postUntilTaken(`evt_${m.marker}`, m.body));
    await until("some replies", () => repliesTo(name).length >= 4);
    await rig.gateway.stop(signal, 5 * MINUTES);
    const before = repliesTo(name).length;
    const ready = await rig.startGateway();
    const statuses = (await Promise.all(posting)).flat();
    rig.model.delayMs = 0;
    await sleep(10_000); // OpenClaw resumes interrupted turns by itself a few seconds after its start
    console.log(`${signal}: ${before} of 24 answered before the end, ready after ${ready} ms, ${tally(statuses)}`);
    assertAnswered(name, all);
  });

  test(`with imrelay in front nothing is lost or doubled by ${signal}`, { timeout: 10 * MINUTES }, async () => {
    const name = `relayed${signal}`;
    const all = messages(name, 40);
    rig.model.delayMs = 600;
    for (const m of all) await rig.push(m.body);
    await until("some replies", () => repliesTo(name).length >= 4);
    await rig.gateway.stop(signal, 5 * MINUTES);
    const before = repliesTo(name).length;
    const ready = await rig.startGateway();
    await until("40 replies", () => new Set(repliesTo(name).map((r) => r.text)).size === 40, 5 * MINUTES);
    rig.model.delayMs = 0;
    await sleep(10_000);
    console.log(`${signal}: ${before} of 40 answered before the end, ready after ${ready} ms`);
    assertAnswered(name, all);
  });
}

function tally(statuses) {
  const counts = new Map();
  for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => `${count} x ${status}`).join(", ");
}
