import * as fs from "node:fs";
import { join, matchesGlob } from "node:path";
import { isBelowAny } from "#shipper";
import type { AllowList, InputConfig, OutputConfig, PipelineConfig } from "#shipper";
import { DirectOutput } from "./direct-output.ts";
import { EsOutput } from "./es-output.ts";
import { FileOutput } from "./file-output.ts";
import { FleetOutput } from "./fleet-output.ts";
import { ForwardOutput } from "./forward-output.ts";
import { HttpOutput } from "./http-output.ts";
import type { DeadLetter } from "./dead-letter.ts";
import type { Input, InputContext } from "./input.ts";
import { LokiOutput } from "./loki-output.ts";
import type { Mark } from "./mark.ts";
import type { Output, OutputContext } from "./output.ts";
import { KafkaOutput } from "./kafka-output.ts";
import { queueName } from "./queued-output.ts";
import type { Router } from "./router.ts";
import { TailFiles } from "./tail-files.ts";
import { TailInput } from "./tail-input.ts";

/** Everything that one shipper config brought to life. */
export interface Active {
  readonly config: PipelineConfig;
  readonly inputs: readonly Input[];
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
      const one = await openOutput(output, context);
      if (one !== undefined) opened.push(one);
    }
    return opened;
  } catch (error) {
    await Promise.all(opened.map((output) => output.close(0)));
    throw error;
  }
}

function openOutput(config: OutputConfig, context: OutputContext): Output | Promise<Output> | undefined {
  switch (config.plugin) {
    case "http":
      return new HttpOutput(config, context);
    case "es":
    case "opensearch":
      return new EsOutput(config, context);
    case "loki":
      return new LokiOutput(config, context);
    case "forward":
      return new ForwardOutput(config, context);
    case "kafka":
      return KafkaOutput.open(config, context);
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
  /** Counters live longer than a config. */
  readonly countersOf: (alias: string) => InputContext["counters"];
  readonly nowMs: number;
  readonly onProblem: (code: string, message: string) => void;
}

/** Opens inputs at their positions. When one fails, those before it are closed again. */
export async function openInputs(
  config: PipelineConfig,
  options: InputOptions,
): Promise<Pick<Active, "inputs" | "otherMarks">> {
  let rest = [...options.marks];
  const inputs: Input[] = [];
  try {
    for (const input of config.inputs) {
      const own = rest.filter((mark) => isOf(mark, input));
      rest = rest.filter((mark) => !own.includes(mark));
      inputs.push(await openInput(input, own, options));
    }
    return { inputs, otherMarks: rest };
  } catch (error) {
    for (const input of inputs) await input.close();
    throw error;
  }
}

/** Whether a position is one that an input goes on from. */
function isOf(mark: Mark, input: InputConfig): boolean {
  return input.paths.some((p) => p === mark.base || matchesGlob(mark.base, p));
}

function openInput(input: InputConfig, marks: readonly Mark[], options: InputOptions): Promise<Input> {
  const { readAll, allowList, deadLetter, countersOf, nowMs, onProblem } = options;
  const counters = countersOf(input.alias);
  const files = new TailFiles(input, marks, readAll, {
    counters,
    onProblem,
    mayRead: (path) => isBelowAny(path, allowList.tailDirectories),
  });
  // From here on a rotation is seen as one: what is rotated before the first look is history.
  files.refresh(nowMs);
  return Promise.resolve(new TailInput(input, files, deadLetter, { counters, onProblem }, nowMs));
}

/** Positions of everything, to save. */
export function marksOf(active: Active): Mark[] {
  return [...active.inputs.flatMap((input) => input.marks()), ...active.otherMarks];
}
