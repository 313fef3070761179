import {
  buildBundle,
  buildLayerRelease,
  emptyTrusted,
  generateKey,
  newLayerList,
  newRoot,
  newSnapshot,
  newTargets,
  newTimestamp,
  rootPin,
  signMetadata,
  updateTrusted,
  type BuiltBundle,
  type BuiltLayer,
  type Checked,
  type LayerGrant,
  type RootSpec,
  type SigningKey,
  type Trusted,
  type TrustCode,
} from "./index.ts";
import type { AuditHead } from "./audit-head.ts";
import { auditGenesis, auditRow, type AuditRow } from "./audit.ts";
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
  lists: ReadonlyMap<string, Uint8Array> = new Map(),
): Promise<Omit<Release, "targets">> {
  const pinned = valueOf(newSnapshot(targets, { version, now }, lists));
  const snapshot = valueOf(await signMetadata(pinned, keys.snapshot));
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

/** A log of so many rows; the words of a row tell two logs apart. */
export function auditLog(rows: number, words: (n: number) => string = (n) => `thing ${n}`): AuditRow[] {
  const made: AuditRow[] = [];
  for (let n = 1; n <= rows; n += 1) {
    const actor = { kind: "operator", id: "at_1", name: "ada", role: "admin" } as const;
    const what = {
      method: "ClusterService/LabelCluster",
      target: words(n),
      request: {},
      outcome: "ok",
      why: "",
    };
    const entry = {
      org: "default",
      sequence: n,
      time: "2026-01-01T00:00:00.000Z",
      server: "s",
      actor,
      ...what,
    };
    made.push(auditRow(entry, made.at(-1)?.hash ?? auditGenesis));
  }
  return made;
}

/** What a server says of a row of a log, so many seconds after its time. */
export function headOf(rows: readonly AuditRow[], sequence: number, seconds: number = 0): AuditHead {
  const hash = Buffer.from(rows[sequence - 1]?.hash ?? "").toString("hex");
  // oxlint-disable-next-line no-restricted-globals -- a time that is given, and no clock
  return { org: "default", sequence, hash, time: new Date(1_767_225_600_000 + seconds * 1000) };
}

/** For tests: what a team may do with its layer when nothing else is said. */
export function grantOf(
  layer: string,
  keys: readonly SigningKey[],
  change: Partial<LayerGrant> = {},
): LayerGrant {
  return {
    layer,
    keys: keys.map((key) => key.publicKey),
    threshold: 1,
    level: "team",
    selector: { team: layer },
    prefix: layer,
    tune: ["*"],
    replace: [],
    ...change,
  };
}

export function makeLayer(
  name = "payments",
  version = "1.0.0",
  content = "- list: x\n",
  org = "default",
): BuiltLayer {
  const files = [{ path: "tune.yaml", content }];
  return valueOf(buildLayerRelease({ org, name, version, files }));
}

/** The list of a layer with these releases, signed. */
export async function makeLayerList(
  signers: readonly SigningKey[],
  now: Date,
  releases: readonly BuiltLayer[],
  previous?: Uint8Array,
): Promise<Uint8Array> {
  const layer = releases[0]?.release.name ?? "payments";
  const unsigned = valueOf(newLayerList(previous, { layer, add: releases, now }));
  return valueOf(await signMetadata(unsigned, signers));
}
