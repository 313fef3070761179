import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  AlertIntakeSchema,
  ClusterOrder as WireOrder,
  RateSeriesSchema,
  type Cluster,
  type ClusterService,
  type GetRatesRequest,
  type RateSeries,
} from "#proto/fleet/v1/cluster";

import { relabel } from "../domain/labels.ts";
import { clusterPageToken, parseClusterPageToken, type ClusterOrder } from "../domain/cluster-page.ts";
import { pageSize } from "../domain/page.ts";
import type { Permission } from "../domain/permission.ts";
import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";
import { judgeRelabel, type Scope } from "../domain/scope.ts";
import { sumIntake } from "../store/alert-intake.ts";
import { listUsableTokensOf, revokeAgent } from "../store/agents.ts";
import {
  findCluster,
  listClusterMinutes,
  listClusters,
  pageClusters,
  replaceLabels,
  retireCluster,
  type ClusterRow,
} from "../store/clusters.ts";
import type { Database } from "../store/pool.ts";
import { listScopesInUse } from "../store/scopes.ts";
import type { Audit } from "./audit.ts";
import { scopeOf } from "./caller.ts";
import { toRates } from "./cluster-message.ts";
import { toMessages } from "./cluster-parts.ts";
import { fleetSummaries } from "./fleet-summary.ts";
import { fromSelector, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const clusterPermissions = {
  listClusters: "cluster:read",
  getCluster: "cluster:read",
  labelCluster: "cluster:write",
  retireCluster: "cluster:write",
  revokeAgent: "cluster:write",
  getRates: "cluster:read",
  getFleetSummary: "cluster:read",
} satisfies Record<keyof (typeof ClusterService)["method"], Permission>;

export interface ClusterServiceOptions {
  readonly db: Database;
  readonly audit: Audit;
  readonly now: () => Date;
}

const minuteMs = 60_000;
const attemptsShown = 20;
/** Whole hours of what became of alerts, before the one that is not over yet. */
const intakeHours = 24;
const hourMs = 60 * minuteMs;
const ratesMinutes = { fallback: 15, max: 1440 };
/** One answer holds so many minutes of clusters at most: 10,000 clusters over a quarter of an hour and more. */
const rateCellsMax = 300_000;

export function clusterService(options: ClusterServiceOptions): ServiceImpl<typeof ClusterService> {
  const { db, audit, now } = options;
  const show = (row: ClusterRow) => showCluster(options, row);
  const fleetSummary = fleetSummaries(options);
  return {
    async listClusters(request, context) {
      const order = orRefuse(readOrder(request.order));
      const after = orRefuse(parseClusterPageToken(order, request.pageToken));
      const selector = orRefuse(fromSelector("selector", request.selector));
      const { includeRetired } = request;
      const choice = { scope: scopeOf(context), selector, includeRetired };
      const size = pageSize(request.pageSize);
      const { rows, end, total } = await pageClusters(db, choice, { order, after, size });
      return {
        clusters: await toMessages(options, rows, 1, false),
        nextPageToken: end === undefined ? "" : clusterPageToken(order, end),
        totalSize: total,
      };
    },
    async getCluster(request, context) {
      return show(orRefuse(await findCluster(db, scopeOf(context), request.cluster)));
    },
    async labelCluster(request, context) {
      const scope = scopeOf(context);
      // Setting and removing hold whatever the other labels are, so a change in between is taken in and not refused.
      const attemptsMax = 5;
      for (let attempt = 1; ; attempt += 1) {
        const before = orRefuse(await findCluster(db, scope, request.cluster));
        const labels = orRefuse(relabel(before.labels, request.set, request.remove));
        orRefuse(judgeRelabel(scope, await listScopesInUse(db, now()), before.labels, labels));
        const replaced = await replaceLabels(db, before, labels, now(), audit.note(context, request));
        if (replaced.ok || attempt === attemptsMax) return show(orRefuse(replaced));
      }
    },
    async retireCluster(request, context) {
      const note = audit.note(context, request);
      return show(orRefuse(await retireCluster(db, scopeOf(context), request.cluster, now(), note)));
    },
    async revokeAgent(request, context) {
      const scope = scopeOf(context);
      const named = { cluster: request.cluster, agent: request.agent };
      const revoked = orRefuse(await revokeAgent(db, scope, named, now(), audit.note(context, request)));
      const usableTokenIds = [...(await listUsableTokensOf(db, scope, revoked.id, now()))];
      return {
        ...(await show(revoked.cluster)),
        agentId: revoked.id,
        agentName: revoked.name,
        revokedAt: toTimestamp(revoked.revokedAt),
        usableTokenIds,
      };
    },
    async getRates(request, context) {
      return { series: await rateSeries(options, scopeOf(context), request) };
    },
    getFleetSummary(request, context) {
      return fleetSummary(scopeOf(context), request);
    },
  };
}

async function rateSeries(
  { db, now }: ClusterServiceOptions,
  scope: Scope,
  request: GetRatesRequest,
): Promise<RateSeries[]> {
  const minutes = request.minutes === 0 ? ratesMinutes.fallback : request.minutes;
  if (minutes > ratesMinutes.max) {
    return orRefuse(invalid("minutes", `is ${minutes}; at most ${ratesMinutes.max} (a day) is allowed`));
  }
  const selector = orRefuse(fromSelector("selector", request.selector));
  const chosen = await listClusters(db, { scope, selector, includeRetired: false });
  if (chosen.length * minutes > rateCellsMax) {
    const why = `${chosen.length} clusters over ${minutes} minutes are more than ${rateCellsMax} values: choose fewer clusters or minutes`;
    return orRefuse(refuse({ kind: "over-limit", why }));
  }
  const since = new Date((Math.floor(now().getTime() / minuteMs) - minutes) * minuteMs);
  const ids = chosen.map((row) => row.id);
  const byCluster = Map.groupBy(await listClusterMinutes(db, ids, since), (row) => row.clusterId);
  return chosen.map(({ id: clusterId, name: clusterName }) =>
    create(RateSeriesSchema, {
      clusterId,
      clusterName,
      rates: (byCluster.get(clusterId) ?? []).map(toRates),
    }),
  );
}

function readOrder(order: WireOrder): Outcome<ClusterOrder> {
  switch (order) {
    case WireOrder.UNSPECIFIED:
      return accept("name");
    case WireOrder.NEWEST:
      return accept("newest");
    case WireOrder.UNHEARD:
      return accept("unheard");
    default:
      return invalid("order", "is none that this server knows");
  }
}

/** One cluster in full, as it is after whatever was done. */
async function showCluster(
  options: ClusterServiceOptions,
  row: ClusterRow,
): Promise<{ cluster: Cluster | undefined }> {
  const { db, now } = options;
  const [cluster] = await toMessages(options, [row], attemptsShown, true);
  const since = new Date((Math.floor(now().getTime() / hourMs) - intakeHours) * hourMs);
  const { rules, ...sums } = await sumIntake(db, row.id, since);
  const alertIntake = create(AlertIntakeSchema, { ...sums, rules: [...rules], since: toTimestamp(since) });
  return { cluster: cluster === undefined ? undefined : { ...cluster, alertIntake } };
}
