import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { BundleSchema, type Bundle as BundleMessage, type BundleService } from "#proto/fleet/v1/bundle";
import { BundleKind } from "#proto/fleet/v1/common";
import { bundleBytesMax } from "#trust";

import type { Permission } from "../domain/permission.ts";
import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { PushedBundle } from "../loading/check-push.ts";
import type { BundleLoader } from "../loading/loader.ts";
import { countUses, findBundle, listBundles, type BundleRow } from "../store/bundles.ts";
import { listedDigests } from "../store/listed.ts";
import type { Database } from "../store/pool.ts";
import { pushBundles, type ReadyBundle } from "../store/push-bundles.ts";
import type { Keyring } from "../store/sign-metadata.ts";
import { fromTrust } from "../trust-refusal.ts";
import type { Audit } from "./audit.ts";
import { operatorOf, scopeOf } from "./caller.ts";
import { handlePushLayer } from "./push-layer.ts";
import { fromKind, toBundleRef, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const bundlePermissions = {
  pushBundles: "bundle:write",
  pushLayer: "layer:write",
  listBundles: "bundle:read",
  getBundle: "bundle:read",
} satisfies Record<keyof (typeof BundleService)["method"], Permission>;

const bundlesMax = 100;

export interface BundleServiceOptions {
  readonly db: Database;
  readonly org: string;
  readonly audit: Audit;
  readonly keyring: Pick<Keyring, "signersFor">;
  readonly loader: BundleLoader;
  readonly now: () => Date;
}

export function bundleService(options: BundleServiceOptions): ServiceImpl<typeof BundleService> {
  const { db, org, audit, keyring, loader, now } = options;
  return {
    async pushBundles(request, context) {
      orRefuse(checkSizes(request.bundles));
      const { bundles: contents, targets } = request;
      const checked = orRefuse(
        await loader.run("checkPush", { org, bundles: contents, targets }, context.signal),
      );
      const bundles = contents.map((content, i) => readyBundle(content, checked[i]));
      const pushed = await pushBundles(db, {
        bundles,
        targets,
        keyring,
        pushedBy: operatorOf(context).name,
        now: now(),
        note: audit.note(context, request),
        refusalOf: (refusal) => fromTrust("targets", refusal),
      });
      return { bundles: await toMessages(db, scopeOf(context), orRefuse(pushed)) };
    },
    async pushLayer(request, context) {
      const pushed = await handlePushLayer(options, request, context);
      return { bundles: await toMessages(db, scopeOf(context), pushed) };
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

/** A bundle that was looked at, as it is stored. */
export function readyBundle(content: Uint8Array, checked: PushedBundle | undefined): ReadyBundle {
  if (checked === undefined) throw new Error("A pushed bundle was not looked at");
  return { row: { ...checked, length: BigInt(content.length) }, content };
}

async function toMessages(db: Database, scope: Scope, rows: readonly BundleRow[]): Promise<BundleMessage[]> {
  const uses = await countUses(db, scope);
  const listed = await listedDigests(db, rows);
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
      listed: listed.has(row.digest),
    }),
  );
}
