/** Two real server processes on one database and one state directory; agents that speak the real protocol on both. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import type { DescService } from "@bufbuild/protobuf";
import { createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService, RolloutState, type Rollout } from "#proto/fleet/v1/rollout";
import { TokenService } from "#proto/fleet/v1/token";
import { TrustService } from "#proto/fleet/v1/trust";
import { until } from "../../cli/local/until.ts";
import { enrollAgent, publishRoot, push, rulesBundle } from "../../server/testing.ts";
import { programArgs } from "../support/built-programs.ts";
import { freshDatabaseUrl } from "../support/postgres.ts";
import { newSimState, startSimAgent, type SimAgent, type SimIdentity } from "../support/sim-agent.ts";
import { withClient } from "../support/throwaway.ts";
import { bareEnv } from "../support/bare-env.ts";

type Env = Readonly<Record<string, string>>;

/** What a server's log says, as far as it matters here. */
interface Line {
  readonly msg: string;
  readonly port?: number;
  readonly applied?: readonly string[];
}

interface Running {
  readonly child: ChildProcess;
  readonly baseUrl: string;
  readonly lines: readonly Line[];
}

async function startServer(t: TestContext, env: Env): Promise<Running> {
  const child = spawn(process.execPath, [...programArgs("server")], {
    env: { ...bareEnv(), FALCONRY_LISTEN: "127.0.0.1:0", FALCONRY_DRAIN_TIMEOUT: "20s", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  assert.ok(child.stdout);
  const lines: Line[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout ?? process.stdin }).on("line", (raw) => {
      const line = JSON.parse(raw) as Line;
      lines.push(line);
      if (line.msg === "listening") resolve(line.port ?? 0);
    });
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
  return { child, baseUrl: `https://localhost:${port}`, lines };
}

/** Ends it with SIGTERM; gives its exit code and the seconds that it took. */
async function drain({
  child,
}: Running): Promise<{ readonly code: number | null; readonly seconds: number }> {
  const startedAt = performance.now();
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const [code] = (await ended) as [number | null];
  return { code, seconds: (performance.now() - startedAt) / 1000 };
}

/** How people and agents reach one server. */
interface Door {
  readonly baseUrl: string;
  readonly ca: string;
  client<S extends DescService>(service: S): Promise<Client<S>>;
  bare<S extends DescService>(service: S): Client<S>;
}

function doorOf(baseUrl: string, ca: string, token: string): Door {
  const make = <S extends DescService>(service: S, interceptors: Interceptor[]): Client<S> =>
    createClient(
      service,
      createConnectTransport({
        baseUrl,
        httpVersion: "2",
        nodeOptions: { ca },
        interceptors,
        idleConnectionTimeoutMs: 500,
      }),
    );
  const authorize: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  return {
    baseUrl,
    ca,
    client: (service) => Promise.resolve(make(service, [authorize])),
    bare: (service) => make(service, []),
  };
}

/** Two servers that began at the same moment on nothing, a trust root, two bundles, and an admin at both doors. */
async function startPair(t: TestContext) {
  const url = await freshDatabaseUrl(t);
  await withClient(url, (client) =>
    client.query("drop schema public cascade; drop schema drizzle cascade; create schema public"),
  );
  const stateDir = mkdtempSync(join(tmpdir(), "falconry-two-"));
  t.after(() => rmSync(stateDir, { recursive: true, force: true }));
  const env = { DATABASE_URL: url, FALCONRY_STATE_DIR: stateDir };
  const servers = await Promise.all([startServer(t, env), startServer(t, env)]);
  const [a, b] = servers;
  const ca = readFileSync(join(stateDir, "ca", "ca.crt"), "utf8");
  const made = spawn(process.execPath, [...programArgs("server"), "admin-token", "--name", "e2e"], {
    env: { ...bareEnv(), ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const token = (await text(made.stdout)).trim();
  const [atA, atB] = [doorOf(a.baseUrl, ca, token), doorOf(b.baseUrl, ca, token)];
  const offline = await publishRoot(atA);
  const bundles = [rulesBundle("1.0.0"), rulesBundle("1.1.0")];
  await push(atB, offline, undefined, bundles);
  const again = (which: Running) => doorOf(which.baseUrl, ca, token);
  return { url, env, a, b, atA, atB, bundles, again };
}

/** An agent that comes back at the next door whenever its session ends, with all that it knew. */
interface Steady {
  readonly identity: SimIdentity;
  readonly sha256: () => string | undefined;
}

function keepUp(t: TestContext, identity: SimIdentity, doors: readonly Door[]): Steady {
  const state = newSimState(identity);
  let current: SimAgent | undefined;
  const over = new AbortController();
  const life = (async () => {
    for (let i = 0; !over.signal.aborted; i += 1) {
      const baseUrl = doors[i % doors.length]?.baseUrl ?? "";
      current = startSimAgent({ ...identity, baseUrl }, { state, heartbeatMs: 1_000 });
      await current.ended;
      await current.kill();
      // As real agents do, and so that a server that is gone is not asked in a hot loop.
      if (!over.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  t.after(async () => {
    over.abort();
    await current?.kill();
    await life;
  });
  return { identity, sha256: () => state.running.get("rules")?.sha256 };
}

async function enrol(t: TestContext, name: string, doors: readonly [Door, Door]): Promise<Steady> {
  const [door] = doors;
  const tokens = await door.client(TokenService);
  const { joinString } = await tokens.createJoinToken({ labels: { region: "eu" } });
  const wish = { clusterName: name, clusterUid: `uid-of-${name}`, agentName: "node-1" };
  const { response, identity } = await enrollAgent(door, joinString, wish);
  const { org, clusterId, agentId, labels, root } = response;
  const { clusterUid } = wish;
  const whole = {
    ...identity,
    baseUrl: door.baseUrl,
    ca: door.ca,
    org,
    clusterId,
    agentId,
    clusterUid,
    labels,
    root,
  };
  return keepUp(t, whole, doors);
}

async function see(door: Door, rolloutId: string): Promise<Rollout> {
  const { rollout } = await (await door.client(RolloutService)).getRollout({ rolloutId });
  assert.ok(rollout);
  return rollout;
}

/** Waits until a rollout has succeeded, or a test's own condition about it holds. */
function reach(door: Door, id: string, what: string, holds: (rollout: Rollout) => boolean): Promise<Rollout> {
  return until(`the rollout ${id} ${what}`, 90_000, async () => {
    const rollout = await see(door, id);
    return holds(rollout) ? { done: rollout } : { seen: rollout.because };
  });
}

const hasSucceeded = (rollout: Rollout) => rollout.state === RolloutState.SUCCEEDED;

async function generations(door: Door): Promise<Record<string, bigint>> {
  const { clusters } = await (await door.client(ClusterService)).listClusters({});
  return Object.fromEntries(clusters.map((each) => [each.name, each.assignment?.generation ?? 0n]));
}

const names = ["eu-1", "eu-2", "eu-3", "eu-4"];
const all = (generation: bigint) => Object.fromEntries(names.map((name) => [name, generation]));

test("two servers begin on nothing at the same moment: one migrates, both have one CA and one set of keys", async (t) => {
  const { a, b, atA, atB } = await startPair(t);
  const applied = [a, b].flatMap(({ lines }) => lines.flatMap((line) => line.applied ?? []));
  assert.deepEqual(applied, [...new Set(applied)]);
  assert.ok(applied.includes("0001_fleet"));
  const keys = await Promise.all(
    [atA, atB].map(async (door) => (await (await door.client(TrustService)).getTrust({})).onlineKeys),
  );
  assert.deepEqual(keys[0], keys[1]);
});

test("a rollout that is started at one server reaches the agents of the other", async (t) => {
  const { atA, atB, bundles } = await startPair(t);
  const agents = await Promise.all(names.map((name) => enrol(t, name, [atA, atB])));
  await until("all agents are heard of", 20_000, async () => {
    const { clusters } = await (await atA.client(ClusterService)).listClusters({});
    const heard = clusters.filter((cluster) => cluster.lastSeenAt !== undefined).length;
    return heard === names.length ? { done: true } : { seen: `${heard} of ${names.length}` };
  });
  const rollouts = await atB.client(RolloutService);
  const spec = { kind: BundleKind.RULES, bundle: "starter@1.0.0", canary: names.length };
  const { rollout } = await rollouts.startRollout({ spec });
  const wanted = bundles[0]?.target.sha256;
  await until("agents of the other server run it", 20_000, async () => {
    const there = agents.filter((agent) => agent.sha256() === wanted).length;
    return there === names.length ? { done: true } : { seen: `${there} of ${names.length}` };
  });
  await reach(atA, rollout?.id ?? "", "is seen to succeed at the other server", hasSucceeded);
  assert.deepEqual(await generations(atA), all(1n));
});

test("servers that find the metadata due at the same moment sign it once; a drain is quick and clean", async (t) => {
  const { url, env, a, b, again } = await startPair(t);
  const ends = await Promise.all([drain(a), drain(b)]);
  assert.deepEqual(
    ends.map(({ code }) => code),
    [0, 0],
  );
  assert.ok(Math.max(...ends.map(({ seconds }) => seconds)) < 10, JSON.stringify(ends));
  await withClient(url, (client) =>
    client.query("update trust_metadata set expires_at = now() + interval '1 hour' where role = 'timestamp'"),
  );
  const before = await versions(url);
  const next = await Promise.all([startServer(t, env), startServer(t, env)]);
  // Each looks when it starts; what counts is that both have looked.
  await Promise.all(next.map((server) => hasLooked(again(server))));
  const gone = await Promise.all(next.map(drain));
  assert.deepEqual(
    gone.map(({ code }) => code),
    [0, 0],
  );
  const after = await versions(url);
  assert.deepEqual(after, { ...before, timestamp: (before["timestamp"] ?? 0) + 1 });
});

async function versions(url: string): Promise<Record<string, number>> {
  const { rows } = await withClient(url, (client) =>
    client.query<{ role: string; version: number }>(
      "select role, max(version)::int as version from trust_metadata group by role order by role",
    ),
  );
  return Object.fromEntries(rows.map(({ role, version }) => [role, version]));
}

function hasLooked({ baseUrl, ca }: Door): Promise<boolean> {
  return until("the metadata loop has run", 10_000, async () => {
    const metrics = await new Promise<string>((resolve, reject) => {
      get(`${baseUrl}/metrics`, { ca, agent: false }, (response) => {
        text(response).then(resolve, reject);
      }).on("error", reject);
    });
    const isDone = /falconry_loop_activations\{loop="metadata"\} [1-9]/.test(metrics);
    return isDone ? { done: true } : { seen: "no activation" };
  });
}
