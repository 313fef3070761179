import {
  type Authority,
  checkExpiry,
  followRoot,
  gatherSignatures,
  readRoot,
  type RootView,
  shortId,
  signMetadata,
} from "#trust";
import { refused } from "../failure.ts";
import type { Talk } from "./exec-signer.ts";
import { orRefuse } from "./files.ts";
import { type KeySource, keySourcesOf } from "./signers.ts";

/** Who has signed a root and who has not, as one of the two roots demands it that have a say. */
export interface RootQuorum {
  /** "root 3". */
  readonly from: string;
  readonly threshold: number;
  readonly signed: readonly string[];
  readonly missing: readonly string[];
}

export interface RootProgress {
  readonly version: number;
  readonly quorums: readonly RootQuorum[];
  /** Why it cannot be published yet; absent when it can. */
  readonly missing?: string;
}

/** Refuses a root that does not come right after the present one, before anybody signs it. */
export function checkSuccession(present: RootView, next: RootView): void {
  if (next.version === present.version + 1 && next.org === present.org) return;
  const what = `The file is root ${next.version} of org "${next.org ?? ""}", and the newest root known here is root ${present.version} of "${present.org ?? ""}"`;
  if (next.org === present.org && next.version > present.version) {
    throw refused(
      `${what}: root ${present.version + 1} is missing in between (trust/version-mismatch)`,
      `--after FILE   names the published root ${present.version + 1}, and those after it; whoever published them has them`,
    );
  }
  throw refused(
    `${what}, so it does not follow (trust/rollback)`,
    "fleetctl trust rotate   begins the next root from the published one",
  );
}

/** How far the signatures under a root have come. */
export function rootProgress(present: RootView, next: RootView, now: Date): RootProgress {
  const quorum = (authority: Authority): RootQuorum => {
    const { signed, missing } = gatherSignatures(next.document, authority);
    return { from: authority.from, threshold: authority.threshold, signed, missing };
  };
  const quorums = [quorum(present.roles.root), quorum(next.roles.root)];
  const fresh = checkExpiry(next.document, now);
  const followed = fresh.ok ? followRoot(present, next) : fresh;
  const { version } = next;
  if (followed.ok) return { version, quorums };
  const { code, message } = followed.refusal;
  return { version, quorums, missing: `${message} (${code})` };
}

/** The files in a folder that can sign this root: keys that the present root names, or the next one. */
export function rootSourcesOf(dir: string, present: RootView, next: RootView): readonly KeySource[] {
  return keySourcesOf(dir, "root", [present.roles.root, next.roles.root]);
}

/** Adds the signatures of these files to a root. */
export async function signRoot(
  root: Uint8Array,
  sources: readonly KeySource[],
  passphrase: string | undefined,
  talk: Talk,
): Promise<{ readonly root: Uint8Array; readonly view: RootView }> {
  const signers = sources.map((source) => source.open(passphrase, talk));
  const signed = orRefuse(await signMetadata(root, signers));
  return { root: signed, view: orRefuse(readRoot(signed)) };
}

/** One line per root that has a say. */
export function describeQuorums(quorums: readonly RootQuorum[]): readonly string[] {
  return quorums.map(({ from, threshold, signed, missing }) => {
    const have = `${from}: ${signed.length} of the ${threshold} signatures that it demands`;
    const by = signed.length === 0 ? "" : `, by ${signed.map(shortId).join(", ")}`;
    return `${have}${by}${missing.length === 0 ? "" : `; not by ${missing.map(shortId).join(", ")}`}`;
  });
}
