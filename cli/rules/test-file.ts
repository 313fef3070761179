import { parse, stringify } from "yaml";
import { array, fields, parsePriorityWord, record, texts } from "./test-reader.ts";

/** Which rules a test runs: files or folders relative to the test file, then texts that stand in it. */
export interface RulesChoice {
  readonly paths: readonly string[];
  readonly inline: readonly string[];
}

/** One rule test: events go in, exactly these alerts come out. */
export interface RuleTest {
  readonly name: string;
  readonly rules: RulesChoice;
  readonly ruleMatching: "first" | "all";
  readonly minimumPriority: string | undefined;
  /** Undefined: as the command says. */
  readonly compat: "fixed" | "strict" | undefined;
  /** Files relative to the test file. */
  readonly events: readonly string[];
  /** Each a text as an event file would hold it. */
  readonly inlineEvents: readonly string[];
  readonly expect: Expectation;
}

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

export interface TestFile {
  readonly tests: readonly RuleTest[];
  /** What looks like a mistake but may be meant. */
  readonly notes: readonly string[];
}

export type ParsedTestFile =
  | { readonly ok: true; readonly value: TestFile }
  | { readonly ok: false; readonly problems: readonly string[] };

const lengthMax = 64 * 1024 * 1024;
const testsMax = 100_000;
const ruleKeys = ["rules", "inline_rules", "rule_matching", "minimum_priority", "compat"];

/** Reads a rule test file. Every problem is told at once, with the place in the file as a path. */
export function parseTestFile(text: string): ParsedTestFile {
  if (text.length > lengthMax) return refuse([`the file is longer than ${lengthMax} bytes: split it`]);
  const problems: string[] = [];
  const notes: string[] = [];
  const document = parseDocument(text, problems);
  if (problems.length > 0) return refuse(problems);
  const root = fields("the file", document, [...ruleKeys, "tests"], problems, notes);
  const common = readRules("", root, problems);
  const list = array("tests", root["tests"], problems);
  if (list.length === 0) problems.push("tests: there are none");
  if (list.length > testsMax) problems.push(`tests: more than ${testsMax}: split the file`);
  const tests = list
    .slice(0, testsMax)
    .map((item, index) => readTest(`tests[${index}]`, item, common, problems, notes));
  return problems.length > 0 ? refuse(problems) : { ok: true, value: { tests, notes } };
}

function refuse(problems: readonly string[]): ParsedTestFile {
  return { ok: false, problems };
}

