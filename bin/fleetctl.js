#!/usr/bin/env node
// Plain JavaScript: outside npm scripts the system's Node runs this file, and it may be too old for anything else.
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { becomeNode, findNode, isNewEnough } from "./node24.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

if (isNewEnough()) {
  const load = (name) => import(pathToFileURL(join(root, "cli", name)).href);
  (await load("compile-cache.ts")).keepCompiled(process.env);
  await load("main.ts");
} else {
  const node = findNode(root);
  if (node === undefined) {
    process.stderr.write(
      `fleetctl needs Node 24, and this is ${process.version}: run \`npm ci\` in ${root}, which brings it along\n`,
    );
    process.exitCode = 2;
  } else {
    // This file again, on the Node that can run the rest.
    becomeNode(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)]);
  }
}
