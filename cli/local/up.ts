import { resolve } from "node:path";
import { exitCodes, interrupted, misused } from "../failure.ts";
import type { Screen } from "../screen.ts";
import { bringUp, drillTampering, proveFleet, rollOutRules } from "./bring-up.ts";
import type { BringUpResult } from "./bring-up.ts";
import type { Fleet, Machine } from "./fleet.ts";
import { layoutOf } from "./layout.ts";
import { Processes } from "./processes.ts";
import { parseRegions } from "./regions.ts";
import { reportOf } from "./report.ts";
import { shutDown } from "./shut-down.ts";
import { createSteps } from "./steps.ts";
import type { Steps } from "./steps.ts";
import { stayUp } from "./stay-up.ts";

/** What `fleetctl up` was asked. */
export interface UpOptions {
  readonly once: boolean;
  readonly regions: readonly string[];
  readonly auditLog: string | undefined;
  readonly stateDir: string;
  readonly port: number;
  /** Events per second and cluster; undefined means 50, and 500 for a replayed file. */
  readonly rate: number | undefined;
  readonly json: boolean;
  readonly screen: Screen;
}

/**
 * Brings the local fleet up, does the main job in it, and stays up or proves everything and ends. An interrupt ends it in order: a fleet
 * that stays up has done what it was asked, one that was still coming up, or had something to do or to prove, has not.
 */
export async function runUp(options: UpOptions): Promise<void> {
  const stopping = new AbortController();
  const fleet = planFleet(options, stopping.signal);
  const steps = createSteps(options.screen, stopping.signal);
  const result: BringUpResult = { alerts: undefined };
  const unwatch = watchSignals(stopping);
  const since = new Date();
  let isUp = false;
  let failure: unknown;
  let report: object = { clusters: [], alerts: { planted: 0, seen: 0, byRule: {} } };
  try {
    await bringUp(fleet, steps);
    isUp = true;
    await useFleet(fleet, steps, options, since, result);
    if (options.once) report = await reportOf(fleet, steps.results, result.alerts);
  } catch (error) {
    failure = stopping.signal.aborted ? interrupted(interruptedAt(isUp, options.once)) : error;
  }
  failure = await end(fleet, steps, isUp, failure);
  unwatch();
  if (options.json) {
    options.screen.out(`${JSON.stringify({ ...report, steps: steps.results }, undefined, 2)}\n`);
  }
  if (failure !== undefined) throw failure;
  if (options.once) options.screen.talk("all steps ok\n");
}

/** What had not been done yet: a fleet that only has to stay up is ended by an interrupt, and fails by none. */
function interruptedAt(isUp: boolean, once: boolean): string {
  if (!isUp) return "before the fleet was up";
  return once ? "before every step was proved" : "before its rules were rolled out";
}

async function useFleet(
  fleet: Fleet,
  steps: Steps,
  options: UpOptions,
  since: Date,
  result: BringUpResult,
): Promise<void> {
  if (options.once) await drillTampering(fleet, steps);
  const { clusters } = fleet.plan;
  const region = clusters.some((c) => c.region === "eu") ? "eu" : (clusters[0]?.region ?? "");
  await rollOutRules(fleet, steps, region, options.json, options.screen);
  if (options.once) await proveFleet(fleet, steps, since, result);
  else await stayUp(fleet, options.screen);
}

function planFleet(options: UpOptions, signal: AbortSignal): Fleet {
  const regions = parseRegions(options.regions);
  if ("problem" in regions) throw misused(regions.problem);
  const layout = layoutOf(options.stateDir);
  const machines = new Map<string, Machine>(regions.clusters.map((c) => [c.name, {}]));
  const plan = {
    clusters: regions.clusters,
    port: options.port,
    auditLog: options.auditLog === undefined ? undefined : resolve(options.auditLog),
    rate: options.rate ?? (options.auditLog === undefined ? 50 : 500),
    once: options.once,
  };
  return { layout, plan, machines, processes: new Processes(layout.processes, layout.logs), signal };
}

/** Ends what runs, also after a failure, and answers with the first thing that went wrong. */
async function end(fleet: Fleet, steps: Steps, isUp: boolean, failure: unknown): Promise<unknown> {
  try {
    await steps.last("clean shutdown", () => shutDown(fleet, isUp));
  } catch (error) {
    return failure ?? error;
  }
  return failure;
}

/** Turns Ctrl-C into an orderly end; a second one ends at once and leaves the processes to the next start. */
function watchSignals(stopping: AbortController): () => void {
  const onSignal = () => {
    if (stopping.signal.aborted) process.exit(exitCodes.interrupted);
    stopping.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return () => {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  };
}
