import { readFileSync } from "node:fs";
import type { Plugin } from "esbuild";

/**
 * As TypeScript writes an import for CommonJS: `const ejs_1 = __importDefault(require("ejs"));`, `const cli_1 = require("./cli");`. It takes members of these and
 * nothing else. What somebody required by hand, `const wordwrap = require('wordwrap');`, may be a function, which nothing can stand for before it is loaded.
 */
const required =
  /^(?:const|let|var) (?:(\w+) = (__importStar|__importDefault)\(require\(("[^"]+")\)\)|(\w+_\d+) = require\(("[^"]+")\));$/gm;

const later = `function __later(load) {
  let loaded;
  const now = () => (loaded ??= load());
  return new Proxy({}, { get: (_, name) => now()[name], has: (_, name) => name in now() });
}
`;

/**
 * Has files load what they require when they first use it, as each of them asks for members of it alone. oclif loads at once what finds plugins, draws spinners and
 * renders help; a command that runs uses little of that.
 */
export function requireLater(files: RegExp): Plugin {
  return {
    name: "require-later",
    setup(plugin) {
      plugin.onLoad({ filter: files }, ({ path }) => {
        const text = readFileSync(path, "utf8");
        const contents = text.replaceAll(
          required,
          (_, wrapped?: string, wrap?: string, what?: string, name?: string, plain?: string) =>
            wrapped === undefined
              ? `const ${name} = __later(() => require(${plain}));`
              : `const ${wrapped} = __later(() => ${wrap}(require(${what})));`,
        );
        // Below the directive and the helpers, wherever: a function is known in all of its file.
        return { contents: contents + later, loader: "js" };
      });
    },
  };
}
