import { readFileSync } from "node:fs";
import type { Plugin } from "esbuild";

const readText = /readFileSync\(new URL\(("[^"]+"), import\.meta\.url\), "utf8"\)/g;
const loader = /^const load = createRequire\(import\.meta\.url\);$/m;
const loaded = /\bload\(("[^"]+")\)/g;

/**
 * What our sources do that a bundle does otherwise: texts beside a source are carried, and libraries that a source loads by
 * `createRequire()`, when they are needed, are taken in: those of `loadedLater` as pieces of their own.
 */
export function ourSources(
  root: string,
  replaced: ReadonlyMap<string, string>,
  loadedLater: readonly string[],
): Plugin {
  const pieces = new Map(
    loadedLater.map((name) => [JSON.stringify(name), `require("./lib-${name}.js").default`]),
  );
  return {
    name: "our-sources",
    setup(plugin) {
      plugin.onResolve({ filter: /^\.\/lib-.*\.js$/ }, ({ path }) => ({ path, external: true }));
      plugin.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!path.startsWith(root) || path.includes("/node_modules/")) return undefined;
        const source = replaced.get(path) ?? readFileSync(path, "utf8");
        const withTexts = source.replaceAll(readText, (_, url: string) =>
          JSON.stringify(readFileSync(new URL(JSON.parse(url) as string, `file://${path}`), "utf8")),
        );
        const contents = loader.test(withTexts)
          ? withTexts
              .replace(loader, "")
              .replaceAll(loaded, (_, name: string) => pieces.get(name) ?? `require(${name})`)
          : withTexts;
        return { contents, loader: "ts" };
      });
    },
  };
}
