import { readFile, stat } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { parse, YAMLParseError } from "yaml";
import { type Share, type Stage, StageSchema } from "#proto/fleet/v1/rollout_spec";
import { parseDuration } from "./duration.ts";
import { misused } from "./failure.ts";
import { nearest } from "./nearest.ts";
import { array, kindOf, type Path, record, type Remark, type Remarks, wordOf } from "./rules/test-reader.ts";
import { Places } from "./rules/test-places.ts";
import { parseSelector, requirementIn, selectorOf } from "./selector.ts";
import {
  type GateChoice,
  type OfflineWord,
  offlineWords,
  parseShare,
  type StrategyChoice,
} from "./strategy-flags.ts";

const bytesMax = 64 * 1024;
const problemsShown = 20;

type Fields = Readonly<Record<string, unknown>>;
/** Reads one value; says what is wrong with it in the remarks. */
type Reader<T> = (path: Path, value: unknown, remarks: Remarks) => T | undefined;

/** Reads a strategy file, or throws a failure that names every problem with its line. */
export async function readStrategyFile(path: string): Promise<StrategyChoice> {
  const text = await readBounded(path);
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0, logLevel: "error" });
  } catch (error) {
    const line = error instanceof YAMLParseError ? error.linePos?.[0].line : undefined;
    const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    const words = why.replace(/ at line \d+, column \d+:?$/, "");
    throw misused(`${path}:${line ?? 1}: the file cannot be read as YAML: ${words}`);
  }
  const remarks: Remarks = { problems: [], notes: [] };
  const choice = readChoice(value, remarks);
  if (remarks.problems.length > 0) throw misused(describe(path, text, remarks.problems), ...help);
  return choice;
}

const help = ["Its keys and an example stand in docs/rollouts.md."];

async function readBounded(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > bytesMax) throw misused(`${path} has ${size} bytes; a strategy file has ${bytesMax} at most`);
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") throw misused(`${path} is no UTF-8 text`);
    if (code === undefined) throw error;
    throw misused(`--strategy ${path} cannot be read (${code})`);
  }
}

function describe(path: string, text: string, problems: readonly Remark[]): string {
  const places = new Places(text);
  const lines = problems
    .slice(0, problemsShown)
    .map((problem) => ({ line: places.line(problem.path), words: problem.words }))
    .toSorted((a, b) => a.line - b.line)
    .map(({ line, words }) => `${path}:${line}: ${words}`);
  const more = problems.length > problemsShown ? [`and ${problems.length - problemsShown} more`] : [];
  return [...lines, ...more].join("\n");
}

const keys = {
  canary: "canary",
  growth: "growth",
  region_order: "regionOrder",
  steps: "steps",
  stages: "stages",
  max_unavailable: "maxUnavailable",
  max_failures: "maxFailures",
  soak: "soak",
  deadline: "deadline",
  offline: "offline",
  on_failure: "onFailure",
  gates: "gates",
} as const satisfies Readonly<Record<string, keyof StrategyChoice>>;

function readChoice(value: unknown, remarks: Remarks): StrategyChoice {
  const map = known([], value, Object.keys(keys), remarks);
  const at = <T>(key: keyof typeof keys, read: Reader<T>): { [K in string]?: T } => {
    const found = map[key];
    const item = found === undefined ? undefined : read([key], found, remarks);
    return item === undefined ? {} : { [keys[key]]: item };
  };
  return {
    ...at("canary", count),
    ...at("growth", count),
    ...at("region_order", names),
    ...at("steps", steps),
    ...at("stages", stages),
    ...at("max_unavailable", share(1)),
    ...at("max_failures", share(0)),
    ...at("soak", duration),
    ...at("deadline", duration),
    ...at("offline", word<OfflineWord>(offlineWords)),
    ...at("on_failure", word(["pause", "rollback"] as const)),
    ...at("gates", gates),
  };
}

/** A map with no keys but these: one that is misspelt must not go unnoticed. */
function known(path: Path, value: unknown, allowed: readonly string[], remarks: Remarks): Fields {
  const map = record(path, value, remarks);
  for (const key of Object.keys(map).filter((each) => !allowed.includes(each))) {
    const meant = nearest(key, allowed)[0];
    const hint = meant === undefined ? `the keys are ${allowed.join(", ")}` : `did you mean "${meant}"?`;
    remarks.problems.push({ path: [...path, key], words: `"${key.slice(0, 60)}" is no key here; ${hint}` });
  }
  return map;
}

