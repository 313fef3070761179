import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import type { GeneratorOptions } from "./run.ts";

export type ParsedOptions =
  | { readonly ok: true; readonly value: GeneratorOptions; readonly stopsWithParent: boolean }
  | { readonly ok: false; readonly problems: readonly string[] };

const help = {
  file: { type: "string" },
  rate: { type: "string", default: "200" },
  seed: { type: "string", default: "1" },
  cluster: { type: "string", default: "cluster" },
  "threat-every": { type: "string", default: "50" },
  ledger: { type: "string" },
  "max-bytes": { type: "string", default: String(100 * 1024 * 1024) },
  backups: { type: "string", default: "0" },
  replay: { type: "string" },
  loop: { type: "boolean", default: false },
  lines: { type: "string", default: "0" },
  "stop-with-parent": { type: "boolean", default: false },
} as const;

/** Reads the command line of the generator. Every problem is told at once. */
export function parseOptions(argv: readonly string[]): ParsedOptions {
  const problems: string[] = [];
  const values = readFlags(argv, problems);
  const whole = (
    flag: "rate" | "threat-every" | "max-bytes" | "backups" | "lines",
    min: number,
    max: number,
  ): number => {
    const text = values?.[flag] ?? help[flag].default;
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    problems.push(`--${flag} is "${text}": give a whole number from ${min} to ${max}`);
    return min;
  };
  const threatEvery = whole("threat-every", 0, 1_000_000_000);
  if (threatEvery === 1) problems.push("--threat-every is 1: give 2 or more, or 0 for no threats");
  const numbers = {
    ratePerSecond: whole("rate", 1, 100_000),
    threatEvery,
    maxBytes: whole("max-bytes", 4096, 1024 ** 4),
    backupsMax: whole("backups", 0, 100_000),
    linesMax: whole("lines", 0, Number.MAX_SAFE_INTEGER),
  };
  const { file, replay, ledger, loop, seed, cluster } = values ?? {};
  if (values !== undefined && file === undefined) problems.push("--file is missing: name the log to write");
  if (replay !== undefined && !existsSync(replay)) problems.push(`--replay ${replay}: there is no such file`);
  if (loop === true && replay === undefined) problems.push("--loop needs --replay: name a recorded log");
  if (problems.length > 0 || file === undefined) return { ok: false, problems };
  return {
    ok: true,
    stopsWithParent: values?.["stop-with-parent"] === true,
    value: {
      ...numbers,
      file,
      seed: seed ?? help.seed.default,
      cluster: cluster ?? help.cluster.default,
      ...(ledger === undefined ? {} : { ledger }),
      ...(replay === undefined ? {} : { replay: { file: replay, loop: loop === true } }),
    },
  };
}

function readFlags(argv: readonly string[], problems: string[]) {
  try {
    return parseArgs({ args: [...argv], options: help, strict: true }).values;
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}
