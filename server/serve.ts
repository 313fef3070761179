import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";

import { AuditService } from "#proto/fleet/v1/audit";
import { AuthService } from "#proto/fleet/v1/auth";
import { BundleService } from "#proto/fleet/v1/bundle";
import { CaService } from "#proto/fleet/v1/ca";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { FreezeService } from "#proto/fleet/v1/freeze";
import { IssuerService } from "#proto/fleet/v1/issuer";
import { ResponseService } from "#proto/fleet/v1/response";
import { TokenService } from "#proto/fleet/v1/token";
import { TrustService } from "#proto/fleet/v1/trust";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import { issuerPin, spkiPin } from "#trust";
import type { Logger } from "pino";

import { openCaKeeper, type CaKeeper } from "./ca-keeper.ts";
import type { Config } from "./config.ts";
import type { Console } from "./console.ts";
import { openConsole } from "./console-sign-in.ts";
import { databaseFailure, openDatabase, type OpenDatabase } from "./database.ts";
import { listen, type HttpServer } from "./http.ts";
import { messageBytesMax } from "./limits.ts";
import { startLive, type Live, type LiveOptions } from "./live.ts";
import type { BundleLoader } from "./loading/loader.ts";
import { openLoader } from "./loading/open.ts";
import type { Threads } from "./loading/threads.ts";
import { startNotices } from "./notices.ts";
import { readOidcFile } from "./oidc/config.ts";
import { createProvider, type Provider } from "./oidc/provider.ts";
import { keepIdentity } from "./keep-identity.ts";
import { readiness } from "./readiness.ts";
import { startLoop, type Loop } from "./reconcile/driver.ts";
import { auditHeadsEveryMs, signAuditHeads } from "./reconcile/audit-heads.ts";
import { watchLives, type LivesWatch } from "./reconcile/lives.ts";
import { keepMetadata } from "./reconcile/metadata.ts";
import { keepPartitions } from "./reconcile/partitions.ts";
import { createAudit, type Audit } from "./rpc/audit.ts";
import { auditPermissions, auditService } from "./rpc/audit-service.ts";
import { authPermissions, authService } from "./rpc/auth-service.ts";
import { bundlePermissions, bundleService } from "./rpc/bundle-service.ts";
import { caPermissions, caService } from "./rpc/ca-service.ts";
import { clusterPermissions, clusterService } from "./rpc/cluster-service.ts";
import { enrollmentPermissions, enrollmentService } from "./rpc/enrollment-service.ts";
import { freezePermissions, freezeService } from "./rpc/freeze-service.ts";
import { createRefusalWriter, type WriteRefusal } from "./rpc/interceptors/audit-refusals.ts";
import { authenticate, peerKey, type Peer } from "./rpc/interceptors/authenticate.ts";
import type { LokiOptions } from "./rpc/loki/options.ts";
import { mount, type Mounted } from "./rpc/mount.ts";
import { issuerPermissions, issuerService } from "./rpc/issuer-service.ts";
import { responsePermissions, responseService } from "./rpc/response-service.ts";
import { tokenPermissions, tokenService } from "./rpc/token-service.ts";
import { takeInTurns } from "./rpc/agent-service/alert-turns.ts";
import { trustPermissions, trustService } from "./rpc/trust-service.ts";
import { issueIdentity, openState, replaceCa, type State } from "./state.ts";
import { listAgentStandings } from "./store/agents.ts";
import { removeLogins } from "./store/api-tokens.ts";
import { createAlertTaker } from "./sessions/take-alerts.ts";
import type { AuditPen } from "./store/audit-entries.ts";
import { migrate, migrationsFolder } from "./store/migrate.ts";
import { listenForChanges } from "./store/notify.ts";
import { openPool, type Database } from "./store/pool.ts";
import { together } from "./together.ts";
import { openWatched, type Watched } from "./watched.ts";
import type { Tuning } from "./sessions/tuning.ts";

/** A server that takes calls. */
export interface RunningServer {
  readonly id: string;
  readonly port: number;
  /** Where agents and people reach it. */
  readonly publicAddress: { readonly host: string; readonly port: number };
  readonly caPin: string;
  readonly services: readonly Mounted[];
  /** Sends agents away, lets running calls end within the drain time, and lets go of everything. Idempotent. */
  stop(): Promise<void>;
}

