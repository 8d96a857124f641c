/**
 * Which events are done, and which are being worked on. An event is done only when its turn has succeeded; a repeat of one
 * that is being worked on gets that one's outcome. Done keys are remembered up to a number, oldest forgotten first, and
 * kept in an append-only file, so that an answer lost in a restart does not make the turn run again. The file is a help
 * and no promise: if it cannot be written, the keys are in memory only.
 */

import { appendFile, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

export class Ledger {
  #done = new Set();
  #running = new Map();
  #remembered;
  #file = "";
  #lines = 0;
  #write = Promise.resolve();
  #warn;

  constructor({ remembered, warn = () => {} }) {
    this.#remembered = remembered;
    this.#warn = warn;
  }

  /** Takes over the keys of a file, and writes new ones to it from now on. */
  async open(file) {
    this.#file = file;
    try {
      const keys = (await readFile(file, "utf8")).split("\n").slice(0, -1); // a torn last line is no key
      for (const key of keys.slice(-this.#remembered)) this.#done.add(decodeURIComponent(key));
      await this.#rewrite();
    } catch (error) {
      if (error.code === "ENOENT") return this.#prepare();
      this.#fail(error);
    }
  }

  /**
   * Runs work for a key, unless it is done or running. Returns {outcome, duplicate}; rejects as the work does, and then
   * the key is free again.
   */
  async run(key, work) {
    if (this.#done.has(key)) return { duplicate: true };
    const running = this.#running.get(key);
    if (running) return { duplicate: true, outcome: await running };
    const promise = this.#finish(key, work);
    this.#running.set(key, promise);
    try {
      return { duplicate: false, outcome: await promise };
    } finally {
      this.#running.delete(key);
    }
  }

  /** Says whether a key is done. */
  isDone(key) {
    return this.#done.has(key);
  }

  async #finish(key, work) {
    const outcome = await work();
    this.#done.add(key);
    if (this.#done.size > this.#remembered) this.#done.delete(this.#done.values().next().value);
    await this.#append(key);
    return outcome;
  }

  #append(key) {
    if (this.#file === "") return undefined;
    this.#write = this.#write.then(async () => {
      await appendFile(this.#file, `${encodeURIComponent(key)}\n`, { mode: 0o600 });
      if (++this.#lines > 2 * this.#remembered) await this.#rewrite();
    }).catch((error) => this.#fail(error));
    return this.#write;
  }

  /** Leaves only the remembered keys in the file. */
  async #rewrite() {
    const lines = [...this.#done].map((key) => `${encodeURIComponent(key)}\n`);
    await writeFile(`${this.#file}.new`, lines.join(""), { mode: 0o600 });
    await rename(`${this.#file}.new`, this.#file);
    this.#lines = lines.length;
  }

  async #prepare() {
    await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 }).catch((error) => this.#fail(error));
  }

  #fail(error) {
    this.#warn(`done events are kept in memory only: ${error.code ?? error.name}`);
    this.#file = "";
  }
}
