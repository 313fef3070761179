import {
  buildBundle,
  emptyTrusted,
  generateKey,
  newRoot,
  newSnapshot,
  newTargets,
  newTimestamp,
  rootPin,
  signMetadata,
  updateTrusted,
  type BuiltBundle,
  type Checked,
  type RootSpec,
  type SigningKey,
  type Trusted,
  type TrustCode,
} from "./index.ts";
import { authorised, type Authorised } from "./root.ts";

/** For tests: the value, or a failure that shows the refusal. */
export function valueOf<T>(checked: Checked<T>): T {
  if (checked.ok) return checked.value;
  throw new Error(`${checked.refusal.code}: ${checked.refusal.message}`);
}

/** For tests: the code of a refusal, or "accepted". */
export function codeOf(
  result: { ok: true } | { ok: false; refusal: { code: TrustCode } },
): TrustCode | "accepted" {
  return result.ok ? "accepted" : result.refusal.code;
}

export type Keys = Readonly<Record<Authorised, readonly SigningKey[]>>;

export function newKeys(counts: Partial<Record<Authorised, number>> = {}): Keys {
  const make = (role: Authorised) => Array.from({ length: counts[role] ?? 1 }, () => generateKey());
  return Object.fromEntries(authorised.map((role) => [role, make(role)])) as Record<Authorised, SigningKey[]>;
}

export function publicOf(keys: Keys): RootSpec["keys"] {
  const entries = authorised.map((role) => [role, keys[role].map((key) => key.publicKey)] as const);
  return Object.fromEntries(entries) as unknown as RootSpec["keys"];
}

export interface RootOptions {
  readonly version?: number;
  readonly org?: string;
  readonly thresholds?: RootSpec["thresholds"];
  readonly lifetimeMs?: number;
  readonly signers?: readonly SigningKey[];
}

/** A root signed by its own keys, or by `signers`. */
export async function makeRoot(keys: Keys, now: Date, options: RootOptions = {}): Promise<Uint8Array> {
  const { version = 1, org = "default", thresholds = { root: 1, targets: 1 }, lifetimeMs } = options;
  const lifetime = lifetimeMs === undefined ? {} : { lifetimeMs };
  const unsigned = newRoot({ org, version, keys: publicOf(keys), thresholds, now, ...lifetime });
  return valueOf(await signMetadata(valueOf(unsigned), options.signers ?? keys.root));
}

export function makeBundle(version = "1.0.0", content = "- rule: x\n", org = "default"): BuiltBundle {
  const files = [{ path: "k8s.yaml", content }];
  return valueOf(buildBundle({ org, kind: "rules", name: "starter", version, files, layers: [] }));
}

export interface Release {
  readonly targets: Uint8Array;
  readonly snapshot: Uint8Array;
  readonly timestamp: Uint8Array;
}

/** Targets, and a snapshot and timestamp of the given version over them. */
export async function makeRelease(
  keys: Keys,
  now: Date,
  bundles: readonly BuiltBundle[],
  previous?: { readonly targets: Uint8Array; readonly version: number },
): Promise<Release> {
  const unsigned = valueOf(newTargets(previous?.targets, { add: bundles, now }));
  const targets = valueOf(await signMetadata(unsigned, keys.targets));
  return { targets, ...(await makeOnline(keys, now, targets, previous?.version ?? 1)) };
}

export async function makeOnline(
  keys: Keys,
  now: Date,
  targets: Uint8Array,
  version: number,
): Promise<Omit<Release, "targets">> {
  const snapshot = valueOf(
    await signMetadata(valueOf(newSnapshot(targets, { version, now })), keys.snapshot),
  );
  const timestamp = valueOf(
    await signMetadata(valueOf(newTimestamp(snapshot, { version, now })), keys.timestamp),
  );
  return { snapshot, timestamp };
}

/** An agent that joined with this root and took this release. */
export function joined(root: Uint8Array, release: Release, now: Date): Trusted {
  const begun = valueOf(emptyTrusted(root, rootPin(root)));
  return valueOf(updateTrusted(begun, release, now));
}
