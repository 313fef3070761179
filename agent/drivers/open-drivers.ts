import { timeApplies } from "../apply-times.ts";
import type { Kind } from "../domain/apply-plan.ts";
import { keepPipeline } from "../keep-pipeline.ts";
import type { KeepOptions, KeptPipeline } from "../keep-pipeline.ts";
import type { DriverSettings } from "./settings.ts";

export interface DrivenPorts {
  readonly settings: DriverSettings;
  /** A folder of the agent's own. */
  readonly dir: string;
  /** Told when a program does not show any more that it runs its bundle. */
  readonly lost: (kind: Kind, because: string) => void;
  /** Told when one that was lost is back. */
  readonly back: () => void;
  /** Told the version of the engine of a program that runs rules, at each look. */
  readonly engine: (version: string) => void;
}

/** What runs bundles here, for the server to know. */
export function capabilitiesOf({ falco, fluentBit }: DriverSettings): readonly string[] {
  return [
    "driver:embedded",
    "enclosed",
    // Layers of teams are proved by components, which no program beside the agent tells of.
    ...(falco === undefined ? ["layers"] : ["driver:falco"]),
    ...(fluentBit === undefined ? [] : ["driver:fluent-bit"]),
  ];
}

export function hasDrivers(settings: DriverSettings): boolean {
  return isElsewhere(settings, "rules") || isElsewhere(settings, "shipper");
}

/** Whether a program beside the agent runs bundles of a kind. */
export function isElsewhere({ falco, fluentBit }: DriverSettings, kind: Kind): boolean {
  return (kind === "rules" ? falco : fluentBit) !== undefined;
}

/** A pipeline, with the programs beside the agent that the settings name. What drives them is loaded only where there are some. */
export async function keepDriven(
  options: KeepOptions,
  { settings, ...ports }: DrivenPorts,
): Promise<KeptPipeline> {
  const { falco, fluentBit } = settings;
  if (falco === undefined) return timeApplies(keepPipeline(options));
  const { keepWithPrograms } = await import("./keep-with-programs.ts");
  return keepWithPrograms(options, falco, fluentBit, ports);
}
