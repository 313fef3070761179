import {
  describeBundle,
  digestOfTarget,
  parseBundle,
  readTargets,
  type BundleKind,
  type TargetsView,
} from "#trust";

import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";
import { fromTrust } from "../trust-refusal.ts";
import { checkBundleLoads } from "./check-bundle.ts";

export interface Pushed {
  readonly org: string;
  readonly bundles: readonly Uint8Array[];
  /** Signed targets metadata; its signatures are judged where it is stored. */
  readonly targets: Uint8Array;
}

/** What a pushed bundle is, as it was read and loaded. */
export interface PushedBundle {
  readonly digest: string;
  readonly kind: BundleKind | "layer";
  readonly name: string;
  readonly version: string;
  readonly targetPath: string;
  readonly counts: Readonly<Record<string, number>>;
}

/** Reads what was pushed, finds each bundle in the metadata, and tries whether it loads; in the order of the bundles. */
export function checkPush({ org, bundles, targets }: Pushed): Outcome<readonly PushedBundle[]> {
  const view = readTargets(targets);
  if (!view.ok) return refuse(fromTrust("targets", view.refusal));
  const checked: PushedBundle[] = [];
  for (const [index, bytes] of bundles.entries()) {
    const bundle = checkOne(`bundles[${index}]`, org, bytes, view.value);
    if (!bundle.ok) return bundle;
    checked.push(bundle.value);
  }
  return accept(checked);
}

function checkOne(
  field: string,
  org: string,
  bytes: Uint8Array,
  targets: TargetsView,
): Outcome<PushedBundle> {
  const parsed = parseBundle(bytes);
  if (!parsed.ok) return refuse(fromTrust(field, parsed.refusal));
  const bundle = parsed.value;
  if (bundle.org !== org) return invalid(field, `is for the org "${bundle.org}"; this server is of "${org}"`);
  const { digest, target } = describeBundle(bundle, bytes);
  const listed = targets.listed.get(target.path);
  if (listed === undefined) {
    return invalid(field, `the targets metadata does not list ${target.path}: sign it first`);
  }
  if (listed.sha256 !== target.sha256 || listed.length !== target.length) {
    const why =
      `the targets metadata lists ${target.path} with ${listed.length} bytes and ${digestOfTarget(listed)}; ` +
      `this one has ${target.length} bytes and ${digest}: sign what you push`;
    return invalid(field, why);
  }
  const counts = checkBundleLoads(bundle);
  if (!counts.ok) return counts;
  const { kind, name, version } = bundle;
  return accept({ digest, kind, name, version, targetPath: target.path, counts: counts.value });
}
