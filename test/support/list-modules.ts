/**
 * Preloaded into a process: writes what it loads to the file that LOADED_MODULES names, when it ends: files of packages as `package/path`, our own as
 * `./path`, and Node's modules as `node:path`.
 */
import { writeFileSync } from "node:fs";
import { registerHooks } from "node:module";

const root = new URL("../../", import.meta.url).href;
const loaded = new Set<string>();
registerHooks({
  load(url, context, next) {
    const [, inside] = /\/node_modules\/(.+)$/.exec(url) ?? [];
    if (inside !== undefined) loaded.add(inside);
    else if (url.startsWith(root)) loaded.add(`./${url.slice(root.length)}`);
    return next(url, context);
  },
});
const nodes = (): readonly string[] =>
  (process as unknown as { readonly moduleLoadList: readonly string[] }).moduleLoadList;
const before = new Set(nodes());
process.on("exit", () => {
  const file = process.env["LOADED_MODULES"];
  if (file === undefined) return;
  for (const name of nodes()) if (!before.has(name)) loaded.add(name.replace(/^NativeModule /, "node:"));
  writeFileSync(file, [...loaded].toSorted().join("\n"));
});
