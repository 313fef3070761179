import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { builtThreads } from "./test-threads.ts";

/**
 * Loaded into the process of a test file and its workers: has our sources take packages from the packed files that `FALCONRY_TEST_PACKAGES`
 * lists (`packed-packages.ts`), and finds sources beside each other without looking for what else the name could mean. A thread of ours begins
 * with the built program that it is a part of, where there is one: it loads in a fraction of the time.
 */
const list = process.env["FALCONRY_TEST_PACKAGES"];

if (list !== undefined) {
  const listed = JSON.parse(readFileSync(list, "utf8")) as Readonly<Record<string, string>>;
  const packed = new Map(Object.entries(listed).map(([name, path]) => [name, pathToFileURL(path).href]));
  const ours = pathToFileURL(join(import.meta.dirname, "..", "/")).href;
  const theirs = `${ours}node_modules/`;
  const built = process.env["FALCONRY_TEST_BUILT"];
  const threads = new Map(
    [...(built === undefined ? [] : builtThreads(built))].map(([source, path]) => [
      `${ours}${source}`,
      pathToFileURL(path).href,
    ]),
  );
  registerHooks({
    resolve(name, context, next) {
      const from = context.parentURL;
      const thread = from === undefined ? threads.get(name) : undefined;
      if (thread !== undefined) return { url: thread, format: "commonjs", shortCircuit: true };
      if (from === undefined || !from.startsWith(ours) || from.startsWith(theirs)) return next(name, context);
      if (name.startsWith(".") && name.endsWith(".ts")) {
        return { url: new URL(name, from).href, format: "module-typescript", shortCircuit: true };
      }
      const url = packed.get(name);
      return url === undefined ? next(name, context) : { url, format: "module", shortCircuit: true };
    },
  });
}
