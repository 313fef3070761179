#!/usr/bin/env node
// Plain JavaScript: outside npm scripts the system's Node runs this file, and it may be too old for anything else.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { becomeNode, findNode, isNewEnough } from "./node24.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const source = join(root, "cli", "main.ts");
const main = existsSync(source) ? source : join(root, "dist", "cli", "main.js");

if (isNewEnough()) {
  await import(pathToFileURL(main).href);
} else {
  const node = findNode(root);
  if (node === undefined) {
    process.stderr.write(
      `fleetctl needs Node 24, and this is ${process.version}: run \`npm ci\` in ${root}, which brings it along\n`,
    );
    process.exitCode = 2;
  } else {
    becomeNode(node, [main, ...process.argv.slice(2)]);
  }
}
