import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { readAlerts } from "../../cli/local/alerts.ts";
import { part } from "../../cli/local/fleet.ts";
import type { Fleet } from "../../cli/local/fleet.ts";
import { stopGenerators } from "../../cli/local/generators.ts";
import { until } from "../../cli/local/until.ts";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { localFleet } from "../support/local-fleet.ts";
import { joinString, rows, wellSaid } from "../support/refusals.ts";
import { programArgs } from "../support/built-programs.ts";
import { spawnCli } from "../support/run-cli.ts";
import { bareEnv } from "../support/bare-env.ts";
import { mayMount, mountSmallDisk, unmount } from "../support/small-disk.ts";

const detectMs = 15_000;
const list = ["cluster", "list"];

test("what breaks around a fleet", { timeout: 300_000 }, async (t) => {
  const since = new Date();
  const fleet = await localFleet(t, { regions: ["us=1"], rate: 5 });
  await stopGenerators(fleet);
  const it = (name: string, run: (t: TestContext) => Promise<void>) => t.test(name, run);
  await it("lines that are no records are kept aside; the lines around them are delivered and alerted", () =>
    junk(fleet, since));
  await it("a full disk is named, loses nothing and is over when there is space", (s) =>
    fullDisk(s, fleet, since));
  await it("without its database the server says Unavailable, and agents go on detecting", (s) =>
    noDatabase(s, fleet, since));
  await it("without its server fleetctl says so with exit code 3", (s) => noServer(s, fleet));
});

/** A person reading a secret, as kube-apiserver logs it: raises "Secret Read By Person". */
function secretRead(auditID: string): string {
  const at = new Date().toISOString();
  const event = {
    kind: "Event",
    apiVersion: "audit.k8s.io/v1",
    level: "Metadata",
    auditID,
    stage: "ResponseComplete",
    requestURI: "/api/v1/namespaces/prod/secrets/db",
    verb: "get",
    user: { username: "mallory@example.com", groups: ["system:authenticated"] },
    sourceIPs: ["203.0.113.7"],
    objectRef: { resource: "secrets", namespace: "prod", name: "db", apiVersion: "v1" },
    responseStatus: { code: 200 },
    requestReceivedTimestamp: at,
    stageTimestamp: at,
  };
  return `${JSON.stringify(event)}\n`;
}

const eventsOf = (file: string, id: string): number => readFileSync(file, "utf8").split(`"${id}"`).length - 1;

async function delivered(file: string, ids: readonly string[]): Promise<void> {
  await until(`${ids.join(", ")} did arrive in ${file}`, detectMs, async () => {
    const missing = ids.filter((id) => eventsOf(file, id) === 0);
    return missing.length === 0 ? { done: true } : { seen: `missing ${missing.join(", ")}` };
  });
}

async function alerted(fleet: Fleet, since: Date, ids: readonly string[]): Promise<void> {
  await until(`${ids.join(", ")} did raise an alert`, detectMs, async () => {
    const seen = new Set((await readAlerts(fleet, since)).map((alert) => alert.auditId));
    const missing = ids.filter((id) => !seen.has(id));
    return missing.length === 0 ? { done: true } : { seen: `missing ${missing.join(", ")}` };
  });
}

