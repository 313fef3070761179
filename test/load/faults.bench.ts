import { parseArgs } from "node:util";
import { destinationFaults } from "../faults/destinations.ts";
import { processFaults } from "../faults/processes.ts";
import { mayMount } from "../support/small-disk.ts";
import { rotationFaults } from "../faults/rotations.ts";
import { play } from "../faults/scenario.ts";
import type { Scale } from "../faults/scenario.ts";

/**
 * `faults [--records N] [--per-second N] [--outage SECONDS] [--only WORDS]`: what each fault costs, counted by record id, at the
 * size at which Fluent Bit's losses were recorded: records are written while an agent process runs and things go wrong.
 * Written = delivered + set aside + lost. Backoff is the default of the config language.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      records: { type: "string", default: "150000" },
      "per-second": { type: "string", default: "5000" },
      outage: { type: "string", default: "20" },
      only: { type: "string", default: "" },
    },
  });
  const scale: Scale = {
    records: Number(values.records),
    recordsPerSecond: Number(values["per-second"]),
    outageMs: Number(values.outage) * 1000,
    backoff: { base: 1, cap: 30 },
  };
  const all = [...destinationFaults, ...processFaults, ...rotationFaults];
  const rows: object[] = [];
  for (const scenario of all) {
    if (!scenario.name.includes(values.only) || (scenario.name.startsWith("disk") && !mayMount)) continue;
    process.stderr.write(`${scenario.name}\n`);
    const { outcome } = await play(scenario, scale);
    const { lostIds, ...counts } = outcome;
    const examples = lostIds.length === 0 ? {} : { lostIds };
    rows.push({
      fault: scenario.name,
      fluentBit: scenario.fluentBit ?? "not recorded",
      ...counts,
      ...examples,
    });
  }
  return { input: { ...scale, baseline: "Fluent Bit 5.1.1, usual config, recorded once" }, faults: rows };
}
