import * as fs from "node:fs";
import { join, matchesGlob } from "node:path";
import { isBelowAny } from "#shipper";
import type { AllowList, OutputConfig, PipelineConfig } from "#shipper";
import { DirectOutput } from "./direct-output.ts";
import { EsOutput } from "./es-output.ts";
import { FileOutput } from "./file-output.ts";
import { FleetOutput } from "./fleet-output.ts";
import { HttpOutput } from "./http-output.ts";
import type { DeadLetter } from "./dead-letter.ts";
import type { Mark } from "./mark.ts";
import type { Output, OutputContext } from "./output.ts";
import { queueName } from "./queued-output.ts";
import { Reader } from "./reader.ts";
import type { ReaderCounters } from "./reader.ts";
import type { Router } from "./router.ts";
import { TailInput } from "./tail-input.ts";

/** Everything that one shipper config brought to life. */
export interface Active {
  readonly config: PipelineConfig;
  readonly inputs: readonly TailInput[];
  readonly readers: readonly Reader[];
  readonly outputs: readonly Output[];
  readonly router: Router;
  /** Positions of files that no input of this config reads; kept for a config that will. */
  readonly otherMarks: readonly Mark[];
}

/** Opens outputs; `detect` is none, it is part of the router. When one fails, those before it are closed again. */
export async function openOutputs(config: PipelineConfig, context: OutputContext): Promise<Output[]> {
  const opened: Output[] = [];
  try {
    for (const output of config.outputs) {
      const one = openOutput(output, context);
      if (one !== undefined) opened.push(one);
    }
    return opened;
  } catch (error) {
    await Promise.all(opened.map((output) => output.close(0)));
    throw error;
  }
}

function openOutput(config: OutputConfig, context: OutputContext): Output | undefined {
  switch (config.plugin) {
    case "http":
      return new HttpOutput(config, context);
    case "es":
    case "opensearch":
      return new EsOutput(config, context);
    case "loki":
      throw new Error("in work");
    case "file":
      return new FileOutput(config, context);
    case "fleet":
      return new FleetOutput(config, context);
    case "stdout":
    case "null":
      return new DirectOutput(config, context);
    case "detect":
      return undefined;
  }
}

/** Queues with records of outputs that the config does not have: kept, but nobody delivers them. */
export function orphanQueues(config: PipelineConfig, queueDir: string): string[] {
  const own = new Set(config.outputs.map((output) => queueName(output)));
  const names = fs.existsSync(queueDir) ? fs.readdirSync(queueDir) : [];
  const holdsRecords = (name: string) =>
    fs.readdirSync(join(queueDir, name)).some((file) => file.endsWith(".seg"));
  return names.filter((name) => !own.has(name) && holdsRecords(name));
}

export interface InputOptions {
  readonly marks: readonly Mark[];
  readonly readAll: boolean;
  readonly allowList: AllowList;
  readonly deadLetter: DeadLetter;
  readonly counters: ReaderCounters;
  readonly nowMs: number;
  readonly onProblem: (code: string, message: string) => void;
}

/** Opens inputs at their positions. */
export function openInputs(
  config: PipelineConfig,
  options: InputOptions,
): Pick<Active, "inputs" | "readers" | "otherMarks"> {
  let rest = [...options.marks];
  const inputs = config.inputs.map((input) => {
    const own = rest.filter((mark) => input.paths.some((p) => p === mark.base || matchesGlob(mark.base, p)));
    rest = rest.filter((mark) => !own.includes(mark));
    return new TailInput(input, own, options.readAll, {
      onProblem: options.onProblem,
      mayRead: (path) => isBelowAny(path, options.allowList.tailDirectories),
    });
  });
  // From here on a rotation is seen as one: what is rotated before the first look is history.
  for (const input of inputs) input.refresh(options.nowMs);
  const readers = inputs.map((input) => new Reader(input, options.deadLetter, options.counters));
  return { inputs, readers, otherMarks: rest };
}

/** Positions of everything, to save. */
export function marksOf(active: Active): Mark[] {
  return [...active.inputs.flatMap((input) => input.marks()), ...active.otherMarks];
}
