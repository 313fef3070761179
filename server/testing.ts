import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

import type { DescService } from "@bufbuild/protobuf";
import { createClient, type Client, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { BundleService } from "#proto/fleet/v1/bundle";
import { TrustService } from "#proto/fleet/v1/trust";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import {
  buildBundle,
  certificateToPem,
  createCsr,
  generateKey,
  generatePrivateKey,
  newRoot,
  newTargets,
  publicKeyFromHex,
  signMetadata,
  type BuiltBundle,
  type Bundle,
  type Checked,
  type PublicKey,
  type SigningKey,
} from "#trust";
import { pino, type Logger } from "pino";

import { freshDatabase, type TestDatabase } from "../test/support/postgres.ts";
import { readConfig, type Config } from "./config.ts";
import { defaultLimits } from "./limits.ts";
import { createBundleLoader, type BundleLoader } from "./loading/loader.ts";
import { createThreads } from "./loading/threads.ts";
import { actorOf, fieldsOf } from "./domain/alert-fields.ts";
import { defaultIntakeBounds, type IntakeBounds } from "./domain/alert-intake.ts";
import type { Role } from "./domain/permission.ts";
import { wholeFleet, type Scope } from "./domain/scope.ts";
import { createApiToken } from "./rpc/token-service.ts";
import { serve, type RunningServer } from "./serve.ts";
import { openState, type State } from "./state.ts";
import { createAlertTaker } from "./sessions/take-alerts.ts";
import type { Tuning } from "./sessions/tuning.ts";
import type { AlertRow } from "./store/alert-intake.ts";
import type { Db } from "./store/pool.ts";

/** A real server on a real database and real TLS, for one test. */
export interface TestServer {
  readonly server: RunningServer;
  readonly db: TestDatabase;
  readonly config: Config;
  readonly state: State;
  /** PEM of the CA, which clients trust. */
  readonly ca: string;
  readonly baseUrl: string;
  /** A client for a person with a role. */
  client<S extends DescService>(service: S, role?: Role, scope?: Scope): Promise<Client<S>>;
  /** A client with a bearer token. */
  bearing<S extends DescService>(service: S, token: string): Client<S>;
  /** A client without credentials, or with a client certificate. */
  bare<S extends DescService>(service: S, identity?: ClientIdentity): Client<S>;
  token(role: Role, scope?: Scope): Promise<string>;
  /** Has the clients that are made from now on trust another CA too. */
  trust(pem: string): void;
}

export interface ClientIdentity {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A second server beside this one: same database, same state directory. */
  readonly beside?: TestServer;
  /** With `beside`: a state directory of its own, as on another machine. */
  readonly stateDir?: string;
  readonly log?: Logger;
  /** How sessions behave: agents that report each second spare tests that wait for reports most of their time. */
  readonly tuning?: Partial<Tuning>;
}

/** Starting a thread takes a second on a busy machine: the servers of one test file share theirs. */
const threads = createThreads(defaultLimits.loading.memoryMiBMax);

/** As a server's own, for tests of parts of it. */
export const testLoader: BundleLoader = createBundleLoader({
  limits: defaultLimits.loading,
  threads,
  onRefused: (reason) => {
    throw new Error(`A test's bundle was not loaded: ${reason}`);
  },
});

/** Takes a `Checked` apart in tests: a refusal there is a broken test. */
export function must<T>(checked: Checked<T>): T {
  if (checked.ok) return checked.value;
  throw new Error(`${checked.refusal.code}: ${checked.refusal.message}`);
}

export async function startTestServer(t: TestContext, options: StartOptions = {}): Promise<TestServer> {
  const db = options.beside?.db ?? (await freshDatabase(t));
  const stateDir =
    options.stateDir ?? options.beside?.config.stateDir ?? mkdtempSync(join(tmpdir(), "falconry-server-"));
  if (options.beside === undefined) t.after(() => rmSync(stateDir, { recursive: true, force: true }));
  const config = readConfig({
    FALCONRY_LISTEN: "127.0.0.1:0",
    FALCONRY_STATE_DIR: stateDir,
    DATABASE_URL: db.url,
    FALCONRY_DRAIN_TIMEOUT: "2s",
    ...options.env,
  });
  const log = options.log ?? pino({ level: process.env["FALCONRY_TEST_LOG"] ?? "silent" });
  const tuning = options.tuning ?? {};
  const server = await serve(config, log, { tuning, threads });
  t.after(() => server.stop());
  const state = await openState(stateDir, config.org, new Date());
  const ca = certificateToPem(state.ca.certificate);
  const trusted = [ca];
  const baseUrl = `https://localhost:${server.port}`;
  const transport = (identity?: ClientIdentity, bearer?: string) =>
    transportTo(baseUrl, trusted, identity, bearer);
  const tokens = new Map<string, Promise<string>>();
  const token = (role: Role, scope: Scope = wholeFleet): Promise<string> =>
    kept(tokens, `${role} ${JSON.stringify(scope)}`, async () => {
      const wish = { name: `test ${role}`, role, scope, ttlMs: 3_600_000 };
      return (await createApiToken(db, wish, "test", new Date())).secret;
    });
  // One for each person, as a program of theirs has it: a handshake costs more than most calls.
  const connections = new Map<string, Transport>();
  return {
    server,
    db,
    config,
    state,
    ca,
    baseUrl,
    token,
    trust: (pem) => {
      trusted.push(pem);
      connections.clear();
    },
    client: async (service, role = "admin", scope = wholeFleet) => {
      const bearer = await token(role, scope);
      return createClient(
        service,
        kept(connections, bearer, () => transport(undefined, bearer)),
      );
    },
    bearing: (service, bearer) => createClient(service, transport(undefined, bearer)),
    bare: (service, identity) => createClient(service, transport(identity)),
  };
}

function transportTo(
  baseUrl: string,
  ca: string[],
  identity: ClientIdentity | undefined,
  bearer: string | undefined,
): Transport {
  const authorize: Interceptor = (next) => (request) => {
    if (bearer !== undefined) request.header.set("Authorization", `Bearer ${bearer}`);
    return next(request);
  };
  return createConnectTransport({
    baseUrl,
    httpVersion: "2",
    // As our own clients: no more calls at once than the server takes before it has said how many.
    nodeOptions: { ca, peerMaxConcurrentStreams: 16, ...identity },
    idleConnectionTimeoutMs: 1_000,
    interceptors: [authorize],
  });
}

function kept<T>(all: Map<string, T>, key: string, make: () => T): T {
  const one = all.get(key) ?? make();
  all.set(key, one);
  return one;
}

/** The offline side of trust: what `fleetctl trust init` holds. */
export interface Offline {
  readonly root: SigningKey;
  readonly targets: SigningKey;
}

/** Publishes a first root that names the server's keys. */
export async function publishRoot(
  at: Pick<TestServer, "client">,
  org: string = "default",
): Promise<Offline & { readonly bytes: Uint8Array }> {
  const trust = await at.client(TrustService);
  const offline = { root: generateKey(), targets: generateKey() };
  const { onlineKeys } = await trust.getTrust({});
  const online = (role: string): readonly PublicKey[] =>
    onlineKeys.filter((key) => key.role === role).map((key) => must(publicKeyFromHex(key.publicKey)));
  const unsigned = newRoot({
    org,
    version: 1,
    keys: {
      root: [offline.root.publicKey],
      targets: [offline.targets.publicKey],
      snapshot: online("snapshot"),
      timestamp: online("timestamp"),
      assignment: online("assignment"),
    },
    thresholds: { root: 1, targets: 1 },
    now: new Date(),
  });
  const bytes = must(await signMetadata(must(unsigned), [offline.root]));
  await trust.publishRoot({ root: bytes });
  return { ...offline, bytes };
}

/** A bundle of rules that loads anywhere. */
export function rulesBundle(version: string, change: Partial<Bundle> = {}): BuiltBundle {
  const content = [
    "- rule: Exec into pod",
    "  desc: Somebody opened a shell in a running pod.",
    "  condition: ka.target.subresource = exec",
    "  output: exec by %ka.user.name",
    "  priority: WARNING",
    "  source: k8s_audit",
    "",
  ].join("\n");
  const files = [{ path: "rules.yaml", content }];
  return must(
    buildBundle({ org: "default", kind: "rules", name: "starter", version, files, layers: [], ...change }),
  );
}

/** Signs the next targets metadata over bundles. */
export async function signTargets(
  offline: Offline,
  previous: Uint8Array | undefined,
  bundles: readonly BuiltBundle[],
): Promise<Uint8Array> {
  const unsigned = must(newTargets(previous, { add: bundles, now: new Date() }));
  return must(await signMetadata(unsigned, [offline.targets]));
}

/** Signs and pushes bundles as the next targets. */
export async function push(
  at: Pick<TestServer, "client">,
  offline: Offline,
  previous: Uint8Array | undefined,
  bundles: readonly BuiltBundle[],
): Promise<Uint8Array> {
  const targets = await signTargets(offline, previous, bundles);
  await (
    await at.client(BundleService)
  ).pushBundles({
    bundles: bundles.map(({ bytes }) => Uint8Array.from(bytes)),
    targets: Uint8Array.from(targets),
  });
  return targets;
}

/** What an agent sends to enrol, with the private key it keeps. */
export async function enrollRequest(joinString: string, change: Readonly<Record<string, string>> = {}) {
  const key = generatePrivateKey();
  const token = joinString.slice("falconry://".length, joinString.indexOf("@"));
  const csr = Uint8Array.from(await createCsr(key));
  return {
    key,
    request: {
      token,
      clusterName: "eu-1",
      clusterUid: "uid-eu-1",
      agentName: "node-1",
      agentVersion: "0.1.0",
      csr,
      ...change,
    },
  };
}

/** Enrols and gives the identity to connect with. */
export async function enrollAgent(
  at: Pick<TestServer, "bare">,
  joinString: string,
  change: Readonly<Record<string, string>> = {},
) {
  const { key, request } = await enrollRequest(joinString, change);
  const response = await at.bare(EnrollmentService).enroll(request);
  const cert = response.certificateChain.map((der) => certificateToPem(der)).join("\n");
  return { response, identity: { cert, key }, request };
}

/** A copy of a server's CA and keys in a directory of its own, as on another machine. */
export function copyState(t: TestContext, of: TestServer): string {
  const dir = mkdtempSync(join(tmpdir(), "falconry-server-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const part of ["ca", "keys"]) {
    cpSync(join(of.config.stateDir, part), join(dir, part), { recursive: true });
  }
  return dir;
}

/** Alerts as they come from agents, stored as the server stores them. */
export async function deliverAlerts(
  db: Db,
  alerts: readonly Omit<AlertRow, "actor" | "fields">[],
  now: Date,
  bounds: IntakeBounds = defaultIntakeBounds,
): Promise<void> {
  const take = createAlertTaker(db, bounds);
  const rows = alerts.map((alert) => {
    const fields = fieldsOf(alert.body);
    return { ...alert, fields, actor: actorOf(fields) };
  });
  for (const [clusterId, some] of Map.groupBy(rows, (row) => row.clusterId)) await take(clusterId, some, now);
}
