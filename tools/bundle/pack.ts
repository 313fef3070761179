import { readFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { transform } from "esbuild";

/** A piece of a program: code in the CommonJS way, which asks for other pieces by their names, as `./list.js`. */
export interface Piece {
  readonly name: string;
  readonly text: string;
}

/** What lies packed costs the loading of what unpacks it. */
const plainLengthMax = 32 * 1024;

/** Told in words that any Node understands. */
const refuseOldNode =
  'if (Number(process.versions.node.split(".", 1)[0]) < 24) { process.stderr.write(' +
  '"This needs Node 24 or newer, and this is " + process.version + ": install one, then try again\\n"); process.exit(2); }';

/**
 * One file of pieces, each of which is unpacked and compiled when it is first asked for. V8 looks through all of a file before it runs any of it,
 * and keeps its text: so pieces lie in comments, and what runs is the loader, compiled on its own, for which the file's text need not be kept.
 */
export async function pack(pieces: readonly Piece[], first: string): Promise<string> {
  const loader = await transform(readFileSync(join(import.meta.dirname, "loader.cjs"), "utf8"), {
    minifySyntax: true,
    minifyWhitespace: true,
  });
  const lines = pieces.map(({ text }) => lineOf(inAscii(text)));
  const head = (index: object): string =>
    [
      "#!/usr/bin/env node",
      refuseOldNode,
      `const loader = new module.constructor(__filename + "#loader", module);`,
      `loader._compile(${JSON.stringify(loader.code)}, __filename + "#loader");`,
      `loader.exports(module, ${JSON.stringify(index)}, ${JSON.stringify(first)});`,
      "",
    ].join("\n");
  return withIndex(pieces, lines, head);
}

/** Positions are as long as they are, and so is what comes before them: asked until they agree. */
function withIndex(
  pieces: readonly Piece[],
  lines: readonly string[],
  head: (index: object) => string,
): string {
  let begin = 0;
  for (;;) {
    let at = begin;
    const index = Object.fromEntries(
      pieces.map(({ name }, i) => {
        const from = at + "//".length;
        const end = from + (lines[i] ?? "").length;
        at = end + "\n".length;
        return [name, [from, end]];
      }),
    );
    const text = head(index);
    if (text.length === begin) return [text, ...lines.map((line) => `//${line}\n`)].join("");
    begin = text.length;
  }
}

function lineOf(text: string): string {
  return text.length <= plainLengthMax
    ? JSON.stringify(text)
    : deflateRawSync(text, { level: 9 }).toString("base64");
}

/** One letter beyond ASCII, in a pattern of some library, and V8 keeps all of a text with two bytes a letter. */
function inAscii(text: string): string {
  // oxlint-disable-next-line no-control-regex -- that is what ASCII is
  return text.replaceAll(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
