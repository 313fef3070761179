import { accept, refuse, type Checked } from "./checked.ts";
import { sha256Hex, type Document } from "./metadata.ts";

/** How one metadata file names the next: by version, and by length and hash where they are given. */
export interface Pin {
  readonly version: number;
  readonly length?: number | undefined;
  readonly hashes?: Readonly<Record<string, string>> | undefined;
}

/** Bytes are held against their pin before anything parses them. `what` and `by` are for the refusal. */
export function checkBytes(what: string, bytes: Uint8Array, pin: Pin, by: string): Checked<Uint8Array> {
  if (pin.length !== undefined && bytes.length !== pin.length) {
    return refuse("trust/length-mismatch", `${what} has ${bytes.length} bytes; ${by} pins ${pin.length}`);
  }
  const sha256 = pin.hashes?.["sha256"];
  if (pin.hashes !== undefined && sha256 === undefined) {
    return refuse(
      "trust/hash-mismatch",
      `${by} pins ${what} by ${Object.keys(pin.hashes).join(", ")}, not by sha256`,
    );
  }
  const seen = sha256Hex(bytes);
  if (sha256 !== undefined && sha256 !== seen) {
    return refuse("trust/hash-mismatch", `${what} has sha256 ${seen}; ${by} pins ${sha256}`);
  }
  return accept(bytes);
}

/** Accepts a document as the very one that is pinned. */
export function checkPin(what: string, document: Document, pin: Pin, by: string): Checked<Document> {
  const intact = checkBytes(what, document.bytes, pin, by);
  if (!intact.ok) return intact;
  if (document.version === pin.version) return accept(document);
  return refuse(
    "trust/version-mismatch",
    `${what} has version ${document.version}; ${by} pins version ${pin.version}`,
  );
}
