import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { bringUp } from "../../cli/local/bring-up.ts";
import type { Fleet, Machine } from "../../cli/local/fleet.ts";
import { layoutOf } from "../../cli/local/layout.ts";
import { Processes } from "../../cli/local/processes.ts";
import { parseRegions } from "../../cli/local/regions.ts";
import { shutDown } from "../../cli/local/shut-down.ts";
import { createSteps } from "../../cli/local/steps.ts";

/** A whole fleet of real processes in a directory of its own, up to the first proved rules; ended with the test. */
export async function localFleet(
  t: TestContext,
  options: { readonly regions: readonly string[]; readonly rate: number },
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
      auditLog: undefined,
      rate: options.rate,
      once: true,
    },
    machines: new Map<string, Machine>(regions.clusters.map((c) => [c.name, {}])),
    processes: new Processes(layout.processes, layout.logs),
  };
  t.after(async () => {
    await shutDown(fleet);
    rmSync(root, { recursive: true, force: true });
  });
  await bringUp(fleet, createSteps({ talk: (text) => t.diagnostic(text.trimEnd()) }));
  return fleet;
}

/** Two free ports in a row, below the range from which the system hands out ports. */
export async function freePorts(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
  throw new Error("No two free ports in a row between 20000 and 30000");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => {
      const { port: taken } = probe.address() as AddressInfo;
      probe.close(() => resolve(taken === port));
    });
  });
}
