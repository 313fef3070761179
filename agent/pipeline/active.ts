import * as fs from "node:fs";
import { join } from "node:path";
import { isBelowAny } from "#shipper";
import type { AllowList, FleetConfig, InputConfig, OutputConfig, PipelineConfig, TailConfig } from "#shipper";
import { isNamedBy } from "./candidates.ts";
import { DirectOutput } from "./direct-output.ts";
import { DiskQueue } from "./disk-queue.ts";
import { DummyInput } from "./dummy-input.ts";
import { EsOutput } from "./es-output.ts";
import { recordsTo } from "./elsewhere.ts";
import type { Feeds } from "./feeds.ts";
import { FileOutput } from "./file-output.ts";
import { FleetOutput } from "./fleet-output.ts";
import { ForwardOutput } from "./forward-output.ts";
import { HttpInput, spoolName } from "./http-input.ts";
import { HttpOutput } from "./http-output.ts";
import type { DeadLetter, Parking } from "./dead-letter.ts";
import { listenerLimits } from "./http-listener.ts";
import { newCounters } from "./input.ts";
import type { Input, InputContext } from "./input.ts";
import { LokiOutput } from "./loki-output.ts";
import type { Mark } from "./mark.ts";
import type { Output, OutputContext } from "./output.ts";
import { KafkaOutput } from "./kafka-output.ts";
import { segmentIds, segmentPath } from "./queue-files.ts";
import { queueName } from "./queued-output.ts";
import type { Router } from "./router.ts";
import { StdinInput } from "./stdin-input.ts";
import { TailFiles } from "./tail-files.ts";
import { TailInput } from "./tail-input.ts";

/** Everything that one shipper config brought to life. */
export interface Active {
  readonly config: PipelineConfig;
  readonly feeds: Feeds;
  /** Those of the config, and what delivers the rest of others: see `openLeftovers()`. */
  readonly outputs: readonly Output[];
  /** To all outputs of the config. */
  readonly router: Router;
  /** Positions of files that no input of this config reads; kept for a config that will. */
  readonly otherMarks: readonly Mark[];
}

/** Opens outputs; `detect` is none while rules run here, it is part of the router. When one fails, those before it are closed again. */
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
      return context.records && new HttpOutput(recordsTo(context.records, config), context);
  }
}

/** Says which queues and spools hold records that the config has no output or input for. */
export function tellOrphans(
  config: PipelineConfig,
  { stateDir, queueDir }: { readonly stateDir: string; readonly queueDir: string },
  onProblem: (code: string, message: string) => void,
): void {
  for (const name of orphanSpools(config, stateDir)) {
    const why = `Spool ${name} may hold records of an input that is not in the config any more: they are kept`;
    onProblem("input/orphan-spool", `${why}, and read when the input is back under its alias`);
  }
  for (const name of orphanQueues(config, queueDir)) {
    if (name.startsWith(fleetPrefix)) continue;
    const why = `Queue ${name} holds records of an output that is not in the config any more: they are kept`;
    onProblem("output/orphan-queue", `${why}, and delivered when the output is back under its alias`);
  }
}

/**
 * Outputs for alerts that a config before this one queued for the server under another alias. There is one place for them
 * whatever the alias was, so they are delivered; nothing is routed here any more.
 */
export function openLeftovers(config: PipelineConfig, context: OutputContext): Output[] {
  return orphanQueues(config, context.queueDir)
    .filter((name) => name.startsWith(fleetPrefix))
    .map((name) => new FleetOutput(leftoverConfig(name.slice(fleetPrefix.length)), context));
}

const fleetPrefix = "fleet-";

function leftoverConfig(alias: string): FleetConfig {
  return {
    plugin: "fleet",
    alias,
    at: { file: "a config of before", line: 1, column: 1 },
    match: { kind: "glob", pattern: alias },
    queueBytesMax: readThroughMax,
    overflow: "wait",
    retryLimit: undefined,
  };
}

/** Queues with records of outputs that the config does not have: kept, but nobody delivers them. */
function orphanQueues(config: PipelineConfig, queueDir: string): string[] {
  const own = new Set(config.outputs.map((output) => queueName(output)));
  const names = fs.existsSync(queueDir) ? fs.readdirSync(queueDir) : [];
  return names.filter((name) => !own.has(name) && holdsRecords(join(queueDir, name)));
}

/** A queue that is larger than one that ran empty ever is has something, and is not read through for that. */
const readThroughMax = 64 * 1024 * 1024;

/** Whether a queue that nobody uses has records. A killed process leaves the files of an empty one as well. */
function holdsRecords(dir: string): boolean {
  const sizes = segmentIds(dir, "seg").map((id) => fs.statSync(segmentPath(dir, id)).size);
  if (sizes.length === 0) return false;
  if (sizes.reduce((sum, size) => sum + size, 0) > readThroughMax) return true;
  const bounds = { bytesMax: readThroughMax, segmentBytes: readThroughMax };
  const queue = new DiskQueue(dir, { ...bounds, onProblem: () => {} });
  const isEmpty = queue.isEmpty;
  queue.close();
  return !isEmpty;
}

