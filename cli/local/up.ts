import { resolve } from "node:path";
import { Failure, exitCodes, misused } from "../failure.ts";
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

/** Brings the local fleet up, does the main job in it, and stays up or proves everything and ends. */
export async function runUp(options: UpOptions): Promise<void> {
  const fleet = planFleet(options);
  const steps = createSteps(options.screen);
  const result: BringUpResult = { alerts: undefined };
  const interrupt = watchSignals();
  const since = new Date();
  const work = async (): Promise<void> => {
    await bringUp(fleet, steps);
    if (options.once) await drillTampering(fleet, steps);
    const region = fleet.plan.clusters.some((c) => c.region === "eu")
      ? "eu"
      : (fleet.plan.clusters[0]?.region ?? "");
    await rollOutRules(fleet, steps, region, options.json, options.screen);
    if (options.once) await proveFleet(fleet, steps, since, result);
    else await stayUp(fleet, options.screen, interrupt.signal);
  };
  let failure: unknown;
  let report: object = { clusters: [], alerts: { planted: 0, seen: 0, byRule: {} } };
  try {
    await Promise.race([work(), interrupt.interrupted]);
    if (options.once) report = await reportOf(fleet, steps.results, result.alerts);
  } catch (error) {
    failure = error;
  }
  const asked = failure instanceof Failure && failure.exitCode === exitCodes.interrupted && !options.once;
  failure = await end(fleet, steps, asked ? undefined : failure);
  interrupt.stop();
  if (options.json) {
    options.screen.out(`${JSON.stringify({ ...report, steps: steps.results }, undefined, 2)}\n`);
  }
  if (failure !== undefined) throw failure;
  if (options.once) options.screen.talk("all steps ok\n");
}

function planFleet(options: UpOptions): Fleet {
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
  return { layout, plan, machines, processes: new Processes(layout.processes, layout.logs) };
}

/** Ends what runs, also after a failure, and answers with the first thing that went wrong. */
async function end(fleet: Fleet, steps: Steps, failure: unknown): Promise<unknown> {
  try {
    await steps.run("clean shutdown", () => shutDown(fleet));
  } catch (error) {
    return failure ?? error;
  }
  return failure;
}

/** Turns Ctrl-C into an orderly end; a second one ends at once and leaves the processes to the next start. */
function watchSignals(): {
  readonly signal: AbortSignal;
  readonly interrupted: Promise<never>;
  stop(): void;
} {
  const controller = new AbortController();
  let reject: (reason: Error) => void;
  const interrupted = new Promise<never>((_, fail) => (reject = fail));
  // The race may be over when it rejects; nobody has to hear it then.
  interrupted.catch(() => undefined);
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort();
    reject(new Failure(exitCodes.interrupted, "Interrupted"));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    signal: controller.signal,
    interrupted,
    stop() {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}
