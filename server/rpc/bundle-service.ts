import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { BundleSchema, type Bundle as BundleMessage, type BundleService } from "#proto/fleet/v1/bundle";
import { BundleKind } from "#proto/fleet/v1/common";
import {
  bundleBytesMax,
  describeBundle,
  digestOfTarget,
  parseBundle,
  readTargets,
  type Bundle,
  type TargetsView,
} from "#trust";

import type { Permission } from "../domain/permission.ts";
import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import { countUses, findBundle, listBundles, type BundleRow } from "../store/bundles.ts";
import { findMetadata } from "../store/metadata.ts";
import type { Database } from "../store/pool.ts";
import { pushBundles, type ReadyBundle } from "../store/push-bundles.ts";
import type { Keyring } from "../store/sign-metadata.ts";
import type { Audit } from "./audit.ts";
import { operatorOf, scopeOf } from "./caller.ts";
import { fromKind, fromTrust, toBundleRef, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const bundlePermissions = {
  pushBundles: "bundle:write",
  listBundles: "bundle:read",
  getBundle: "bundle:read",
} satisfies Record<keyof (typeof BundleService)["method"], Permission>;

const bundlesMax = 100;

export interface BundleServiceOptions {
  readonly db: Database;
  readonly org: string;
  readonly audit: Audit;
  readonly keyring: Pick<Keyring, "signersFor">;
  /** Whether a bundle loads as agents will load it; answers with what it holds. */
  readonly checkLoads: (bundle: Bundle) => Promise<Outcome<Readonly<Record<string, number>>>>;
  readonly now: () => Date;
}

export function bundleService(options: BundleServiceOptions): ServiceImpl<typeof BundleService> {
  const { db, audit, keyring, now } = options;
  return {
    async pushBundles(request, context) {
      orRefuse(checkSizes(request.bundles));
      const targets = readTargets(request.targets);
      if (!targets.ok) return orRefuse(refuse(fromTrust("targets", targets.refusal)));
      const bundles: ReadyBundle[] = [];
      for (const [index, bytes] of request.bundles.entries()) {
        bundles.push(orRefuse(await readBundle(options, `bundles[${index}]`, bytes, targets.value)));
      }
      const pushed = await pushBundles(db, {
        bundles,
        targets: request.targets,
        keyring,
        pushedBy: operatorOf(context).name,
        now: now(),
        note: audit.note(context, request),
        refusalOf: (refusal) => fromTrust("targets", refusal),
      });
      return { bundles: await toMessages(db, scopeOf(context), orRefuse(pushed)) };
    },
    async listBundles(request, context) {
      const kind = fromKind(request.kind);
      if (kind === undefined && request.kind !== BundleKind.UNSPECIFIED) {
        return orRefuse(invalid("kind", `is ${request.kind}, which this server does not know`));
      }
      const bundles = await toMessages(db, scopeOf(context), await listBundles(db, kind));
      return { bundles: bundles.filter((bundle) => bundle.listed) };
    },
    async getBundle(request, context) {
      const found = await findBundle(db, request.bundle);
      if (found === undefined) {
        return orRefuse(refuse({ kind: "not-found", what: "bundle", id: request.bundle.slice(0, 80) }));
      }
      const [bundle] = await toMessages(db, scopeOf(context), [found]);
      return { bundle, content: found.content };
    },
  };
}

function checkSizes(bundles: readonly Uint8Array[]): Outcome<true> {
  if (bundles.length > bundlesMax) {
    return refuse({
      kind: "over-limit",
      why: `${bundles.length} bundles at once; at most ${bundlesMax} are taken`,
    });
  }
  const total = bundles.reduce((sum, bytes) => sum + bytes.length, 0);
  if (total <= bundleBytesMax) return accept(true);
  const why = `The bundles have ${total} bytes together; at most ${bundleBytesMax} are taken: push fewer at once`;
  return refuse({ kind: "over-limit", why });
}

/** Reads a bundle, finds it in the metadata, and tries whether it loads. */
async function readBundle(
  { org, checkLoads }: BundleServiceOptions,
  field: string,
  bytes: Uint8Array,
  targets: TargetsView,
): Promise<Outcome<ReadyBundle>> {
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
  const counts = await checkLoads(bundle);
  if (!counts.ok) return counts;
  const { kind, name, version } = bundle;
  const row = {
    digest,
    kind,
    name,
    version,
    targetPath: target.path,
    length: BigInt(bytes.length),
    counts: counts.value,
  };
  return accept({ row, content: bytes });
}

async function toMessages(db: Database, scope: Scope, rows: readonly BundleRow[]): Promise<BundleMessage[]> {
  const uses = await countUses(db, scope);
  const current = await findMetadata(db, "targets");
  return rows.map((row) =>
    create(BundleSchema, {
      ref: toBundleRef(row),
      length: row.length,
      targetPath: row.targetPath,
      targetsVersion: row.targetsVersion,
      pushedAt: toTimestamp(row.pushedAt),
      pushedBy: row.pushedBy,
      assignedCount: uses.get(row.digest)?.assigned ?? 0,
      runningCount: uses.get(row.digest)?.running ?? 0,
      counts: { ...row.counts },
      listed: row.targetsVersion === current?.version,
    }),
  );
}