/** A file that is JSON is read as JSON, which is much faster; whole numbers of any size stay exact in YAML. */
function parseDocument(text: string, problems: string[]): unknown {
  if (text.trimStart().startsWith("{")) {
    try {
      return JSON.parse(text);
    } catch {
      // YAML may start with a brace too, and says better what is wrong.
    }
  }
  try {
    return parse(text, { maxAliasCount: 1000, merge: true, intAsBigInt: true });
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

type Common = Pick<RuleTest, "ruleMatching" | "minimumPriority" | "compat"> & {
  readonly rules: RulesChoice | undefined;
};

function readRules(place: string, item: Readonly<Record<string, unknown>>, problems: string[]): Common {
  const matching = item["rule_matching"] ?? "first";
  if (matching !== "first" && matching !== "all") {
    problems.push(`${place}rule_matching: give "first" or "all"`);
  }
  const priority = item["minimum_priority"] ?? undefined;
  const isKnown = priority === undefined || parsePriorityWord(priority) !== undefined;
  if (!isKnown) problems.push(`${place}minimum_priority: give one of Falco's, such as WARNING`);
  const compat = item["compat"] ?? undefined;
  const isCompat = compat === "fixed" || compat === "strict";
  if (compat !== undefined && !isCompat) problems.push(`${place}compat: give "fixed" or "strict"`);
  const hasRules = (item["rules"] ?? item["inline_rules"] ?? undefined) !== undefined;
  const rules = {
    paths: texts(`${place}rules`, item["rules"] ?? [], problems),
    inline: inlineRules(item["inline_rules"]),
  };
  return {
    rules: hasRules ? rules : undefined,
    ruleMatching: matching === "all" ? "all" : "first",
    minimumPriority: parsePriorityWord(priority),
    compat: isCompat ? compat : undefined,
  };
}

/** A text, a list of texts (one for each file), or the rules themselves as a list of maps. */
function inlineRules(value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  if (typeof value === "string") return [value];
  if (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string")) return value;
  return [stringify(value)];
}

function readTest(
  place: string,
  item: unknown,
  common: Common,
  problems: string[],
  notes: string[],
): RuleTest {
  const keys = ["name", ...ruleKeys, "events", "inline_events", "expect"];
  const test = fields(place, item, keys, problems, notes);
  const own = readRules(`${place}.`, test, problems);
  const rules = own.rules ?? common.rules;
  if (rules === undefined) problems.push(`${place}: neither it nor the file has rules or inline_rules`);
  const { name = place } = test;
  if (test["expect"] === undefined) problems.push(`${place}.expect: say what should happen`);
  const text = typeof name === "string" ? name : String(name);
  return {
    name: text === "" ? place : text,
    rules: rules ?? { paths: [], inline: [] },
    ruleMatching: test["rule_matching"] === undefined ? common.ruleMatching : own.ruleMatching,
    minimumPriority: own.minimumPriority ?? common.minimumPriority,
    compat: own.compat ?? common.compat,
    events: texts(`${place}.events`, test["events"] ?? [], problems),
    inlineEvents: inlineEvents(`${place}.inline_events`, test["inline_events"] ?? [], problems),
    expect: readExpectation(`${place}.expect`, test["expect"] ?? {}, problems),
  };
}

function inlineEvents(place: string, value: unknown, problems: string[]): readonly string[] {
  const list = Array.isArray(value) ? value : [value];
  return list.flatMap((event, index) => {
    if (typeof event === "string") return [event];
    if (Array.isArray(event)) return [toJson(event)];
    const found = record(`${place}[${index}]`, event, problems);
    return [toJson(isAbbreviated(found) ? complete(found, index) : found)];
  });
}

/** YAML's whole numbers come as bigints, which JSON.stringify refuses. */
function toJson(value: unknown): string {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(toJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}:${toJson(member)}`);
  return `{${members.join(",")}}`;
}

/** Without any of these it is no event as it stands, so that its author must have left them out on purpose. */
const envelope = ["kind", "apiVersion", "auditID", "stageTimestamp"];

function isAbbreviated(event: Readonly<Record<string, unknown>>): boolean {
  const isRequest = ["verb", "user", "objectRef", "requestURI"].some((key) => key in event);
  return isRequest && !envelope.some((key) => key in event);
}

/** Adds what an abbreviated event leaves out: the envelope, the stage that most rules read, and the success. */
function complete(
  event: Readonly<Record<string, unknown>>,
  index: number,
): Readonly<Record<string, unknown>> {
  return {
    kind: "Event",
    apiVersion: "audit.k8s.io/v1",
    level: "requestObject" in event ? "RequestResponse" : "Metadata",
    auditID: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
    stage: "ResponseComplete",
    requestURI: "/",
    sourceIPs: ["192.0.2.1"],
    userAgent: "kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0",
    responseStatus: { metadata: {}, code: 200 },
    requestReceivedTimestamp: "2026-01-01T00:00:00.000000Z",
    stageTimestamp: "2026-01-01T00:00:00.001000Z",
    annotations: { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "" },
    ...event,
  };
}

function readExpectation(place: string, item: unknown, problems: string[]): Expectation {
  const known = ["load", "code", "warnings", "alerts", "output_contains"];
  const expect = record(place, item, problems);
  for (const key of Object.keys(expect)) {
    // Unlike elsewhere, a key that is not understood here is something that would go unchecked.
    if (!known.includes(key)) problems.push(`${place}: unknown key "${key}": use ${known.join(", ")}`);
  }
  const codes = texts(`${place}.code`, expect["code"] ?? [], problems);
  const { load, code } = readLoad(place, expect["load"], codes, problems);
  const warnings = expect["warnings"] ?? undefined;
  const outputContains = texts(`${place}.output_contains`, expect["output_contains"] ?? [], problems);
  const alerts = expect["alerts"] ?? undefined;
  // Whoever asks for words in an output expects alerts; whoever asks for nothing expects none.
  const none = outputContains.length > 0 ? undefined : new Map<string, number>();
  return {
    load,
    codes: code,
    warnings: warnings === undefined ? undefined : texts(`${place}.warnings`, warnings, problems),
    alerts: alerts === undefined ? none : readAlerts(`${place}.alerts`, alerts, problems),
    outputContains,
  };
}

function readLoad(
  place: string,
  load: unknown,
  codes: readonly string[],
  problems: string[],
): { readonly load: Expectation["load"]; readonly code: readonly string[] } {
  if (load === undefined || load === null) return { load: codes.length > 0 ? "error" : "ok", code: codes };
  if (load === "ok" || load === "warning" || load === "error") return { load, code: codes };
  if (typeof load === "string" && /^LOAD_[A-Z_]+$/.test(load)) {
    return { load: load.startsWith("LOAD_ERR_") ? "error" : "warning", code: [...codes, load] };
  }
  problems.push(`${place}.load: give ok, warning, error or a code such as LOAD_ERR_VALIDATE`);
  return { load: "ok", code: codes };
}

/** A map of rules with how often each fires, or a list in which a rule stands once for each alert. */
function readAlerts(place: string, item: unknown, problems: string[]): ReadonlyMap<string, number> {
  const alerts = new Map<string, number>();
  if (Array.isArray(item)) {
    for (const rule of texts(place, item, problems)) alerts.set(rule, (alerts.get(rule) ?? 0) + 1);
    return alerts;
  }
  for (const [rule, value] of Object.entries(record(place, item, problems))) {
    const count = Number(value);
    if (Number.isInteger(count) && count >= 0 && value !== null) alerts.set(rule, count);
    else problems.push(`${place}.${rule}: give how often the rule fires, as a whole number`);
  }
  return alerts;
}