async function junk(fleet: Fleet, since: Date): Promise<void> {
  const { auditLog, events, agent } = fleet.layout.cluster("us-1");
  const huge = `{"auditID":"huge","pad":"${"a".repeat(5 * 1024 * 1024)}"}`;
  const binary = Buffer.from(Array.from({ length: 256 }, (_, byte) => (byte === 10 ? 11 : byte)));
  const bad = [
    "no json",
    huge,
    secretRead("cut").slice(0, 100),
    binary,
    "[1,2",
    "null",
    "42",
    '{"a":'.repeat(10_000),
  ];
  const ids = [...bad, ""].map((_, index) => `around-${index}`);
  for (const [index, line] of [...bad, ""].entries()) {
    appendFileSync(
      auditLog,
      Buffer.concat([Buffer.from(line), Buffer.from(`\n${secretRead(`around-${index}`)}`)]),
    );
  }
  await delivered(events, ids);
  await alerted(fleet, since, ids);
  const kept = join(agent, "pipeline", "dead-letter");
  const parked = readdirSync(kept).filter((name) => name.endsWith(".jsonl"));
  const reasons = parked.flatMap((name) => readFileSync(join(kept, name), "utf8").trimEnd().split("\n"));
  assert.equal(reasons.length, bad.length, "each line is kept aside once, an empty one is nothing");
  for (const line of reasons) assert.match(line, /"reason":".+"path":".*audit\.log".*"offset":\d+/);
  const long = readdirSync(kept).find((name) => name.endsWith(".line"));
  assert.equal(readFileSync(join(kept, long ?? ""), "utf8").trimEnd(), huge);
  await until("The count of lines kept aside did arrive", 30_000, async () => {
    const sql =
      "select coalesce(sum(parked), 0) as parked from rates join clusters on clusters.id = cluster_id where name = $1";
    const [row] = await rows(fleet, sql, ["us-1"]);
    return Number(row?.["parked"]) === bad.length ? { done: true } : { seen: String(row?.["parked"]) };
  });
}

async function fullDisk(t: TestContext, fleet: Fleet, since: Date): Promise<void> {
  const dir = join(dirname(fleet.layout.root), "small");
  const state = join(dir, "state");
  if (!mayMount) return t.skip("only root may mount a small disk");
  mountSmallDisk(state, "1m");
  t.after(() => unmount(state));
  for (const name of ["audit", "output"]) mkdirSync(join(dir, name));
  const auditLog = join(dir, "audit", "audit.log");
  const events = join(dir, "output", "events.jsonl");
  const port = part(fleet, "sink").port;
  const destinations = [{ host: "127.0.0.1", port, tls: "optional" }];
  const allow = {
    tailDirectories: [join(dir, "audit")],
    fileDirectories: [join(dir, "output")],
    destinations,
  };
  writeFileSync(join(dir, "allow.json"), JSON.stringify(allow));
  const log = await startAgent(t, {
    FALCONRY_STATE_DIR: state,
    FALCONRY_JOIN: await joinString(fleet),
    FALCONRY_CLUSTER: "small",
    FALCONRY_NODE: "n1",
    FALCONRY_ALLOW_FILE: join(dir, "allow.json"),
    FALCONRY_VAR_AUDIT_LOG: auditLog,
    FALCONRY_VAR_OUTPUT_DIR: join(dir, "output"),
    FALCONRY_VAR_SINK_PORT: String(port),
  });
  appendFileSync(auditLog, secretRead("before-full"));
  await delivered(events, ["before-full"]);
  spawnSync("dd", ["if=/dev/zero", `of=${join(state, "fill")}`, "bs=4k"]);
  appendFileSync(auditLog, secretRead("while-full"));
  await delivered(events, ["while-full"]);
  const clusters = part(fleet, "connection").client(ClusterService);
  await until("cluster show did name the full disk", detectMs, async () => {
    const { cluster } = await clusters.getCluster({ cluster: "small" });
    const said = cluster?.agents
      .flatMap((agent) => agent.conditions)
      .find(({ code }) => code === "disk/full");
    return said === undefined ? { seen: log().slice(-3000) } : { done: t.diagnostic(said.message) };
  });
  rmSync(join(state, "fill"));
  appendFileSync(auditLog, secretRead("after-full"));
  await delivered(events, ["after-full"]);
  await alerted(fleet, since, ["before-full", "while-full", "after-full"]);
}

/** Starts an agent that ends with the test; answers with what it said so far. */
async function startAgent(t: TestContext, env: Readonly<Record<string, string>>): Promise<() => string> {
  const child = spawn(process.execPath, [...programArgs("agent")], {
    env: { ...bareEnv(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise((resolve) => child.once("close", resolve));
  t.after(async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
    await ended;
    clearTimeout(timer);
  });
  return () => said;
}

/** Postgres and the processes it forked. */
function postgresPids(fleet: Fleet): readonly number[] {
  const { pid } = part(fleet, "postgres");
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
  return [pid ?? 0, ...children];
}

async function noDatabase(t: TestContext, fleet: Fleet, since: Date): Promise<void> {
  const { auditLog, events } = fleet.layout.cluster("us-1");
  const pids = postgresPids(fleet);
  const signal = (name: NodeJS.Signals) => {
    for (const pid of pids) process.kill(pid, name);
  };
  signal("SIGSTOP");
  try {
    appendFileSync(auditLog, secretRead("database-away"));
    await delivered(events, ["database-away"]);
    // The first calls may sit on connections that were open; each next one needs a new connection.
    const client = part(fleet, "connection").client(ClusterService);
    await until("The server did say that its database is away", 30_000, async () => {
      const error = await client.listClusters({}, { timeoutMs: 8_000 }).then(
        () => undefined,
        (thrown: unknown) => ConnectError.from(thrown),
      );
      assert.notEqual(error?.code, Code.Internal, error?.message);
      return error?.code === Code.Unavailable ? { done: true } : { seen: String(error?.message) };
    });
    const said = await spawnCli(list);
    wellSaid(
      said,
      "cluster list",
      3,
      /is not available: The database cannot be reached right now/,
      /try: .*\/readyz/,
    );
  } finally {
    signal("SIGCONT");
  }
  await alerted(fleet, since, ["database-away"]);
}

async function noServer(t: TestContext, fleet: Fleet): Promise<void> {
  const { auditLog, events } = fleet.layout.cluster("us-1");
  await fleet.server?.stop(20_000);
  wellSaid(
    await spawnCli(list),
    "cluster list",
    3,
    /cannot be reached \(ECONNREFUSED\)/,
    /try: Check that the server runs/,
  );
  appendFileSync(auditLog, secretRead("server-away"));
  await delivered(events, ["server-away"]);
}
