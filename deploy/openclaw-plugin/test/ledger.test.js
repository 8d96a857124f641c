import assert from "node:assert/strict";
import { appendFile, mkdir, mkdtemp, readFile, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Ledger } from "../src/ledger.js";

async function folderOf(t) {
  const folder = await mkdtemp(join(tmpdir(), "ledger-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test("work is done once; a repeat meanwhile gets its outcome", async () => {
  const ledger = new Ledger({ remembered: 10 });
  let runs = 0;
  let end;
  const work = () => new Promise((resolve) => {
    runs++;
    end = () => resolve("made");
  });
  const all = [ledger.run("a", work), ledger.run("a", work), ledger.run("a", work)];
  end();
  assert.deepEqual(await Promise.all(all), [
    { duplicate: false, outcome: "made" }, { duplicate: true, outcome: "made" }, { duplicate: true, outcome: "made" },
  ]);
  assert.deepEqual(await ledger.run("a", work), { duplicate: true });
  assert.equal(runs, 1);
});

test("failed work is not done, and all who waited hear of it", async () => {
  const ledger = new Ledger({ remembered: 10 });
  const fail = async () => {
    throw new Error("no");
  };
  const results = await Promise.allSettled([ledger.run("a", fail), ledger.run("a", fail)]);
  assert.deepEqual(results.map((r) => r.reason?.message), ["no", "no"]);
  assert.equal(ledger.isDone("a"), false);
  assert.deepEqual(await ledger.run("a", async () => "yes"), { duplicate: false, outcome: "yes" });
});

test("the oldest keys are forgotten", async () => {
  const ledger = new Ledger({ remembered: 3 });
  for (const key of ["a", "b", "c", "d"]) await ledger.run(key, async () => {});
  assert.deepEqual(["a", "b", "c", "d"].map((key) => ledger.isDone(key)), [false, true, true, true]);
});

test("done keys outlive the process, torn lines do not count", async (t) => {
  const file = join(await folderOf(t), "state", "done");
  const first = new Ledger({ remembered: 10 });
  await first.open(file);
  await first.run('msg:["a","b\n","c"]', async () => {});
  await first.run("evt_1", async () => {});
  await appendFile(file, "evt_torn");
  const second = new Ledger({ remembered: 10 });
  await second.open(file);
  assert.deepEqual(['msg:["a","b\n","c"]', "evt_1", "evt_torn"].map((key) => second.isDone(key)), [true, true, false]);
});

test("the file stays small", async (t) => {
  const file = join(await folderOf(t), "done");
  const ledger = new Ledger({ remembered: 5 });
  await ledger.open(file);
  for (let i = 0; i < 40; i++) await ledger.run(`evt_${i}`, async () => {});
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
  assert.ok(lines.length <= 11, `got ${lines.length} lines`);
  assert.equal(lines.at(-1), "evt_39");
});

test("a file that cannot be written costs a warning, not a turn", async (t) => {
  const folder = await folderOf(t);
  const warnings = [];
  const ledger = new Ledger({ remembered: 5, warn: (line) => warnings.push(line) });
  await ledger.open(folder); // a folder is no file
  assert.deepEqual(await ledger.run("a", async () => "made"), { duplicate: false, outcome: "made" });
  assert.deepEqual(await ledger.run("a", async () => "made"), { duplicate: true });
  assert.equal(warnings.length, 1);
});

test("one bad line does not cost the rest", async (t) => {
  const file = join(await folderOf(t), "done");
  await writeFile(file, "a\n%zz\n\nb\n");
  for (let i = 0; i < 2; i++) {
    const ledger = new Ledger({ remembered: 10, warn: assert.fail });
    await ledger.open(file);
    await ledger.run("c", async () => {});
    assert.deepEqual(["a", "b", "c", "%zz", ""].map((key) => ledger.isDone(key)), [true, true, true, false, false]);
  }
});

test("a write that failed is made up for by the next", async (t) => {
  const folder = await folderOf(t);
  const file = join(folder, "done");
  const warnings = [];
  const first = new Ledger({ remembered: 10, warn: (line) => warnings.push(line) });
  await first.open(file);
  await first.run("a", async () => {});
  await rename(file, `${file}.aside`);
  await mkdir(file); // a folder cannot be appended to
  await first.run("b", async () => {});
  await first.run("b2", async () => {});
  assert.equal(warnings.length, 1);
  await rmdir(file);
  await first.run("c", async () => {});
  const second = new Ledger({ remembered: 10 });
  await second.open(file);
  assert.deepEqual(["a", "b", "b2", "c"].map((key) => second.isDone(key)), [true, true, true, true]);
});

test("only its owner can read the file", async (t) => {
  const file = join(await folderOf(t), "state", "done");
  const ledger = new Ledger({ remembered: 2 });
  for (const key of ["a", "b", "c", "d", "e", "f"]) {
    if (key === "a") await ledger.open(file);
    await ledger.run(key, async () => {});
    assert.equal((await stat(file)).mode & 0o777, 0o600, key);
  }
});

test("fewer keys are remembered from now on", async () => {
  const ledger = new Ledger({ remembered: 10 });
  for (const key of ["a", "b", "c"]) await ledger.run(key, async () => {});
  ledger.remember(2);
  await ledger.run("d", async () => {});
  assert.deepEqual(["a", "b", "c", "d"].map((key) => ledger.isDone(key)), [false, false, true, true]);
});
