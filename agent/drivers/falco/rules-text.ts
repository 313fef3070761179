import { createHash } from "node:crypto";
import type { RenderedFile } from "../../pipeline/load-bundle.ts";

/**
 * The files of a bundle as the one file that Falco reads: as documents of one stream, in their order, so that one rename
 * swaps the whole set and one hash proves it. Undefined names the file that cannot be joined to others.
 */
export function rulesText(
  files: readonly RenderedFile[],
  digest: string,
):
  | { readonly ok: true; readonly text: string; readonly sha256: string }
  | { readonly ok: false; readonly file: string } {
  const odd = files.find(({ content }) => /^\uFEFF?%/.test(content));
  if (odd !== undefined) return { ok: false, file: odd.name };
  // The digest makes the text of each bundle another one, so that its hash proves this bundle and not one with the same rules.
  const head = `# Written by the Falconry agent: bundle ${digest}. Changes made here are undone.\n`;
  const documents = files.map(
    ({ name, content }) => `---\n# ${name.replaceAll(/[\r\n]/g, " ")}\n${bare(content)}\n`,
  );
  const text = head + documents.join("");
  return { ok: true, text, sha256: sha256Of(text) };
}

/** Without a byte order mark, which is one only at the beginning of a stream. */
function bare(content: string): string {
  return content.startsWith("\uFEFF") ? content.slice(1) : content;
}

export function sha256Of(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
