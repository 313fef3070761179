import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "esbuild";

const h1 = /^import \* as https from "node:https";$/m;

/**
 * Gives Connect our `Headers` instead of Node's, with which Node loads all of its fetch, and Node's client for HTTPS without HTTP/2 when it is asked for, which
 * we never do.
 */
export function leanConnect(root: string): Plugin {
  const ours = JSON.stringify(join(root, "wire", "headers.ts"));
  return {
    name: "lean-connect",
    setup(plugin) {
      plugin.onLoad({ filter: /\/@connectrpc\/connect(-node)?\/dist\/esm\/.*\.js$/ }, ({ path }) => {
        const text = readFileSync(path, "utf8");
        const names = /\bnew Headers\b/.test(text) ? `import { Headers } from ${ours};\n` : "";
        const asked = text.replace(h1, "").replaceAll(/\bhttps\./g, 'require("node:https").');
        return { contents: names + (h1.test(text) ? asked : text), loader: "js" };
      });
    },
  };
}
