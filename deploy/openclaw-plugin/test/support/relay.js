/** A relay that is played, as unkind as a real one can be. It keeps the promise about keys: one message for each. */

import { createServer } from "node:http";

/**
 * Starts a relay. `script` are the answers of the first calls, then all is well: a number (a status), an object
 * {status, body, headers}, "hangup" (closes without a byte), "lost" (sends the message and closes), "mute" (never
 * answers), "garbage" (200, no JSON).
 */
export async function startRelay(t, script = []) {
  const relay = { calls: [], sent: new Map(), script: [...script] };
  const server = createServer(async (req, res) => {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    const call = { path: req.url, headers: req.headers, body, at: Date.now() };
    relay.calls.push(call);
    answer(relay, call, res);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  relay.port = server.address().port;
  relay.apiBase = `http://127.0.0.1:${relay.port}/api`;
  relay.close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  t.after(relay.close);
  return relay;
}

function answer(relay, call, res) {
  const act = relay.script.shift() ?? 200;
  if (act === "hangup") return res.destroy();
  if (act === "mute") return undefined;
  if (act === "garbage") return write(res, 200, {}, "<html>");
  if (typeof act === "number" && act !== 200) return write(res, act, {}, JSON.stringify({ error: { code: `code_${act}` } }));
  if (typeof act === "object") return write(res, act.status, act.headers ?? {}, JSON.stringify(act.body ?? {}));
  const result = send(relay, call);
  if (act === "lost") return res.destroy();
  return write(res, result.status, {}, JSON.stringify(result.body));
}

/** The same key and the same body is the same message; another body is refused. */
function send(relay, { headers, body }) {
  const key = headers["idempotency-key"];
  const known = relay.sent.get(key);
  if (known && known.text !== body.text) return { status: 422, body: { error: { code: "idempotency_key_reused" } } };
  if (!known) relay.sent.set(key, { ...body, messageId: `out-${relay.sent.size + 1}` });
  return { status: 200, body: { messageId: relay.sent.get(key).messageId } };
}

function write(res, status, headers, body) {
  res.writeHead(status, { "content-type": "application/json", ...headers });
  res.end(body);
}
