import { bundleBytesMax, bundleKinds, type BuiltBundle, type TargetRef } from "./bundle-types.ts";
import { targetPath } from "./bundle.ts";
import { accept, quote, refuse, type Checked, type Refused } from "./checked.ts";
import { checkDelegations, nextDelegations, readDelegations, type LayerGrant } from "./delegations.ts";
import { isObject, isWholeNumber, memberOf, type Json } from "./json.ts";
import { checkExpiry, checkSignatures, encodeMetadata, parseMetadata, type Document } from "./metadata.ts";
import { isName, isSha256, isVersion } from "./names.ts";
import { readRoot } from "./root.ts";
import { lifeMembers, lifetimesMs } from "./life.ts";

/** A bundle as targets metadata lists it. */
export interface ListedTarget extends TargetRef {
  readonly name: string;
  readonly version: string;
}

/** Targets metadata with its list read; by path. */
export interface TargetsView {
  readonly document: Document<"targets">;
  readonly version: number;
  readonly listed: ReadonlyMap<string, ListedTarget>;
}

export interface TargetsChange {
  readonly add: readonly Pick<BuiltBundle, "bundle" | "target">[];
  /** Paths that are no longer released: agents refuse to start them from then on. */
  readonly remove?: readonly string[];
  /** Layers that teams may release from then on, or on other terms. */
  readonly delegate?: readonly LayerGrant[];
  /** Layers that are taken back. */
  readonly revoke?: readonly string[];
  readonly now: Date;
  /** 90 days when absent. */
  readonly lifetimeMs?: number;
}

/** The next targets metadata, unsigned: what `previous` lists and delegates, with the change applied. */
export function newTargets(previous: Uint8Array | undefined, change: TargetsChange): Checked<Uint8Array> {
  const before = previous === undefined ? accept(undefined) : readTargets(previous);
  if (!before.ok) return before;
  const listed = new Map(before.value?.listed ?? []);
  const version = (before.value?.version ?? 0) + 1;
  for (const path of change.remove ?? []) {
    if (listed.delete(path)) continue;
    return refuse(
      "trust/not-listed",
      `targets ${version - 1} does not list ${quote(path)}, so it cannot be removed`,
    );
  }
  for (const { bundle, target } of change.add) {
    const known = listed.get(target.path);
    if (known !== undefined && known.sha256 !== target.sha256) return changed(known, target);
    listed.set(target.path, { ...target, name: bundle.name, version: bundle.version });
  }
  const targets = Object.fromEntries([...listed.values()].map((entry) => [entry.path, targetToJson(entry)]));
  const { delegate = [], revoke = [] } = change;
  const delegations = nextDelegations(before.value?.document, delegate, revoke);
  if (!delegations.ok) return delegations;
  const life = lifeMembers(change.now, change.lifetimeMs ?? lifetimesMs.targets);
  const given = delegations.value === undefined ? {} : { delegations: delegations.value };
  const signed = { _type: "targets", spec_version: "1.0.31", version, ...life, targets, ...given };
  const read = parseMetadata("targets", encodeMetadata(signed));
  if (!read.ok) return read;
  const fit = readDelegations(read.value);
  return fit.ok ? accept(read.value.bytes) : fit;
}

function changed(known: TargetRef, target: TargetRef): Refused {
  return refuse(
    "trust/changed-target",
    `${target.path} is released with sha256 ${known.sha256} and cannot become ${target.sha256}: give the bundle a new version`,
  );
}

function targetToJson({ kind, name, version, length, sha256 }: ListedTarget): Json {
  return { length, hashes: { sha256 }, custom: { kind, name, version } };
}

/** Reads targets metadata and every entry of it; one that is not a bundle of ours is refused by path. */
export function readTargets(bytes: Uint8Array): Checked<TargetsView> {
  const document = parseMetadata("targets", bytes);
  if (!document.ok) return document;
  const { signed, version } = document.value;
  const listed = new Map<string, ListedTarget>();
  for (const [path, json] of Object.entries(isObject(signed["targets"]) ? signed["targets"] : {})) {
    const entry = readEntry(path, json);
    if (entry === undefined) {
      return refuse(
        "trust/malformed",
        `targets ${version}: ${quote(path)} is not KIND/NAME/VERSION.json with length, sha256 and the same kind, name and version in custom`,
      );
    }
    listed.set(path, entry);
  }
  return accept({ document: document.value, version, listed });
}

function readEntry(path: string, json: Json): ListedTarget | undefined {
  const length = memberOf(json, "length");
  const sha256 = memberOf(memberOf(json, "hashes"), "sha256");
  const custom = memberOf(json, "custom");
  const name = memberOf(custom, "name");
  const version = memberOf(custom, "version");
  const kind = bundleKinds.find((known) => known === memberOf(custom, "kind"));
  if (kind === undefined || !isName(name) || !isVersion(version)) return undefined;
  if (path !== targetPath({ kind, name, version })) return undefined;
  if (!isSha256(sha256) || !isWholeNumber(length, 1, bundleBytesMax)) return undefined;
  return { kind, path, name, version, length, sha256 };
}

/**
 * What a server demands before it publishes targets: signed as its root demands, the next version, fresh, with delegations
 * that agents can keep, and no released path with other bytes. The same bytes again are accepted.
 */
export function checkNextTargets(
  root: Uint8Array,
  current: Uint8Array | undefined,
  next: Uint8Array,
  now: Date,
): Checked<TargetsView> {
  const trusted = readRoot(root);
  if (!trusted.ok) return trusted;
  const rootFresh = checkExpiry(trusted.value.document, now);
  if (!rootFresh.ok) return rootFresh;
  const view = readTargets(next);
  if (!view.ok) return view;
  const signed = checkSignatures(view.value.document, trusted.value.roles.targets);
  if (!signed.ok) return signed;
  const given = checkDelegations(view.value.document, trusted.value.roles.targets);
  if (!given.ok) return given;
  const fresh = checkExpiry(view.value.document, now);
  if (!fresh.ok) return fresh;
  if (current === undefined || Buffer.from(next).equals(current)) return view;
  const before = readTargets(current);
  return before.ok ? followTargets(before.value, view.value) : before;
}

function followTargets(before: TargetsView, next: TargetsView): Checked<TargetsView> {
  if (next.version !== before.version + 1) {
    const code = next.version <= before.version ? "trust/rollback" : "trust/version-mismatch";
    return refuse(
      code,
      `targets ${next.version} does not follow targets ${before.version}; expected ${before.version + 1}: ` +
        "fetch the current targets, add the bundles again, and sign",
    );
  }
  for (const entry of next.listed.values()) {
    const known = before.listed.get(entry.path);
    if (known !== undefined && known.sha256 !== entry.sha256) return changed(known, entry);
  }
  return accept(next);
}