export interface InputOptions {
  readonly marks: readonly Mark[];
  readonly readAll: boolean;
  readonly allowList: AllowList;
  /** Whether files are read to their end, as with `exit_on_eof`. */
  readonly endsAtEof: boolean;
  readonly deadLetter: DeadLetter;
  /** For what inputs keep themselves. */
  readonly stateDir: string;
  /** Counters live longer than a config. */
  readonly countersOf: (alias: string) => InputContext["counters"];
  readonly nowMs: number;
  readonly onProblem: (code: string, message: string) => void;
}

/** Opens inputs at their positions; gives those that no input goes on from. When one fails, those before it are closed again. */
export async function openInputs(
  config: PipelineConfig,
  feeds: Feeds,
  options: InputOptions,
): Promise<readonly Mark[]> {
  let rest = [...options.marks];
  try {
    for (const input of config.inputs) {
      const own = rest.filter((mark) => isOf(mark, input));
      rest = rest.filter((mark) => !own.includes(mark));
      const first = own.filter((mark) => mark.behind === undefined);
      rest.push(...feeds.add(await openInput(input, first, options), own));
    }
    return rest;
  } catch (error) {
    for (const { input } of feeds.all) await input.close();
    throw error;
  }
}

/** Opens files once more, for outputs that are behind: the first reader counts, and sets aside what is no record. */
export function openTailAgain(
  input: TailConfig,
  marks: readonly Mark[],
  first: TailInput,
  options: InputOptions,
): TailInput {
  const { deadLetter, onProblem } = options;
  const parking: Parking = {
    openLong: (name) => deadLetter.openLong(name),
    addBytes: () => {},
    park: () => {},
    parkFile: () => {},
  };
  const context = { counters: newCounters(), onProblem };
  const again = openTail(input, marks, context, { ...options, deadLetter: parking, readAll: false });
  // A file that the first has not open is one that it has done with: nothing more comes of that.
  again.readTo = (file) => first.reachedIn(file) ?? Number.POSITIVE_INFINITY;
  return again;
}

/** Whether a position is one that an input goes on from. */
function isOf(mark: Mark, input: InputConfig): boolean {
  switch (input.plugin) {
    case "tail":
      if (mark.kind === "path") return input.paths.includes(mark.path);
      return mark.kind === "file" && input.paths.some((path) => isNamedBy(mark.base, path));
    case "http":
      return mark.kind === "spool" && mark.name === spoolName(input);
    case "stdin":
    case "dummy":
      return false;
  }
}

async function openInput(input: InputConfig, marks: readonly Mark[], options: InputOptions): Promise<Input> {
  const { deadLetter, countersOf, nowMs, onProblem } = options;
  const context = { counters: countersOf(input.alias), onProblem };
  switch (input.plugin) {
    case "tail":
      return openTail(options.endsAtEof ? { ...input, exitOnEof: true } : input, marks, context, options);
    case "http": {
      const folder = join(spoolsIn(options.stateDir), spoolName(input));
      const mayUse = (path: string) => isBelowAny(path, options.allowList.secretDirectories ?? []);
      return await HttpInput.open(input, folder, marks, deadLetter, {
        ...context,
        mayUse,
        limits: listenerLimits,
      });
    }
    case "stdin":
      return new StdinInput(input, deadLetter, context);
    case "dummy":
      return new DummyInput(input, deadLetter, context, nowMs);
  }
}

function openTail(
  input: TailConfig,
  marks: readonly Mark[],
  context: InputContext,
  options: Omit<InputOptions, "deadLetter"> & { readonly deadLetter: Parking },
): TailInput {
  const { readAll, allowList, deadLetter, nowMs, stateDir } = options;
  const files = new TailFiles(input, marks, readAll, {
    ...context,
    mayRead: (path) => isBelowAny(path, allowList.tailDirectories),
    unpackDir: join(stateDir, "unpacked"),
  });
  // From here on a rotation is seen as one: what is rotated before the first look is history.
  files.refresh(nowMs);
  return new TailInput(input, files, deadLetter, context, nowMs);
}

/** Spools with records of inputs that the config does not have: kept, but nobody reads them. */
function orphanSpools(config: PipelineConfig, stateDir: string): string[] {
  const own = new Set(config.inputs.flatMap((input) => (input.plugin === "http" ? [spoolName(input)] : [])));
  const folder = spoolsIn(stateDir);
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  return names.filter((name) => !own.has(name));
}

function spoolsIn(stateDir: string): string {
  return join(stateDir, "spool");
}

/** Positions of everything, to note. */
export function marksOf(active: Active): Mark[] {
  return [...active.feeds.all.flatMap((feed) => feed.marks()), ...active.otherMarks];
}
