import { join } from "node:path";
import {
  checkDelegations,
  checkNextTargets,
  metadataBytesMax,
  newTargets,
  readRoot,
  readTargets,
  signMetadata,
  type BuiltBundle,
  type LayerGrant,
  type TargetsView,
} from "#trust";
import { refused } from "../failure.ts";
import { orRefuse, readBounded } from "./files.ts";
import { rootFile } from "./init-trust.ts";
import type { Talk } from "./exec-signer.ts";
import { type KeySource, keySourcesOf } from "./signers.ts";

export interface SignOptions {
  /** The trust folder, with `root.json` and the keys of targets. */
  readonly dir: string;
  readonly bundles: readonly Pick<BuiltBundle, "bundle" | "target">[];
  /** Paths that are no longer released. */
  readonly remove?: readonly string[];
  /** Layers that are given to teams. */
  readonly delegate?: readonly LayerGrant[];
  /** Layers that are taken back. */
  readonly revoke?: readonly string[];
  /** What the server publishes now; undefined before the first push. */
  readonly previousTargets: Uint8Array | undefined;
  /** The root that the server publishes; the folder's own when absent. */
  readonly root?: Uint8Array;
  /** The files that sign; those of the folder that may, when absent. */
  readonly sources?: readonly KeySource[];
  readonly passphrase: string | undefined;
  /** Takes what programs say that hold keys. */
  readonly talk?: Talk;
  readonly now: Date;
}

export interface SignedTargets {
  readonly targets: Uint8Array;
  readonly view: TargetsView;
  /** Absent when the metadata can be published; else why not yet: more people have to sign. */
  readonly missing?: string;
}

/** Makes the next targets metadata, signs it, and holds it against the root as the server will. */
export async function signTargets(options: SignOptions): Promise<SignedTargets> {
  const { dir, bundles, remove = [], delegate = [], revoke = [], previousTargets, now } = options;
  const unsigned = orRefuse(newTargets(previousTargets, { add: bundles, remove, delegate, revoke, now }));
  return addSignatures({ ...options, unsigned, root: options.root ?? readRootFile(dir) });
}

/** Adds this folder's signatures to targets metadata that somebody else began. */
export async function coSignTargets(
  options: Omit<SignOptions, "bundles" | "remove" | "delegate" | "revoke"> & { readonly targets: Uint8Array },
): Promise<SignedTargets> {
  return addSignatures({
    ...options,
    unsigned: options.targets,
    root: options.root ?? readRootFile(options.dir),
  });
}

async function addSignatures(
  options: Pick<SignOptions, "dir" | "sources" | "passphrase" | "previousTargets" | "talk" | "now"> & {
    readonly unsigned: Uint8Array;
    readonly root: Uint8Array;
  },
): Promise<SignedTargets> {
  const { dir, passphrase, previousTargets, root, unsigned, now } = options;
  const { talk = () => {} } = options;
  const authority = orRefuse(readRoot(root)).roles.targets;
  // Told before anybody signs, and not by the last who does.
  orRefuse(checkDelegations(orRefuse(readTargets(unsigned)).document, authority));
  const sources = options.sources ?? keySourcesOf(dir, "targets", [authority]);
  const signers = sources.map((source) => source.open(passphrase, talk));
  const targets = orRefuse(await signMetadata(unsigned, signers));
  const view = orRefuse(readTargets(targets));
  const checked = checkNextTargets(root, previousTargets, targets, now);
  if (checked.ok) return { targets, view };
  const { code, message } = checked.refusal;
  if (code === "trust/threshold-not-met") return { targets, view, missing: message };
  throw refused(`these targets cannot be published: ${message} (${code})`);
}

function readRootFile(dir: string): Uint8Array {
  return readBounded(join(dir, rootFile), metadataBytesMax);
}
