import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build, type BuildOptions, type Metafile } from "esbuild";
import { fileUrl, packHeavy } from "./heavy.ts";
import { ourSources } from "./sources.ts";

/** One program, as one file. */
export interface Program {
  /** Path of its first source, from the top folder. */
  readonly entry: string;
  readonly outfile: string;
  /** Sources that a bundle has otherwise: paths from the top folder. */
  readonly replaced?: Readonly<Record<string, string>>;
}

/** Told in words that any Node understands. */
const refuseOldNode =
  'if (Number(process.versions.node.split(".", 1)[0]) < 24) { process.stderr.write(' +
  '"This needs Node 24 or newer, and this is " + process.version + ": install one, then try again\\n"); process.exit(2); }';

/**
 * Bundles a program with all that it needs but Node into one CommonJS file. CommonJS because a bundle of ES modules loads all of
 * Node's own modules that anything in it names before it begins; this one loads each when it is needed. Identifiers keep their
 * names, so that a stack trace can be read. Returns what went in.
 */
export async function bundle(root: string, program: Program): Promise<readonly Metafile[]> {
  const metafiles: Metafile[] = [];
  const options: BuildOptions = {
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node24",
    mainFields: ["module", "main"],
    legalComments: "none",
    minifySyntax: true,
    minifyWhitespace: true,
    logLevel: "warning",
    // Found beside the program or not at all: native code, and what only looks whether it is there.
    external: ["pg-native", "typescript"],
    define: {
      "import.meta.url": "__fileUrl",
      "import.meta.dirname": "__dirname",
      "import.meta.filename": "__filename",
    },
  };
  const replaced = new Map(
    Object.entries(program.replaced ?? {}).map(([path, text]) => [join(root, path), text]),
  );
  const { metafile, outputFiles } = await build({
    ...options,
    entryPoints: [program.entry],
    outfile: program.outfile,
    metafile: true,
    write: false,
    banner: { js: `#!/usr/bin/env node\n${refuseOldNode}\n${fileUrl}` },
    plugins: [packHeavy(options, (inner) => metafiles.push(inner)), ourSources(root, replaced)],
  });
  mkdirSync(dirname(program.outfile), { recursive: true });
  for (const { path, text } of outputFiles) writeFileSync(path, inAscii(text), { mode: 0o755 });
  return [metafile, ...metafiles];
}

/** One letter beyond ASCII, in a pattern of some library, and V8 keeps all of a file with two bytes a letter. */
function inAscii(text: string): string {
  // oxlint-disable-next-line no-control-regex -- that is what ASCII is
  return text.replaceAll(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
