import { CaService, GetCaResponseSchema, type GetCaResponse } from "#proto/fleet/v1/ca";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { type Alert, AlertService, type TailAlertsRequest } from "#proto/fleet/v1/alert";
import { AlertGroupService } from "#proto/fleet/v1/alert_group";
import { AlertSilenceService } from "#proto/fleet/v1/alert_silence";
import { AuthService } from "#proto/fleet/v1/auth";
import { BacktestService } from "#proto/fleet/v1/backtest";
import { BundleSchema, BundleService } from "#proto/fleet/v1/bundle";
import {
  type Cluster,
  ClusterHealth,
  ClusterOrder,
  ClusterSchema,
  ClusterService,
  type RateSeries,
} from "#proto/fleet/v1/cluster";
import type { BundleKind } from "#proto/fleet/v1/common";
import { type BundleRef, BundleRefSchema, Requirement_Operator, type Selector } from "#proto/fleet/v1/common";
import { FreezeService } from "#proto/fleet/v1/freeze";
import { IssuerService } from "#proto/fleet/v1/issuer";
import { NotificationService } from "#proto/fleet/v1/notification";
import { ReportService } from "#proto/fleet/v1/report";
import { ResponseService } from "#proto/fleet/v1/response";
import { RolloutService } from "#proto/fleet/v1/rollout";
import {
  type ApiToken,
  ApiTokenSchema,
  type JoinToken,
  JoinTokenSchema,
  TokenService,
} from "#proto/fleet/v1/token";
import { TrustService } from "#proto/fleet/v1/trust";
import { FakeAlerts } from "./fake-alerts.ts";
import { FakeBacktests } from "./fake-backtests.ts";
import { FakeFreezes } from "./fake-freezes.ts";
import { FakeIssuers } from "./fake-issuers.ts";
import { FakeNotifications } from "./fake-notifications.ts";
import { FakeReleases } from "./fake-releases.ts";
import { FakeReports } from "./fake-reports.ts";
import { FakeRollouts } from "./fake-rollouts.ts";
import { type FakeTls, fakeTls } from "./fake-tls.ts";

/**
 * A fleet in memory behind a real Connect server over TLS: it remembers, refuses and answers as the contract says, so
 * that commands are tested over the wire. What it releases it checks with #trust.
 */
export class FakeFleet {
  readonly token: string = `at_test.${randomBytes(16).toString("hex")}`;
  readonly clusters: Cluster[] = [];
  readonly alerts: Alert[] = [];
  /** What every page of alerts but the first is refused with; without it there is one page. */
  laterPages: ConnectError | undefined;
  /** The tails that were asked for. */
  readonly tails: TailAlertsRequest[] = [];
  /** Ends the newest tail, as a server does that drains. */
  drain = (): void => {};
  readonly alertGroups: FakeAlerts = new FakeAlerts();
  /** Counts by parts of time, of whatever is asked for by parts. */
  alertBuckets: bigint[] = [];
  /** Alerts that it says were counted and not stored. */
  notStored = 0n;
  readonly rates: RateSeries[] = [];
  readonly joinTokens: JoinToken[] = [];
  readonly issuers = new FakeIssuers();
  readonly notifications = new FakeNotifications();
  readonly reports = new FakeReports();
  /** What it says of its CAs, and whom it was told to leave behind. */
  ca: GetCaResponse = create(GetCaResponseSchema);
  leftBehind: readonly string[] = [];
  readonly apiTokens: ApiToken[] = [];
  readonly releases: FakeReleases = new FakeReleases();
  readonly rollouts: FakeRollouts;
  readonly backtests: FakeBacktests;
  readonly freezes: FakeFreezes = new FakeFreezes();
  /** Page size that the fake answers with at most, to make clients follow pages. */
  pageMax = 1000;
  #watchers: ((alert: Alert) => void)[] = [];

  constructor() {
    this.rollouts = new FakeRollouts(this);
    this.backtests = new FakeBacktests(this);
  }

