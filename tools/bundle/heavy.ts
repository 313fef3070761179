import { brotliCompressSync, constants } from "node:zlib";
import { build, type BuildOptions, type Metafile, type Plugin } from "esbuild";

/**
 * Libraries that are large and that few commands need. V8 looks through all of a file before it runs any of it, so these lie in it
 * as one packed string, which is unpacked and compiled when it is first asked for.
 */
const heavy = ["@kubernetes/client-node", "@platformatic/kafka", "./opentelemetry.ts"];

/** What `import.meta.url` becomes in CommonJS. */
export const fileUrl = 'const __fileUrl = require("node:url").pathToFileURL(__filename).href;';

/** Takes heavy libraries in as packed text. `onMetafile` learns what they are made of. */
export function packHeavy(options: BuildOptions, onMetafile: (metafile: Metafile) => void): Plugin {
  const filter = new RegExp(`^(${heavy.join("|")})$`);
  return {
    name: "pack-heavy",
    setup(plugin) {
      plugin.onResolve({ filter }, ({ path, resolveDir }) => ({
        path,
        namespace: "heavy",
        pluginData: resolveDir,
      }));
      plugin.onLoad({ filter, namespace: "heavy" }, async ({ path, pluginData }) => {
        const contents = `module.exports = require(${JSON.stringify(path)});`;
        const { outputFiles, metafile } = await build({
          ...options,
          stdin: { contents, resolveDir: pluginData as string, loader: "js" },
          minify: true,
          banner: { js: fileUrl },
          // The same with its WebAssembly inside, which the other one reads from a file.
          alias: { "@platformatic/wasm-utils": "@platformatic/wasm-utils/bundled" },
          write: false,
          metafile: true,
        });
        onMetafile(metafile);
        return { contents: unpacking(path, outputFiles[0]?.text ?? ""), loader: "js" };
      });
    },
  };
}

function unpacking(name: string, text: string): string {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24 };
  const packed = brotliCompressSync(text, { params }).toString("base64");
  return `
    const { brotliDecompressSync } = require("node:zlib");
    const { compileFunction, constants } = require("node:vm");
    const text = brotliDecompressSync(Buffer.from(${JSON.stringify(packed)}, "base64")).toString();
    const run = compileFunction(text, ["module", "exports", "require", "__filename", "__dirname"], {
      filename: ${JSON.stringify(name)},
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    });
    run(module, exports, require, __filename, __dirname);
  `;
}
