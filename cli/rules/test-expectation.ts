import { nearest } from "../nearest.ts";
import { array, kindOf, type Path, record, type Remarks, texts, wordOf } from "./test-reader.ts";

export interface Expectation {
  /** `ok` allows warnings; `warning` asks for at least one. */
  readonly load: "ok" | "warning" | "error";
  /** Codes of which loading must give one: of errors where it must fail, else of warnings. */
  readonly codes: readonly string[];
  /** Codes of warnings that loading must give; an empty list asks that there be none. */
  readonly warnings: readonly string[] | undefined;
  /** How often each rule fires; a rule that is not named must not fire. Undefined: any alerts will do. */
  readonly alerts: ReadonlyMap<string, number> | undefined;
  /** Each text must stand in the output of at least one alert. */
  readonly outputContains: readonly string[];
}

const known = ["load", "code", "warnings", "alerts", "output_contains"];
const countWords = 'give how often the rule fires as a whole number, such as "Rule Name: 1"';

/** Reads what a test expects. With nothing to expect, the rules must load and nothing may fire. */
export function readExpectation(path: Path, item: unknown, remarks: Remarks): Expectation {
  if (item === undefined) {
    const words =
      "no expect, so the rules must load and nothing may fire; write expect: { alerts: {} } to say so";
    remarks.notes.push({ path, words });
  }
  const expect = record(path, item ?? {}, remarks);
  for (const key of Object.keys(expect)) {
    if (known.includes(key)) continue;
    // Unlike elsewhere, a key that is not understood here is something that would go unchecked.
    const [near] = nearest(key, known);
    const words = near === undefined ? `unknown key; use ${known.join(", ")}` : `unknown key; write ${near}`;
    remarks.problems.push({ path: [...path, key], words });
  }
  const codes = texts([...path, "code"], expect["code"], remarks);
  const { load, code } = readLoad([...path, "load"], expect["load"], codes, remarks);
  const warnings =
    expect["warnings"] === undefined
      ? undefined
      : texts([...path, "warnings"], expect["warnings"], remarks, "give a code such as LOAD_UNUSED_MACRO");
  const outputContains = texts([...path, "output_contains"], expect["output_contains"], remarks);
  const alerts = readAlerts([...path, "alerts"], expect, remarks);
  if (load === "error" && ((alerts?.size ?? 0) > 0 || outputContains.length > 0)) {
    remarks.problems.push({
      path,
      words: "rules that do not load raise no alerts; leave load or alerts away",
    });
  }
  return { load, codes: code, warnings, alerts, outputContains };
}

function readLoad(
  path: Path,
  load: unknown,
  codes: readonly string[],
  remarks: Remarks,
): { readonly load: Expectation["load"]; readonly code: readonly string[] } {
  if (load === undefined || load === null) {
    return { load: codes.some((code) => code.startsWith("LOAD_ERR_")) ? "error" : "ok", code: codes };
  }
  const word = wordOf(load).toLowerCase();
  if (word === "ok" || word === "warning" || word === "error") return { load: word, code: codes };
  if (typeof load === "string" && /^LOAD_[A-Z_]+$/.test(load)) {
    return { load: load.startsWith("LOAD_ERR_") ? "error" : "warning", code: [...codes, load] };
  }
  const words = `give ok, warning, error or a code such as LOAD_ERR_VALIDATE, not ${kindOf(load)}`;
  remarks.problems.push({ path, words });
  return { load: "ok", code: codes };
}

/**
 * A map of rules with how often each fires, or a list of such maps, of `{ rule, count }`, or of names that stand once for each
 * alert. Who speaks of loading or of
 * outputs alone asks nothing of the counts; who says nothing at all expects none.
 */
function readAlerts(
  path: Path,
  expect: Readonly<Record<string, unknown>>,
  remarks: Remarks,
): ReadonlyMap<string, number> | undefined {
  const alerts = new Map<string, number>();
  if (!("alerts" in expect)) return Object.keys(expect).length === 0 ? alerts : undefined;
  const item = expect["alerts"] ?? {};
  const add = (place: Path, rule: string, value: unknown): void => {
    const count =
      typeof value === "object" || typeof value === "boolean" || value === "" ? NaN : Number(value);
    if (Number.isSafeInteger(count) && count >= 0) alerts.set(rule, (alerts.get(rule) ?? 0) + count);
    else remarks.problems.push({ path: place, words: `${countWords}, not ${kindOf(value)}` });
  };
  if (!Array.isArray(item)) {
    if (typeof item !== "object") {
      remarks.problems.push({ path, words: `give a map such as { Rule Name: 1 }, not ${kindOf(item)}` });
      return alerts;
    }
    for (const [rule, count] of Object.entries(item)) add([...path, rule], rule, count);
    return alerts;
  }
  for (const [index, entry] of array(path, item, remarks).entries()) {
    const place = [...path, index];
    if (typeof entry === "string") {
      add(place, entry, 1);
      continue;
    }
    const found = record(place, entry, remarks);
    const { rule: named, count: often = 1 } = found;
    if (typeof named === "string") add(place, named, often);
    else for (const [rule, count] of Object.entries(found)) add([...place, rule], rule, count);
  }
  return alerts;
}