  addCluster(name: string, labels: Readonly<Record<string, string>>): Cluster {
    const cluster = create(ClusterSchema, {
      id: `cl_${name}`,
      name,
      labels: { ...labels },
      health: ClusterHealth.HEALTHY,
      agentCount: 1,
      createdAt: timestampFromMs(Date.now()),
    });
    this.clusters.push(cluster);
    return cluster;
  }

  addBundle(kind: BundleKind, name: string, version: string): BundleRef {
    const ref = create(BundleRefSchema, {
      kind,
      name,
      version,
      digest: `sha256:${randomBytes(32).toString("hex")}`,
    });
    this.releases.bundles.unshift(
      create(BundleSchema, { ref, listed: true, targetsVersion: 1n, length: 100n }),
    );
    return ref;
  }

  raise(alert: Alert): void {
    this.alerts.unshift(alert);
    for (const watcher of this.#watchers) watcher(alert);
  }

  matching(selector: Selector | undefined): Cluster[] {
    const requirements = selector?.requirements ?? [];
    return this.clusters
      .filter((cluster) => cluster.retiredAt === undefined)
      .filter((cluster) =>
        requirements.every(({ key, operator, values }) => {
          const value = key === "cluster" ? cluster.name : cluster.labels[key];
          if (operator === Requirement_Operator.EXISTS) return value !== undefined;
          if (operator === Requirement_Operator.NOT_EXISTS) return value === undefined;
          const isIn = value !== undefined && values.includes(value);
          return operator === Requirement_Operator.IN ? isIn : !isIn;
        }),
      );
  }

  cluster(nameOrId: string): Cluster {
    const found = this.clusters.find(({ id, name }) => id === nameOrId || name === nameOrId);
    if (found === undefined) throw new ConnectError(`There is no cluster "${nameOrId}"`, Code.NotFound);
    return found;
  }

  async *tail(signal: AbortSignal): AsyncGenerator<Alert> {
    const queue: Alert[] = [];
    let wake = () => {};
    const watcher = (alert: Alert) => {
      queue.push(alert);
      wake();
    };
    this.#watchers.push(watcher);
    signal.addEventListener("abort", () => wake());
    try {
      while (!signal.aborted) {
        yield* queue.splice(0);
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (queue.length > 0 || signal.aborted) resolve();
        });
      }
      yield* queue;
    } finally {
      this.#watchers = this.#watchers.filter((other) => other !== watcher);
    }
  }

  get tailCount(): number {
    return this.#watchers.length;
  }
}

export interface ServedFleet {
  readonly fleet: FakeFleet;
  readonly context: { readonly server: string; readonly ca: string; readonly token: string };
  readonly tls: FakeTls;
  /** Breaks every connection and listens no more. */
  stop(): Promise<void>;
  /** Listens again on the same port. */
  start(): Promise<void>;
}