const count: Reader<number> = (path, value, { problems }) => {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 10_000) return value;
  problems.push({ path, words: `give a whole number from 1 to 10000, not ${kindOf(value)}` });
  return undefined;
};

const share =
  (min: number): Reader<Share> =>
  (path, value, { problems }) => {
    const found = typeof value === "number" || typeof value === "string" ? `${value}` : "";
    const parsed = parseShare(found, min);
    if (parsed !== undefined) return parsed;
    const words = `give a number of clusters (5) or a percentage (10%), at least ${min}, not ${kindOf(value)}`;
    problems.push({ path, words });
    return undefined;
  };

const duration: Reader<number> = (path, value, { problems }) => {
  const seconds = typeof value === "string" ? parseDuration(value) : value === 0 ? 0 : undefined;
  if (seconds === undefined) {
    problems.push({ path, words: `give a duration such as 90s, 10m or 1h30m, not ${kindOf(value)}` });
  }
  return seconds;
};

const names: Reader<readonly string[]> = (path, value, remarks) =>
  array(path, value, remarks).flatMap((entry, i) => {
    // YAML reads `no` as a text, but 1 as a number; both may be values of a label.
    if (typeof entry === "string" || typeof entry === "number") return [String(entry)];
    remarks.problems.push({ path: [...path, i], words: `give the value of a label, not ${kindOf(entry)}` });
    return [];
  });

const steps: Reader<readonly Share[]> = (path, value, remarks) =>
  array(path, value, remarks).flatMap((entry, i) => share(1)([...path, i], entry, remarks) ?? []);

const word =
  <W extends string>(words: readonly W[]): Reader<W> =>
  (path, value, { problems }) => {
    const found = words.find((each) => each === value);
    if (found === undefined) {
      problems.push({ path, words: `give ${words.join(" or ")}, not ${kindOf(value)}` });
    }
    return found;
  };

/** Gates by name: on, off, or a limit. What they are called and how their limits are written the server knows. */
const gates: Reader<readonly GateChoice[]> = (path, value, remarks) =>
  Object.entries(record(path, value, remarks)).flatMap(([name, limit]): readonly GateChoice[] => {
    if (limit === "off" || limit === false) return [{ name, limit: "", off: true }];
    if (limit === "on" || limit === true) return [{ name, limit: "", off: false }];
    if (typeof limit === "string" || typeof limit === "number") {
      return [{ name, limit: `${limit}`, off: false }];
    }
    const words = `give on, off or a limit such as 2x or 10s, not ${kindOf(limit)}`;
    remarks.problems.push({ path: [...path, name], words });
    return [];
  });

/** A list of stages, or one label with its values in their order. */
const stages: Reader<readonly Stage[]> = (path, value, remarks) => {
  if (Array.isArray(value)) return value.flatMap((each, i) => stage([...path, i], each, remarks) ?? []);
  const labels = Object.entries(record(path, value, remarks));
  const [first, second] = labels;
  if (first === undefined || second !== undefined) {
    const words = `give a list of stages, or one label with its values (environment: [test, prod])`;
    remarks.problems.push({ path: second === undefined ? path : [...path, second[0]], words });
    return undefined;
  }
  const [label, values] = first;
  return (names([...path, label], values, remarks) ?? []).map((name) =>
    create(StageSchema, { name, selector: selectorOf([requirementIn(label, [name])]), steps: [] }),
  );
};

function stage(path: Path, value: unknown, remarks: Remarks): Stage | undefined {
  const map = known(path, value, ["name", "selector", "steps"], remarks);
  const { selector } = map;
  if (typeof selector !== "string") {
    const words = `give the selector of the stage as for -l (selector: environment=test), not ${kindOf(selector)}`;
    remarks.problems.push({ path: [...path, "selector"], words });
    return undefined;
  }
  const parsed = parseSelector(selector);
  if (!parsed.ok) {
    const words = `the selector cannot be read at character ${parsed.position + 1}: ${parsed.message}`;
    remarks.problems.push({ path: [...path, "selector"], words });
    return undefined;
  }
  const name = map["name"] === undefined ? selector : wordOf(map["name"]);
  if (name === "") {
    remarks.problems.push({ path: [...path, "name"], words: `give a name, not ${kindOf(map["name"])}` });
  }
  const own = map["steps"] === undefined ? [] : steps([...path, "steps"], map["steps"], remarks);
  return create(StageSchema, {
    name,
    selector: selectorOf(parsed.requirements),
    steps: [...(own ?? [])],
  });
}