/** Agents that are sent away come back, here or elsewhere, after a random part of this. */
const drainWindowMs = 5_000;
/** Agents whose standing is asked for in one query. */
const standingsMax = 500;
/** While many call, their standings are asked for together: a query costs as much by itself as dozens of answers. */
const standingsRestMs = 20;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** A login that is over is kept so long, for whoever asks who that was. */
const loginsKeptMs = 30 * 24 * hourMs;
const now = () => new Date();

/** What tests set in the place of what a server makes for itself. */
export interface ServeOptions {
  readonly tuning?: Partial<Tuning>;
  /** Threads of somebody else, who ends them. */
  readonly threads?: Threads;
  /** Ends the start: it throws, and what it began is undone. Nothing afterwards, which `stop` is for. */
  readonly signal?: AbortSignal;
}

/** Brings a server up on its database, or fails with one line that says what is in the way. */
export async function serve(config: Config, log: Logger, options: ServeOptions = {}): Promise<RunningServer> {
  const undo: (() => Promise<void>)[] = [];
  try {
    return await assemble({ config, log, ...options }, undo);
  } catch (error) {
    for (const step of undo.toReversed()) await step();
    throw error;
  }
}

function goOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new Error("The start was ended", { cause: signal.reason });
}

/** Opens the database and brings it to our schema. */
async function openMigrated(
  { config, log, signal }: Start,
  undo: (() => Promise<void>)[],
): Promise<OpenDatabase> {
  const { databaseUrl: url, stateDir } = config;
  const database = await openDatabase({ url, stateDir, log, signal });
  undo.push(() => database.stop());
  try {
    const applied = await migrate(database.url, migrationsFolder, signal);
    if (applied.length > 0) log.info({ applied }, "database migrated");
    goOn(signal);
    return database;
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw databaseFailure(error, database.url) ?? error;
  }
}

/** Follows the fleet's CA, on this server's disk too. */
async function openKeeper(config: Config, db: Database, state: State, log: Logger): Promise<CaKeeper> {
  const keeper = await openCaKeeper({
    db,
    own: state.ca,
    keep: (ca) => {
      replaceCa(join(config.stateDir, "ca"), ca);
      log.info({ caPin: spkiPin(ca.certificate) }, "the CA was replaced on disk");
    },
  });
  keeper.onChange(({ issuer, trustedPins }) => {
    log.info({ presents: issuer.pin, trusts: trustedPins }, "the CAs of the fleet changed");
    return Promise.resolve();
  });
  return keeper;
}

function openServerPool({ databaseConnectionsMax }: Config, url: string, log: Logger): Database {
  return openPool({
    url,
    connectionsMax: databaseConnectionsMax,
    onIdleError: (error) => {
      log.warn({ err: error }, "database connection lost");
    },
  });
}

interface Start extends ServeOptions {
  readonly config: Config;
  readonly log: Logger;
}