/** Serves a fake fleet on loopback until the test ends. */
export async function serveFleet(t: TestContext): Promise<ServedFleet> {
  const fleet = new FakeFleet();
  const tls = await fakeTls();
  const sessions = new Set<ServerHttp2Session>();
  const handler = connectNodeAdapter({
    routes: (router) => routes(router, fleet),
    interceptors: [bearer(fleet)],
  });
  let port = 0;
  const listen = async () => {
    const server = createSecureServer({ cert: tls.chain, key: tls.key, allowHTTP1: true }, handler);
    server.on("session", (session) => {
      sessions.add(session);
      session.on("close", () => sessions.delete(session));
    });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
    return server;
  };
  let server = await listen();
  const stop = async () => {
    for (const session of sessions) session.destroy();
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  t.after(stop);
  return {
    fleet,
    tls,
    context: { server: `https://localhost:${port}`, ca: tls.ca, token: fleet.token },
    stop,
    start: async () => {
      server = await listen();
    },
  };
}

function bearer(fleet: FakeFleet): Interceptor {
  return (next) => (request) => {
    if (request.header.get("Authorization") === `Bearer ${fleet.token}`) return next(request);
    throw new ConnectError("The API token is unknown, expired or revoked", Code.Unauthenticated);
  };
}

type Routes = Parameters<Parameters<typeof connectNodeAdapter>[0]["routes"]>[0];

function routes(router: Routes, fleet: FakeFleet): void {
  router.service(ClusterService, {
    listClusters: ({ selector, pageSize, pageToken, includeRetired, order }) => {
      const retired = includeRetired
        ? fleet.clusters.filter((cluster) => cluster.retiredAt !== undefined)
        : [];
      const all = [...fleet.matching(selector), ...retired].sort((a, b) => (a.name < b.name ? -1 : 1));
      if (order === ClusterOrder.NEWEST) all.reverse();
      const start = Number(pageToken || "0");
      const end = start + Math.min(pageSize || 100, fleet.pageMax);
      const nextPageToken = end < all.length ? `${end}` : "";
      return { clusters: all.slice(start, end), nextPageToken, totalSize: all.length };
    },
    getCluster: ({ cluster }) => ({ cluster: fleet.cluster(cluster) }),
    labelCluster: ({ cluster: name, set, remove }) => {
      const cluster = fleet.cluster(name);
      if (remove.includes("region")) {
        throw new ConnectError('Label "region" cannot be removed', Code.InvalidArgument);
      }
      Object.assign(cluster.labels, set);
      for (const key of remove) delete cluster.labels[key];
      return { cluster };
    },
    retireCluster: ({ cluster: name }) => {
      const cluster = fleet.cluster(name);
      cluster.retiredAt = timestampFromMs(Date.now());
      return { cluster };
    },
    revokeAgent: ({ cluster: name, agent: wanted }) => {
      const cluster = fleet.cluster(name);
      const agent = cluster.agents.find(({ id, name: own }) => id === wanted || own === wanted);
      if (agent === undefined) throw new ConnectError(`No such agent: "${wanted}"`, Code.NotFound);
      cluster.agents = cluster.agents.filter((each) => each !== agent);
      const usableTokenIds = fleet.joinTokens.map(({ id }) => id);
      return { cluster, agentId: agent.id, agentName: agent.name, usableTokenIds };
    },
    getFleetSummary: () => {
      const living = fleet.clusters.filter(({ retiredAt }) => retiredAt === undefined);
      const regions = new Set(living.map(({ labels }) => labels["region"] ?? ""));
      return { regions: [...regions].toSorted().map((region) => ({ region })) };
    },
    getRates: ({ selector }) => {
      const names = new Set(fleet.matching(selector).map((cluster) => cluster.name));
      return { series: fleet.rates.filter((series) => names.has(series.clusterName)) };
    },
  });
  router.service(AuthService, {
    whoAmI: () => ({ identity: { name: "test", role: "admin", tokenId: "at_test", org: "default" } }),
    getLoginOptions: () => {
      throw new ConnectError("No identity provider is configured here", Code.FailedPrecondition);
    },
  });
  router.service(TokenService, tokens(fleet));
  router.service(IssuerService, fleet.issuers.service());
  router.service(NotificationService, fleet.notifications.service());
  router.service(ReportService, fleet.reports.service());
  const showCa = () => ({ ca: fleet.ca });
  router.service(CaService, {
    getCa: () => fleet.ca,
    rotateCa: showCa,
    switchCa: ({ leaveBehind }) => {
      fleet.leftBehind = leaveBehind;
      return showCa();
    },
    finishCa: showCa,
    cancelCa: showCa,
  });
  router.service(RolloutService, fleet.rollouts.service());
  router.service(BacktestService, fleet.backtests.service());
  router.service(FreezeService, fleet.freezes.service());
  router.service(AlertGroupService, fleet.alertGroups.groupService());
  router.service(AlertSilenceService, fleet.alertGroups.silenceService());
  router.service(AlertService, {
    listAlerts: ({ filter, pageSize, pageToken, alertId, countNotStored }) => {
      if (fleet.laterPages && pageToken !== "") throw fleet.laterPages;
      const names = new Set(fleet.matching(filter?.selector).map((cluster) => cluster.name));
      const rules = filter?.rules ?? [];
      const endMs = filter?.until === undefined ? Date.now() + 600_000 : timestampMs(filter.until);
      const alerts = fleet.alerts
        .filter(({ clusterName, rule }) => names.has(clusterName) && (!rules[0] || rules.includes(rule)))
        .filter(({ id, time }) => ["", id].includes(alertId) && (!time || timestampMs(time) < endMs));
      const notStored = countNotStored ? fleet.notStored : 0n;
      return { alerts: alerts.slice(0, pageSize), nextPageToken: fleet.laterPages ? "later" : "", notStored };
    },
    async *tailAlerts(request, { signal }) {
      fleet.tails.push(request);
      const leaving = new AbortController();
      fleet.drain = () => leaving.abort();
      for await (const alert of fleet.tail(AbortSignal.any([signal, leaving.signal]))) {
        yield { alerts: [alert], place: `${fleet.alerts.length}` };
      }
      if (leaving.signal.aborted) throw new ConnectError("The server is going away", Code.Unavailable);
    },
    getAlertStats: ({ every }) => {
      const buckets = fleet.alertBuckets;
      if (every !== undefined) return { counts: [{ value: "Exec", count: 22n, buckets }], total: 22n };
      const counts = new Map<string, bigint>();
      for (const { rule } of fleet.alerts) counts.set(rule, (counts.get(rule) ?? 0n) + 1n);
      return {
        counts: [...counts].map(([value, count]) => ({ value, count })),
        total: BigInt(fleet.alerts.length),
      };
    },
  });
  router.service(ResponseService, {
    listResponses: ({ alertId, outcomes }) => ({
      responses: fleet.alerts
        .flatMap(({ responses }) => responses)
        .filter((each) => alertId === "" || each.alertId === alertId)
        .filter(({ outcome }) => outcomes.length === 0 || outcomes.includes(outcome)),
    }),
  });
  router.service(BundleService, fleet.releases.service());
  router.service(TrustService, fleet.releases.trust());
}

function tokens(fleet: FakeFleet) {
  return {
    createJoinToken: (request: {
      labels: Record<string, string>;
      clusterName: string;
      clusterUid: string;
      cidr: string;
      ttlSeconds: number;
      uses: number;
    }) => {
      const token = create(JoinTokenSchema, {
        id: `jt_${fleet.joinTokens.length}`,
        labels: request.labels,
        clusterName: request.clusterName,
        clusterUid: request.clusterUid,
        cidr: request.cidr,
        usesMax: request.uses || 1,
        expiresAt: timestampFromMs(Date.now() + (request.ttlSeconds || 3600) * 1000),
      });
      fleet.joinTokens.unshift(token);
      const pin = `sha256:${"0".repeat(64)}`;
      // Nobody listens there, so an agent that really takes it finds no server.
      return {
        token,
        joinString: `falconry://${token.id}.s3cret-of-a-fake@localhost:1?ca=${pin}&root=${pin}`,
      };
    },
    listJoinTokens: () => ({ tokens: fleet.joinTokens }),
    revokeJoinToken: ({ id }: { id: string }) => ({ token: revoke(fleet.joinTokens, id) }),
    createApiToken: (request: {
      name: string;
      role: string;
      ttlSeconds: number;
      scope?: Selector | undefined;
    }) => {
      const token = create(ApiTokenSchema, {
        id: `at_${fleet.apiTokens.length}`,
        name: request.name,
        role: request.role,
        ...(request.scope === undefined ? {} : { scope: request.scope }),
        expiresAt: timestampFromMs(Date.now() + (request.ttlSeconds || 2_592_000) * 1000),
      });
      fleet.apiTokens.unshift(token);
      return { token, secret: `${token.id}.s3cret` };
    },
    listApiTokens: () => ({ tokens: fleet.apiTokens }),
    revokeApiToken: ({ id }: { id: string }) => ({ token: revoke(fleet.apiTokens, id) }),
  };
}

function revoke<T extends JoinToken | ApiToken>(list: readonly T[], id: string): T {
  const token = list.find((candidate) => candidate.id === id);
  if (token === undefined) throw new ConnectError(`There is no token "${id}"`, Code.NotFound);
  token.revokedAt ??= timestampFromMs(Date.now());
  return token;
}
