import { createReadStream, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createDetector, loadRules } from "#engine";
import type { Detector, RulesFile } from "#engine";
import { refused } from "../failure.ts";
import { countBy, readAlerts } from "./alerts.ts";
import type { ThreatCount } from "./alerts.ts";
import { part, untilIn } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";

const seenMs = 60_000;

/** How often each alert is expected, by audit id and rule: certainly, and at most. */
interface Expectation {
  readonly least: Map<string, number>;
  readonly most: Map<string, number>;
}

/**
 * Compares what the fleet alerted with what the same rules raise offline on the same audit logs. While the rollout went
 * through a region either version of the rules may have seen an event, so there an alert is certain only when both
 * raise it.
 */
export async function seeReplayedAlerts(fleet: Fleet): Promise<ThreatCount> {
  const { files } = part(fleet, "bundles");
  const detectors = [detectorOf(files.before), detectorOf(files.after)];
  const expected = new Map<string, Expectation>();
  for (const { name } of fleet.plan.clusters) {
    expected.set(name, await expect(join(fleet.layout.cluster(name).dir, "audit"), detectors));
  }
  const planted = [...expected.values()].flatMap((e) => [...e.least.values()]).reduce((a, b) => a + b, 0);
  return untilIn(fleet, `all ${planted} expected alerts`, seenMs, async () => {
    const alerts = await readAlerts(fleet, new Date(0));
    const seen = countBy(alerts.map((a) => `${a.clusterName} ${a.auditId} ${a.rule}`));
    const problems = [...expected].flatMap(([cluster, e]) => compare(cluster, e, seen));
    if (problems.length > 0) return { seen: `${problems.length} differ, for example ${problems[0]}` };
    return { done: { planted, seen: alerts.length, byRule: countBy(alerts.map((a) => a.rule)) } };
  });
}

function compare(
  cluster: string,
  { least, most }: Expectation,
  seen: Readonly<Record<string, number>>,
): string[] {
  const missing = [...least].filter(([key, n]) => (seen[`${cluster} ${key}`] ?? 0) < n);
  const surplus = Object.entries(seen).filter(
    ([key, n]) => key.startsWith(`${cluster} `) && n > (most.get(key.slice(cluster.length + 1)) ?? 0),
  );
  return [
    ...missing.map(([key]) => `${cluster} lacks ${key}`),
    ...surplus.map(([key]) => `${key} was not expected`),
  ];
}

async function expect(dir: string, detectors: readonly Detector[]): Promise<Expectation> {
  const least = new Map<string, number>();
  const most = new Map<string, number>();
  for (const file of readdirSync(dir)) {
    for await (const line of createInterface({
      input: createReadStream(join(dir, file)),
      crlfDelay: Infinity,
    })) {
      const raised = detectors.map((detector) =>
        detector.detect(line).alerts.map((a) => `${a.auditId} ${a.rule}`),
      );
      const keys = new Set(raised.flat());
      for (const key of keys) {
        const counts = raised.map((list) => list.filter((k) => k === key).length);
        add(least, key, Math.min(...counts));
        add(most, key, Math.max(...counts));
      }
    }
  }
  return { least, most };
}

function add(into: Map<string, number>, key: string, n: number): void {
  if (n > 0) into.set(key, (into.get(key) ?? 0) + n);
}

function detectorOf(files: readonly RulesFile[]): Detector {
  const report = loadRules(files);
  if (!report.ok) {
    throw refused("The rules of the local fleet do not load", "fleetctl rules validate rules/starter/*.yaml");
  }
  return createDetector(report.ruleset, { hostname: "offline" });
}
