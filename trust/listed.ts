import { accept, quote, refuse, type Checked } from "./checked.ts";

/** What an assignment names, and a list has to name alike. */
interface Named {
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
}

/** Accepts what an assignment names only when the list, called `by` in refusals, has it with the same hash and length. */
export function checkListed<T extends Named>(listed: Named | undefined, target: T, by: string): Checked<T> {
  if (listed === undefined) {
    return refuse("trust/not-listed", `${by} does not list ${quote(target.path)}: nobody released it`);
  }
  if (listed.sha256 !== target.sha256) {
    const seen = `the assignment names sha256 ${target.sha256}`;
    return refuse("trust/hash-mismatch", `${target.path}: ${by} lists sha256 ${listed.sha256}, ${seen}`);
  }
  if (listed.length !== target.length) {
    const seen = `the assignment names ${target.length}`;
    return refuse("trust/length-mismatch", `${target.path}: ${by} lists ${listed.length} bytes, ${seen}`);
  }
  return accept(target);
}
