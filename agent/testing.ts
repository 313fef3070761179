/** What the tests of the agent share: a real server with releases, and real agents in this process. */
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { pino, type Logger } from "pino";
import { AlertService } from "#proto/fleet/v1/alert";
import { ClusterService } from "#proto/fleet/v1/cluster";
import type { Agent } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { TokenService } from "#proto/fleet/v1/token";
import { buildBundle } from "#trust";
import type { BuiltBundle, Bundle } from "#trust";
import { startTestFleet, until as untilSoon } from "../server/rpc/agent-service/fixture.ts";
import type { TestFleet } from "../server/rpc/agent-service/fixture.ts";
import { must, push, rulesBundle } from "../server/testing.ts";
import type { StartOptions } from "../server/testing.ts";
import type { Config } from "./config.ts";
import { pathsOf, readConfig } from "./config.ts";
import type { Current } from "./current.ts";
import { enroll } from "./identity/enroll.ts";
import { readIdentity } from "./identity/identity.ts";
import { auditLine } from "./pipeline/testing/bundles.ts";
import type { RunningAgent } from "./run.ts";
import { runAgent } from "./run.ts";

export const log = pino({ level: process.env["FALCONRY_TEST_LOG"] ?? "silent" });

/** As long as a loaded machine may take. */
export function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs: number = 60_000,
) {
  return untilSoon(what, look, withinMs);
}

/** Rules that notice an exec. */
export function rules(version: string, change: Partial<Bundle> = {}): BuiltBundle {
  return rulesBundle(version, change);
}

/** Tails the node's audit log into detection and the fleet. */
export function shipper(version: string, more = "", change: Partial<Bundle> = {}): BuiltBundle {
  const content = `[INPUT]
  Name tail
  Tag audit
  Path \${AUDIT_LOG}
  Parser json
  Read_From_Head On
  Refresh_Interval 1
[OUTPUT]
  Name detect
  Match audit
[OUTPUT]
  Name fleet
  Match *
${more}`;
  const files = [{ path: "fluent-bit.conf", content }];
  return must(
    buildBundle({ org: "default", kind: "shipper", name: "default", version, files, layers: [], ...change }),
  );
}

/** A folder for one agent: its state, its audit log and its allow-list. */
export interface Home {
  readonly config: Config;
  /** What an agent of its own process is started with. */
  readonly env: Readonly<Record<string, string>>;
  readonly paths: ReturnType<typeof pathsOf>;
  /** Writes an event that the rules notice, and names it. */
  exec(auditId: string): void;
  /** Writes an event that they do not notice. */
  list(auditId: string): void;
  current(): Current;
  start(own?: Logger): Promise<RunningAgent>;
}

export function newHome(
  t: TestContext,
  joinString: string,
  env: Readonly<Record<string, string>> = {},
): Home {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "falconry-agent-")));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const auditLog = join(dir, "log", "audit.log");
  mkdirSync(dirname(auditLog));
  writeFileSync(auditLog, "");
  const allowList = join(dir, "allow.json");
  writeFileSync(
    allowList,
    JSON.stringify({ tailDirectories: [join(dir, "log")], fileDirectories: [join(dir, "out")] }),
  );
  const wholeEnv = {
    FALCONRY_STATE_DIR: join(dir, "state"),
    FALCONRY_JOIN: joinString,
    FALCONRY_CLUSTER: "eu-1",
    FALCONRY_NODE: "node-1",
    FALCONRY_ALLOW_FILE: allowList,
    FALCONRY_VAR_AUDIT_LOG: auditLog,
    ...env,
  };
  const read = readConfig(wholeEnv);
  if ("problems" in read) throw new Error(read.problems.join("; "));
  const { config } = read;
  const paths = pathsOf(config.stateDir);
  return {
    config,
    env: wholeEnv,
    paths,
    exec: (auditId) => {
      const objectRef = { resource: "pods", subresource: "exec", namespace: "default", name: "web" };
      appendFileSync(auditLog, `${auditLine(auditId, { objectRef, verb: "create" })}\n`);
    },
    list: (auditId) => appendFileSync(auditLog, `${auditLine(auditId)}\n`),
    current: () => JSON.parse(readFileSync(paths.current, "utf8")) as Current,
    start: async (own = log) => {
      mkdirSync(config.stateDir, { recursive: true });
      const known = readIdentity(paths.identity);
      const identity = known ?? (await enroll(config, own, new AbortController().signal));
      const agent = await runAgent(config, identity, own);
      t.after(() => agent.stop());
      return agent;
    },
  };
}

/** A real server, what a person does with it, and what it knows of the one cluster. */
export interface AgentFleet extends TestFleet {
  joinString(wish?: { readonly uses?: number }): Promise<string>;
  /** Signs and publishes bundles. */
  release(...bundles: readonly BuiltBundle[]): Promise<void>;
  /** Rolls a bundle of a kind out to everybody. */
  assign(kind: "rules" | "shipper", ref: string): Promise<string>;
  /** What the server shows of the cluster's agent. */
  agent(): Promise<Agent | undefined>;
  /** The digest that the agent proved, per kind. */
  proved(kind: "rules" | "shipper"): Promise<string | undefined>;
  /** Audit ids of the alerts in the store. */
  alerts(): Promise<readonly string[]>;
}

const wireKinds = { rules: BundleKind.RULES, shipper: BundleKind.SHIPPER } as const;

export async function startAgentFleet(t: TestContext, options: StartOptions = {}): Promise<AgentFleet> {
  const fleet = await startTestFleet(t, 2, { tuning: { reportMs: 1_000 }, ...options });
  const { at } = fleet;
  const clusters = await at.client(ClusterService);
  const rollouts = await at.client(RolloutService);
  const agent = async () => {
    try {
      return (await clusters.getCluster({ cluster: "eu-1" })).cluster?.agents[0];
    } catch (error) {
      if (ConnectError.from(error).code === Code.NotFound) return undefined;
      throw error;
    }
  };
  return {
    ...fleet,
    agent,
    joinString: async ({ uses = 1 } = {}) => {
      const tokens = await at.client(TokenService);
      return (await tokens.createJoinToken({ labels: { region: "eu" }, uses })).joinString;
    },
    async release(...bundles) {
      fleet.targets = await push(at, fleet.offline, fleet.targets, bundles);
    },
    async assign(kind, bundle) {
      // A rollout may move on between the two calls, as it may for people.
      await until("no rollout of the kind is in work", async () => {
        const { rollouts: unfinished } = await rollouts.listRollouts({ unfinished: true });
        const inTheWay = unfinished.filter(({ spec }) => spec?.kind === wireKinds[kind]);
        for (const { id, generation } of inTheWay) {
          await rollouts.abortRollout({ rolloutId: id, generation }).catch(() => undefined);
        }
        return inTheWay.length === 0;
      });
      const spec = { kind: wireKinds[kind], bundle, deadlineSeconds: 3600 };
      return (await rollouts.startRollout({ spec })).rollout?.id ?? "";
    },
    proved: async (kind) =>
      (await agent())?.running.find(({ bundle }) => bundle?.kind === wireKinds[kind])?.bundle?.digest,
    alerts: async () => (await (await at.client(AlertService)).listAlerts({})).alerts.map((a) => a.auditId),
  };
}
