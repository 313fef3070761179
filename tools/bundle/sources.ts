import { readFileSync } from "node:fs";
import type { Plugin } from "esbuild";

const readText = /readFileSync\(new URL\(("[^"]+"), import\.meta\.url\), "utf8"\)/g;
const loader = /^const load = createRequire\(import\.meta\.url\);$/m;
const loaded = /\bload\(("[^"]+")\)/g;

/**
 * What our sources do that a bundle does otherwise: texts beside a source are carried, and libraries that a source loads by
 * `createRequire()`, when they are needed, are taken in.
 */
export function ourSources(root: string, replaced: ReadonlyMap<string, string>): Plugin {
  return {
    name: "our-sources",
    setup(plugin) {
      plugin.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!path.startsWith(root) || path.includes("/node_modules/")) return undefined;
        const source = replaced.get(path) ?? readFileSync(path, "utf8");
        const withTexts = source.replaceAll(readText, (_, url: string) =>
          JSON.stringify(readFileSync(new URL(JSON.parse(url) as string, `file://${path}`), "utf8")),
        );
        const contents = loader.test(withTexts)
          ? withTexts.replace(loader, "").replaceAll(loaded, "require($1)")
          : withTexts;
        return { contents, loader: "ts" };
      });
    },
  };
}