async function assemble(start: Start, undo: (() => Promise<void>)[]): Promise<RunningServer> {
  const { config, log, tuning = {}, threads, signal } = start;
  const provider =
    config.oidcFile === undefined ? undefined : createProvider(readOidcFile(config.oidcFile), log);
  const state = await openState(config.stateDir, config.org, now());
  const database = await openMigrated(start, undo);
  const db = openServerPool(config, database.url, log);
  undo.push(() => db.$client.end());
  const keeper = await openKeeper(config, db, state, log);
  const id = randomUUID();
  const pen: AuditPen = { org: config.org, server: `${hostname()}/${id.slice(0, 8)}`, now };
  const audit = createAudit(pen);
  const watched = await openWatched({ config, db, log, loops: () => work.loops }, undo);
  const { metrics } = watched;
  goOn(signal);
  const loader = openLoader(config.limits.loading, metrics, threads);
  let port = config.listenPort;
  const publicAddress = () => config.publicAddress ?? { host: "localhost", port };
  const work = startWork({ config, db, state, keeper, audit, publicAddress, loader, ...watched, tuning });
  const { live } = work;
  undo.push(loader.stop, () => work.stop());
  const listener = listenForChanges({
    url: database.url,
    onChange: () => live.onChange(),
    onError: (err) => log.warn({ err }, "listening to the database failed, polling goes on"),
  });
  undo.push(() => listener.stop());
  metrics.lives(() => work.lives.now(now()));
  metrics.gauge("falconry_sessions", "Agents that speak with this server now.", () => live.sessionCount());
  metrics.gauge("falconry_sessions_waiting", "Of them, who waits to hear of a change.", live.waitingCount);

  const services = mountServices({ config, db, state, keeper, audit, provider, publicAddress, loader, work });
  let isDraining = false;
  const http = await startHttp({
    config,
    db,
    keeper,
    work,
    services,
    ...watched,
    loki: { db, clock: now, ...live.logs },
    console: openConsole({ db, audit, provider, publicAddress, now, log }),
    writeRefusal: createRefusalWriter({ db, pen, log }),
    isDraining: () => isDraining,
  });
  port = http.port;

  let stopped: Promise<void> | undefined;
  async function stop(): Promise<void> {
    isDraining = true;
    // One part that cannot end well (the database may be away) keeps no other from ending.
    const steps = [() => live.drain(drainWindowMs), () => http.close(config.drainMs), ...undo.toReversed()];
    for (const step of steps) {
      await step().catch((error: unknown) => {
        log.warn({ err: error }, "a part of the server did not end well");
      });
    }
  }
  const caPin = keeper.current().issuer.pin;
  return { id, port, publicAddress: publicAddress(), caPin, services, stop: () => (stopped ??= stop()) };
}

interface HttpParts extends Watched {
  readonly config: Config;
  readonly db: Database;
  readonly keeper: CaKeeper;
  readonly work: Work;
  readonly services: readonly Mounted[];
  readonly loki: LokiOptions;
  readonly writeRefusal: WriteRefusal;
  readonly console: Console;
  readonly isDraining: () => boolean;
}

/** Opens the port, and keeps the certificate that it is opened with fresh. */
async function startHttp({ config, db, keeper, work, ...rest }: HttpParts): Promise<HttpServer> {
  const { org, agentCertificateMs, serverCertificateMs: lifetimeMs } = config;
  const hosts = [
    config.listenHost,
    ...(config.publicAddress === undefined ? [] : [config.publicAddress.host]),
  ];
  // A fleet that comes back, or fetches at once, is asked about in one query and not in thousands.
  const standingOf = together({
    work: (asked: readonly Pick<Peer, "agentId" | "clusterId">[]) => listAgentStandings(db, asked),
    keyOf: ({ agentId }) => agentId,
    itemsMax: standingsMax,
    restMs: standingsRestMs,
  });
  const http = await listen({
    ...rest,
    host: config.listenHost,
    port: config.listenPort,
    identity: await issueIdentity(keeper.current(), hosts, now(), lifetimeMs),
    issuerOf: (certificate) => issuerPin(certificate, keeper.current().trustedCas),
    limits: config.limits,
    databaseWaiting: () => db.$client.waitingCount,
    unready: readiness({ pool: db.$client, isDraining: rest.isDraining }),
    authenticate: ({ requestHeader, values }) =>
      authenticate(
        { db, org, agentCertificateMs, standingOf, cas: () => keeper.current() },
        requestHeader,
        values.get(peerKey),
        now(),
      ),
  });
  rest.metrics.gauge("falconry_connections", "Open connections.", () => http.connectionCount());
  rest.metrics.gauge("falconry_newcomers", "Open connections on which nobody has proved who they are.", () =>
    http.newcomerCount(),
  );
  work.every("server-certificate", lifetimeMs / 12, keepIdentity(http, keeper, hosts, lifetimeMs));
  return http;
}

/** What goes on without being asked: the loops, and the live sessions that they serve. */
interface Work {
  readonly live: Live;
  readonly services: readonly Mounted[];
  readonly loops: readonly Loop[];
  readonly lives: LivesWatch;
  readonly every: LiveOptions["every"];
  stop(): Promise<void>;
}

