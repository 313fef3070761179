import { mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { build, type BuildOptions, type Metafile, transform } from "esbuild";
import { requireLater } from "./later.ts";
import { leanConnect } from "./lean-connect.ts";
import { pack, type Piece } from "./pack.ts";
import { ourSources } from "./sources.ts";

/** One program, as one file. */
export interface Program {
  /** Path of its first source, from the top folder. */
  readonly entry: string;
  readonly outfile: string;
  /** Sources that a bundle has otherwise: paths from the top folder. */
  readonly replaced?: Readonly<Record<string, string>>;
  /** Libraries in the CommonJS way that a source loads by `createRequire()` when it needs them: pieces of their own. */
  readonly loadedLater?: readonly string[];
}

const common = {
  platform: "node",
  target: "node24",
  legalComments: "none",
  minifySyntax: true,
  minifyWhitespace: true,
} as const satisfies BuildOptions;

/**
 * Bundles a program with all that it needs but Node into one CommonJS file, in pieces by what is loaded together: each `import()` of the sources
 * begins one. CommonJS because a bundle of ES modules loads all of Node's own modules that anything in it names before it begins; this one
 * loads each when it is needed. Identifiers keep their names, so that a stack trace can be read. Returns what went in.
 */
export async function bundle(root: string, program: Program): Promise<readonly Metafile[]> {
  const { metafile, outputFiles } = await split(root, program);
  const pieces = await Promise.all(outputFiles.map(({ path, text }) => pieceOf(`./${basename(path)}`, text)));
  const first = `./${basename(program.entry, ".ts")}.js`;
  mkdirSync(dirname(program.outfile), { recursive: true });
  writeFileSync(program.outfile, await pack(pieces, first), { mode: 0o755 });
  return [metafile];
}

function split(root: string, { entry, replaced = {}, loadedLater = [] }: Program) {
  const sources = new Map(Object.entries(replaced).map(([path, text]) => [join(root, path), text]));
  return build({
    ...common,
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    // What esbuild splits.
    format: "esm",
    mainFields: ["module", "main"],
    logLevel: "warning",
    entryPoints: [entry, ...loadedLater.map((name) => ({ in: name, out: `lib-${name}` }))],
    entryNames: "[name]",
    chunkNames: "[name]-[hash]",
    outdir: root,
    metafile: true,
    write: false,
    // Found beside the program or not at all: native code, and what only looks whether it is there.
    external: ["pg-native", "typescript"],
    // The same with its WebAssembly inside, which the other one reads from a file.
    alias: { "@platformatic/wasm-utils": "@platformatic/wasm-utils/bundled" },
    define: {
      "import.meta.url": "__self.url",
      "import.meta.dirname": "__self.dirname",
      "import.meta.filename": "__self.filename",
    },
    plugins: [
      requireLater(/\/@oclif\/core\/lib\/.*\.js$/),
      leanConnect(root),
      ourSources(root, sources, loadedLater),
    ],
  });
}

async function pieceOf(name: string, text: string): Promise<Piece> {
  const options = { ...common, format: "cjs", supported: { "dynamic-import": false } } as const;
  const { code } = await transform(text, options);
  return { name, text: code.includes("__self") ? `const __self=require("#self");${code}` : code };
}
