/** The two ends that are played: the model, and the IM server that the relay sends through. */

import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

async function jsonOf(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}

async function listening(handler) {
  const server = createServer((req, res) => handler(req, res).catch(() => res.destroy()));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

/**
 * An OpenAI-compatible model that streams. To a message with "marker X" it answers "echo X", so that each reply can be
 * traced to its message. `runs` counts the answers by marker; `delayMs` is how long it thinks.
 */
export async function startModel() {
  const model = { runs: new Map(), delayMs: 0, failing: new Set() };
  const { server, url } = await listening(async (req, res) => {
    if (req.method !== "POST") return json(res, 200, { object: "list", data: [{ id: "stub", object: "model" }] });
    const body = await jsonOf(req);
    const marker = markerOf(body.messages);
    model.runs.set(marker, (model.runs.get(marker) ?? 0) + 1);
    await sleep(model.delayMs);
    if (model.failing.has(marker)) return json(res, 400, { error: { message: "played failure", type: "invalid_request" } });
    return body.stream ? stream(res, `echo ${marker}`) : json(res, 200, completion(`echo ${marker}`));
  });
  model.url = `${url}/v1`;
  model.close = () => close(server);
  return model;
}

/** The last marker of what the user said; OpenClaw adds messages of its own in the user's name behind it. */
function markerOf(messages) {
  const said = messages.filter((m) => m.role === "user").map((m) => JSON.stringify(m.content ?? "")).join("\n");
  return [...said.matchAll(/marker ([\w-]+)/g)].at(-1)?.[1] ?? "none";
}

const USAGE = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };

function completion(content) {
  const choice = { index: 0, message: { role: "assistant", content }, finish_reason: "stop" };
  return { id: "c", object: "chat.completion", choices: [choice], usage: USAGE };
}

function stream(res, content) {
  res.writeHead(200, { "content-type": "text/event-stream" });
  const chunk = (choices, extra = {}) => {
    res.write(`data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", model: "stub", choices, ...extra })}\n\n`);
  };
  chunk([{ index: 0, delta: { role: "assistant", content }, finish_reason: null }]);
  chunk([{ index: 0, delta: {}, finish_reason: "stop" }]);
  chunk([], { usage: USAGE });
  res.end("data: [DONE]\n\n");
}

/** An IM server that takes sends and keeps them. */
export async function startIM() {
  const im = { sent: [] };
  const { server, url } = await listening(async (req, res) => {
    im.sent.push(await jsonOf(req));
    return json(res, 200, { messageId: `im-${im.sent.length}` });
  });
  im.url = url;
  im.close = () => close(server);
  return im;
}

function json(res, status, body) {
  res.writeHead(status, { "content-type": "application/json" });
  res.end(JSON.stringify(body));
}

function close(server) {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
}
