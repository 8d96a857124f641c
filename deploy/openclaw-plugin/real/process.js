/** Programs that the run starts, and ends by their process id. */

import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A program in a process group of its own, its output in a file. */
export class Program {
  constructor(command, args, { env, cwd, log }) {
    const out = createWriteStream(log, { flags: "a" });
    this.child = spawn(command, args, { env, cwd, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout.pipe(out, { end: false });
    this.child.stderr.pipe(out, { end: false });
    this.exited = new Promise((resolve) => {
      this.child.once("error", resolve);
      this.child.once("exit", resolve);
    });
  }

  get isRunning() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Ends the program: politely, and after graceMs for good, with whatever it has started in its group. */
  async stop(signal = "SIGTERM", graceMs = 30_000) {
    if (this.isRunning) this.child.kill(signal);
    await Promise.race([this.exited, sleep(graceMs, undefined, { ref: false })]);
    try {
      process.kill(-this.child.pid, "SIGKILL");
    } catch {
      // nothing of the group is left
    }
    await this.exited;
  }
}

/** A port that is free now. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Polls until check() is true, and fails with what was waited for. */
export async function until(what, check, ms = 120_000) {
  const end = Date.now() + ms;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`waited ${ms / 1000} s for ${what}`);
    await sleep(100);
  }
}
