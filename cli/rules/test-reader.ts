import { priorities } from "#engine";
import { nearest } from "../nearest.ts";

/** The way to a value in a test file: keys of maps and places in lists. */
export type Path = readonly (string | number)[];

/** Something said about a place in a test file. */
export interface Remark {
  readonly path: Path;
  readonly words: string;
}

/** What is wrong with a file or test, and what looks like a mistake but may be meant. */
export interface Remarks {
  readonly problems: Remark[];
  readonly notes: Remark[];
}

/** Keys that explain a test to people. They change nothing. */
const forPeople: ReadonlySet<string> = new Set(["description", "desc", "comment", "note", "notes", "id"]);

/** Words that people bring along from elsewhere or put in the wrong place, and what to write instead. */
const elsewhere: ReadonlyMap<string, string> = new Map([
  ["rule_files", "rules"],
  ["rules_files", "rules"],
  ["rules_file", "rules"],
  ["event_files", "events"],
  ["exp_alerts", "expect: { alerts: ... }"],
  ["expected", "expect"],
  ["expected_alerts", "expect: { alerts: ... }"],
  ["alerts", "expect: { alerts: ... }"],
  ["load", "expect: { load: ... }"],
  ["code", "expect: { code: ... }"],
  ["warnings", "expect: { warnings: ... }"],
  ["output_contains", "expect: { output_contains: ... }"],
  ["priority", "minimum_priority"],
]);

/** A map. A key that is nearly a known one would go unnoticed, so it is a problem; any other unknown key is noted. */
export function fields(
  path: Path,
  item: unknown,
  known: readonly string[],
  remarks: Remarks,
): Readonly<Record<string, unknown>> {
  const found = record(path, item, remarks);
  for (const key of Object.keys(found)) {
    if (known.includes(key) || forPeople.has(key) || key.startsWith("x-")) continue;
    const meant = elsewhere.get(key) ?? nearest(key, known)[0];
    const place = [...path, key];
    if (meant !== undefined) {
      remarks.problems.push({ path: place, words: `unknown key; write ${meant} instead` });
    } else {
      const words = `unknown key, ignored; the known ones are ${known.join(", ")}`;
      remarks.notes.push({ path: place, words });
    }
  }
  return found;
}

export function record(path: Path, item: unknown, { problems }: Remarks): Readonly<Record<string, unknown>> {
  if (typeof item === "object" && item !== null && !Array.isArray(item)) {
    return item as Readonly<Record<string, unknown>>;
  }
  problems.push({ path, words: `give a map, not ${kindOf(item)}` });
  return {};
}

export function array(path: Path, item: unknown, { problems }: Remarks): readonly unknown[] {
  if (Array.isArray(item)) return item;
  problems.push({ path, words: `give a list, not ${kindOf(item)}` });
  return [];
}

/** A list of texts; one text stands for a list of one. `advice` says what to do with anything else. */
export function texts(
  path: Path,
  item: unknown,
  remarks: Remarks,
  advice = "give a text",
): readonly string[] {
  if (item === undefined || item === null) return [];
  const list = isText(item) ? [item] : array(path, item, remarks);
  return list.flatMap((entry, index) => {
    if (isText(entry)) return [String(entry)];
    remarks.problems.push({ path: [...path, index], words: `${advice}, not ${kindOf(entry)}` });
    return [];
  });
}

function isText(value: unknown): value is string | number | bigint {
  return ["string", "number", "bigint"].includes(typeof value);
}

/** What a scalar says; an empty text for anything else. */
export function wordOf(value: unknown): string {
  return isText(value) || typeof value === "boolean" ? String(value) : "";
}

/** What stands there, for people. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  return `"${wordOf(value).slice(0, 60)}"`;
}

/** A path as people write it: `tests[2].expect.alerts`. */
export function showPath(path: Path): string {
  const steps = path.map((step) => {
    if (typeof step === "number") return `[${step}]`;
    return /^[\w-]+$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
  });
  return steps.join("").replace(/^\./, "");
}

/** A priority in any case, `info` for informational; undefined for anything else. */
export function parsePriorityWord(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const word = value.toLowerCase();
  return priorities.find((priority) => priority.toLowerCase() === (word === "info" ? "informational" : word));
}
