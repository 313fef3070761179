import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { bringUp, bringUpServer } from "../../cli/local/bring-up.ts";
import type { Fleet, Machine } from "../../cli/local/fleet.ts";
import { layoutOf } from "../../cli/local/layout.ts";
import { Processes } from "../../cli/local/processes.ts";
import { parseRegions } from "../../cli/local/regions.ts";
import { shutDown } from "../../cli/local/shut-down.ts";
import { createSteps } from "../../cli/local/steps.ts";
import { freePorts } from "./free-ports.ts";
import "./built-programs.ts";

/** A whole fleet of real processes in a directory of its own, up to the first proved rules; ended with the test. */
export async function localFleet(
  t: TestContext,
  options: { readonly regions: readonly string[]; readonly rate: number },
): Promise<Fleet> {
  const fleet = await plannedFleet(t, options);
  await bringUp(fleet, createSteps({ talk: (text) => t.diagnostic(text.trimEnd()) }));
  return fleet;
}

/**
 * The same without any cluster: a real server with trust and bundles, and a context `local` for it. Other machines reach it
 * only by a host that is given.
 */
export async function localServer(t: TestContext, host?: string): Promise<Fleet> {
  const fleet = await plannedFleet(t, { regions: ["eu=1"], rate: 1, host });
  await bringUpServer(fleet, createSteps({ talk: (text) => t.diagnostic(text.trimEnd()) }));
  return fleet;
}

async function plannedFleet(
  t: TestContext,
  options: { readonly regions: readonly string[]; readonly rate: number; readonly host?: string | undefined },
): Promise<Fleet> {
  const root = mkdtempSync(join(tmpdir(), "falconry-e2e-"));
  process.env["FLEETCTL_CONFIG"] = join(root, "contexts.json");
  const regions = parseRegions(options.regions);
  if ("problem" in regions) throw new Error(regions.problem);
  const layout = layoutOf(join(root, "state"));
  const fleet: Fleet = {
    layout,
    plan: {
      clusters: regions.clusters,
      port: await freePorts(),
      host: options.host,
      auditLog: undefined,
      rate: options.rate,
      once: true,
    },
    machines: new Map<string, Machine>(regions.clusters.map((c) => [c.name, {}])),
    processes: new Processes(layout.processes, layout.logs),
    signal: t.signal,
  };
  t.after(async () => {
    await shutDown(fleet, true);
    rmSync(root, { recursive: true, force: true });
  });
  return fleet;
}
