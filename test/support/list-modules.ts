/** Preloaded into a process: writes what it loads from packages to the file that LOADED_MODULES names, when it ends. */
import { writeFileSync } from "node:fs";
import { registerHooks } from "node:module";

const packages = new Set<string>();
registerHooks({
  load(url, context, next) {
    const [, inside] = /\/node_modules\/(.+)$/.exec(url) ?? [];
    if (inside !== undefined) packages.add(inside);
    return next(url, context);
  },
});
process.on("exit", () => {
  const file = process.env["LOADED_MODULES"];
  if (file !== undefined) writeFileSync(file, [...packages].toSorted().join("\n"));
});
