import { accessSync, constants, existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { Failure, misused, refused } from "../failure.ts";
import type { Screen } from "../screen.ts";
import { seeThreats } from "./alerts.ts";
import type { ThreatCount } from "./alerts.ts";
import { proveNothingLost } from "./completeness.ts";
import { BundleKind } from "#proto/fleet/v1/common";
import { provedDigest, readClusters } from "./clusters.ts";
import { drillKilledAgent, drillTamperedBundle } from "./drills.ts";
import { enrollAgents, startGenerators } from "./enroll-agents.ts";
import { establishTrust } from "./establish-trust.ts";
import { part } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";
import { awaitReplay, stopGenerators } from "./generators.ts";
import { publishBundles } from "./publish-bundles.ts";
import { seeReplayedAlerts } from "./replayed-alerts.ts";
import { bringAllTo, rollOutRegion } from "./roll-out.ts";
import { startSink } from "./sink.ts";
import { logIn, startDatabase, startServer } from "./start-server.ts";
import type { Steps } from "./steps.ts";

const replayMs = 120_000;

/** What was counted on the way. */
export interface BringUpResult {
  alerts: ThreatCount | undefined;
}

/** Everything that people and CI talk to: database, server, trust, bundles. No cluster yet. */
export async function bringUpServer(fleet: Fleet, steps: Steps): Promise<void> {
  makeStateDir(fleet.layout.root);
  mkdirSync(fleet.layout.logs, { recursive: true });
  if (fleet.plan.auditLog !== undefined && !existsSync(fleet.plan.auditLog)) {
    throw refused(
      `There is no audit log ${fleet.plan.auditLog}`,
      "npm start -- --audit-log FILE   replays a file of JSON lines, as kube-apiserver writes it",
    );
  }
  const left = await fleet.processes.stopLeftovers(10_000);
  if (left.length > 0) {
    await steps.run("left behind by an earlier start", async () => `ended ${left.join(", ")}`);
  }
  await steps.run("database", () => startDatabase(fleet));
  await steps.run("server", () => startServer(fleet));
  await steps.run("operator logged in", () => logIn(fleet));
  await steps.run("trust", () => establishTrust(fleet));
  await steps.run("bundles signed and pushed", () => publishBundles(fleet));
}

/** Makes the state directory, one folder at a time: a recursive mkdir of Node never returns below /proc. */
function makeStateDir(dir: string): void {
  const parent = dirname(dir);
  try {
    if (!existsSync(parent)) makeStateDir(parent);
    if (!existsSync(dir)) mkdirSync(dir, { mode: 0o755 });
    if (!statSync(dir).isDirectory()) throw new Error("it is a file");
    accessSync(dir, constants.W_OK);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw misused(
      `The state directory ${dir} cannot be used: ${(error as Error).message}`,
      "npm start -- --state DIR   takes a directory that you may write",
    );
  }
}

/** Everything up to a fleet in which every cluster proves its first rules and its shipper. */
export async function bringUp(fleet: Fleet, steps: Steps): Promise<void> {
  await bringUpServer(fleet, steps);
  await steps.run("log store", async () => {
    fleet.sink = await startSink(fleet.plan.port + 1);
    return `counts records at http://127.0.0.1:${fleet.sink.port}/audit`;
  });
  await steps.run("agents enrolled", () => enrollAgents(fleet));
  const { names, rulesBefore, shipper } = part(fleet, "bundles");
  await steps.run("audit logs written", async () => startGenerators(fleet));
  await steps.run("first rules proved", () =>
    bringAllTo(fleet, BundleKind.RULES, names.rulesBefore, rulesBefore),
  );
  await steps.run("first shipper proved", () =>
    bringAllTo(fleet, BundleKind.SHIPPER, names.shipper, shipper),
  );
}

/** The main job, in front of the user. */
export async function rollOutRules(
  fleet: Fleet,
  steps: Steps,
  region: string,
  toStderr: boolean,
  screen: Pick<Screen, "talk">,
): Promise<void> {
  const { names, rulesBefore, rulesAfter } = part(fleet, "bundles");
  const clusters = await readClusters(fleet);
  const first = fleet.plan.clusters.find((c) => c.region === region)?.name ?? "";
  // A fleet that was started before has the newer rules in this region already: then there is only the way back to show.
  const isNewer = provedDigest(clusters.get(first), BundleKind.RULES) === rulesAfter;
  const [name, digest] = isNewer ? [names.rulesBefore, rulesBefore] : [names.rulesAfter, rulesAfter];
  screen.talk(`\n$ fleetctl rollout rules --region ${region} --bundle ${name}\n`);
  await steps.run(`rollout rules --region ${region}`, () =>
    rollOutRegion(fleet, region, name, digest, toStderr),
  );
}

/** The drills and the counts that prove what the fleet promises; ends with the writers stopped. */
export async function proveFleet(
  fleet: Fleet,
  steps: Steps,
  since: Date,
  result: BringUpResult,
): Promise<void> {
  await steps.run("agent killed with -9", () => drillKilledAgent(fleet));
  if (fleet.plan.auditLog === undefined) {
    await stopGenerators(fleet);
    await steps.run("every planted threat alerted", async () => {
      result.alerts = await seeThreats(fleet, since);
      if (result.alerts.planted === 0) throw refused("No threat was planted, so nothing is proved");
      return `planted ${result.alerts.planted}, seen ${result.alerts.seen}`;
    });
  } else {
    await steps.run("audit log replayed", async () => {
      if (await awaitReplay(fleet, replayMs)) {
        return `${fleet.plan.auditLog} in ${fleet.plan.clusters.length} clusters`;
      }
      await stopGenerators(fleet);
      return `the first ${replayMs / 1000} s of ${fleet.plan.auditLog}`;
    });
    await steps.run("every expected alert seen", async () => {
      result.alerts = await seeReplayedAlerts(fleet);
      return `expected ${result.alerts.planted} (same rules, offline), seen ${result.alerts.seen}`;
    });
  }
  await steps.run("no record lost", async () => {
    const { written, delivered, duplicates, unreadable } = await proveNothingLost(fleet);
    return `${written} written, all delivered; ${duplicates} delivered twice (read again after the kill)${unreadable > 0 ? `; ${unreadable} lines that are no JSON kept aside` : ""}, ${delivered} lines in the outputs`;
  });
}

/** Before the region's rollout, so that what is newest afterwards is what was rolled out. */
export async function drillTampering(fleet: Fleet, steps: Steps): Promise<void> {
  const { drill, names } = part(fleet, "bundles");
  await steps.run("tampered bundle refused", () => drillTamperedBundle(fleet, names.drill, drill));
}