interface WorkParts extends Watched {
  readonly config: Config;
  readonly db: Database;
  readonly state: State;
  readonly keeper: CaKeeper;
  readonly audit: Audit;
  readonly publicAddress: () => { readonly host: string; readonly port: number };
  readonly loader: BundleLoader;
  readonly tuning: Partial<Tuning>;
}

function startWork(parts: WorkParts): Work {
  const { config, db, state, keeper: cas, audit, publicAddress, loader, ...watched } = parts;
  const { metrics, log } = watched;
  const { org, agentCertificateMs } = config;
  const loops: Loop[] = [];
  const every: Work["every"] = (name, everyMs, activate, restMsMax) => {
    const loop = startLoop({ name, everyMs, restMsMax, activate: async () => void (await activate()), log });
    loops.push(loop);
    return loop;
  };
  const { keyring } = state;
  const { approvals } = config;
  const take = createAlertTaker(db, config.alertBounds, metrics.countAlerts);
  const live = startLive({
    db,
    org,
    agentCertificateMs,
    audit,
    approvals,
    loader,
    keyring,
    cas,
    every,
    clock: now,
    ...watched,
    takeAlerts: takeInTurns(take, config.databaseConnectionsMax, metrics),
  });
  const itself = { kind: "server", id: "", name: "", role: "" } as const;
  const note = audit.noteOf(itself, "SignMetadata");
  const lives = watchLives(db, log);
  every("metadata", minuteMs, async () => {
    // The alarms are raised as well when nothing can be signed: then above all.
    const [kept] = await Promise.allSettled([keepMetadata(db, keyring, now, note)]);
    await lives.look(now());
    if (kept.status === "rejected") throw kept.reason;
  });
  every("audit-heads", auditHeadsEveryMs, () => signAuditHeads({ db, org, keyring, now }));
  const keepDays = { alerts: config.alertRetentionDays, rates: config.rateRetentionDays };
  every("logins", hourMs, () => removeLogins(db, new Date(now().getTime() - loginsKeptMs)));
  every("partitions", hourMs, keepPartitions({ db, keepDays, now, log }));
  const notices = startNotices({ config, db, keyring, lives, audit, publicAddress, now, every, ...watched });
  return {
    live,
    services: [...live.services, ...notices.services],
    loops,
    lives,
    every,
    stop: async () => {
      await Promise.all(loops.map((loop) => loop.stop()));
      await notices.stop();
    },
  };
}

interface ServiceParts {
  readonly config: Config;
  readonly db: Database;
  readonly state: State;
  readonly keeper: CaKeeper;
  readonly audit: Audit;
  readonly provider: Provider | undefined;
  readonly publicAddress: () => { readonly host: string; readonly port: number };
  readonly loader: BundleLoader;
  readonly work: Pick<Work, "services">;
}

function mountServices({ config, db, state, keeper, audit, ...rest }: ServiceParts): readonly Mounted[] {
  const { org, agentCertificateMs } = config;
  const { keyring } = state;
  const { provider, publicAddress, loader, work } = rest;
  const cas = () => keeper.current();
  const caPins = () => cas().trustedPins;
  const bundles = bundleService({ db, org, audit, keyring, loader, now });
  return [
    mount(ClusterService, clusterPermissions, clusterService({ db, audit, now })),
    mount(BundleService, bundlePermissions, bundles, { readMaxBytes: messageBytesMax.bundle }),
    mount(TokenService, tokenPermissions, tokenService({ db, audit, publicAddress, caPins, now })),
    mount(IssuerService, issuerPermissions, issuerService({ db, org, audit, publicAddress, caPins, now })),
    mount(AuthService, authPermissions, authService({ db, org, audit, provider, now })),
    mount(TrustService, trustPermissions, trustService({ db, org, audit, keyring, now })),
    mount(CaService, caPermissions, caService({ db, org, audit, keeper, now })),
    mount(
      EnrollmentService,
      enrollmentPermissions,
      enrollmentService({ db, org, audit, cas, agentCertificateMs, now }),
      { readMaxBytes: messageBytesMax.enrollment },
    ),
    mount(FreezeService, freezePermissions, freezeService({ db, audit, now })),
    mount(ResponseService, responsePermissions, responseService(db)),
    mount(AuditService, auditPermissions, auditService({ db, org })),
    ...work.services,
  ];
}
