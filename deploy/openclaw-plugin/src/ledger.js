/**
 * Which events are done, and which are being worked on. An event is done only when its turn has succeeded; a repeat of one
 * that is being worked on gets that one's outcome. Done keys are remembered up to a number, oldest forgotten first, and
 * kept in an append-only file, so that an answer lost in a restart does not make the turn run again. The file is a help
 * and no promise: while it cannot be written, the keys are in memory only.
 */

import { appendFile, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

export class Ledger {
  #done = new Set();
  #running = new Map();
  #remembered;
  #file = "";
  #lines = 0;
  #isBehind = true;
  #isWarned = false;
  #isLoaded = false;
  #write = Promise.resolve();
  #warn;

  constructor({ remembered, warn = () => {} }) {
    this.#remembered = remembered;
    this.#warn = warn;
  }

  /** Takes over the keys of a file, and writes new ones to it from now on. */
  async open(file) {
    this.#file = file;
    await this.#save(() => this.#rewrite());
  }

  /** Changes how many keys are remembered. */
  remember(number) {
    this.#remembered = number;
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
    this.#forget();
    if (this.#file !== "") await this.#append(key);
    return outcome;
  }

  #forget() {
    for (const key of this.#done) {
      if (this.#done.size <= this.#remembered) return;
      this.#done.delete(key);
    }
  }

  #append(key) {
    this.#write = this.#write.then(() => this.#save(async () => {
      if (this.#isBehind || this.#lines >= 2 * this.#remembered) return this.#rewrite();
      await appendFile(this.#file, `${encodeURIComponent(key)}\n`, { mode: 0o600 });
      this.#lines++;
    }));
    return this.#write;
  }

  /** A write that failed costs a warning, and is made up for by the next one. */
  async #save(write) {
    try {
      await write();
      this.#isBehind = false;
      this.#isWarned = false;
    } catch (error) {
      if (!this.#isWarned) this.#warn(`done events are kept in memory only: ${error.code ?? error.name}`);
      this.#isBehind = true;
      this.#isWarned = true;
    }
  }

  /** Leaves only the remembered keys in the file. What it holds is read first, until that has succeeded once. */
  async #rewrite() {
    if (!this.#isLoaded) await this.#load();
    const lines = [...this.#done].map((key) => `${encodeURIComponent(key)}\n`);
    await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
    await writeFile(`${this.#file}.new`, lines.join(""), { mode: 0o600 });
    await rename(`${this.#file}.new`, this.#file);
    this.#lines = lines.length;
  }

  async #load() {
    const keys = (await linesOf(this.#file)).map(decoded).filter((key) => key !== "");
    this.#done = new Set([...keys, ...this.#done]);
    this.#forget();
    this.#isLoaded = true;
  }
}

/** The whole lines of a file, none if there is no file. A torn last line is no key. */
async function linesOf(file) {
  try {
    return (await readFile(file, "utf8")).split("\n").slice(0, -1);
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

/** The key of a line, "" if it is none. */
function decoded(line) {
  try {
    return decodeURIComponent(line);
  } catch {
    return "";
  }
}
