import { parse } from "yaml";

/** One rule test: events go in, exactly these alerts come out. */
export interface RuleTest {
  readonly name: string;
  /** Files of JSON lines, relative to the test file. */
  readonly events: readonly string[];
  readonly inlineEvents: readonly Readonly<Record<string, unknown>>[];
  readonly expect: Expectation;
}

export interface Expectation {
  /** `ok`, `error`, or the code of an error that loading must give, such as LOAD_ERR_VALIDATE. */
  readonly load: string;
  /** How often each rule fires. A rule that is not named must not fire. */
  readonly alerts: Readonly<Record<string, number>>;
  /** Each text must stand in the output of at least one alert. */
  readonly outputContains: readonly string[];
}

export interface TestFile {
  /** Rules files, or folders of them, relative to the test file. */
  readonly rules: readonly string[];
  readonly ruleMatching: "first" | "all";
  readonly tests: readonly RuleTest[];
}

export type ParsedTestFile =
  | { readonly ok: true; readonly value: TestFile }
  | { readonly ok: false; readonly problems: readonly string[] };

const bytesMax = 8 * 1024 * 1024;
const testsMax = 10_000;

/** Reads a rule test file. Every problem is told at once, with the place in the file as a path. */
export function parseTestFile(text: string): ParsedTestFile {
  if (text.length > bytesMax) return refuse([`the file is longer than ${bytesMax} bytes: split it`]);
  const problems: string[] = [];
  const document = parseYaml(text, problems);
  if (problems.length > 0) return refuse(problems);
  const root = fields("the file", document, ["rules", "rule_matching", "tests"], problems);
  const rules = strings("rules", root["rules"], problems);
  if (rules.length === 0) problems.push("rules: name at least one rules file or folder");
  const matching = root["rule_matching"] ?? "first";
  if (matching !== "first" && matching !== "all") problems.push(`rule_matching: give "first" or "all"`);
  const list = array("tests", root["tests"], problems);
  if (list.length === 0) problems.push("tests: there are none");
  if (list.length > testsMax) problems.push(`tests: more than ${testsMax}: split the file`);
  const tests = list.slice(0, testsMax).map((item, index) => readTest(`tests[${index}]`, item, problems));
  if (problems.length > 0) return refuse(problems);
  return { ok: true, value: { rules, ruleMatching: matching === "all" ? "all" : "first", tests } };
}

function refuse(problems: readonly string[]): ParsedTestFile {
  return { ok: false, problems };
}

function parseYaml(text: string, problems: string[]): unknown {
  try {
    return parse(text, { maxAliasCount: 1000, merge: true });
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

function readTest(place: string, item: unknown, problems: string[]): RuleTest {
  const test = fields(place, item, ["name", "events", "inline_events", "expect"], problems);
  const name = test["name"];
  if (typeof name !== "string" || name === "") problems.push(`${place}.name: give the test a name`);
  const events = strings(`${place}.events`, test["events"] ?? [], problems);
  const inline = array(`${place}.inline_events`, test["inline_events"] ?? [], problems);
  if (events.length + inline.length === 0) problems.push(`${place}: give events or inline_events`);
  return {
    name: typeof name === "string" ? name : place,
    events,
    inlineEvents: inline.map((event, index) => record(`${place}.inline_events[${index}]`, event, problems)),
    expect: readExpectation(`${place}.expect`, test["expect"], problems),
  };
}

function readExpectation(place: string, item: unknown, problems: string[]): Expectation {
  const expect = fields(place, item, ["load", "alerts", "output_contains"], problems);
  const load = expect["load"] ?? "ok";
  if (typeof load !== "string") problems.push(`${place}.load: give ok, error or an error code`);
  const alerts = record(`${place}.alerts`, expect["alerts"] ?? {}, problems);
  const counts = Object.entries(alerts).map(([rule, count]): [string, number] => {
    if (typeof count === "number" && Number.isInteger(count) && count > 0) return [rule, count];
    problems.push(`${place}.alerts.${rule}: give how often the rule fires, at least 1`);
    return [rule, 0];
  });
  return {
    load: typeof load === "string" ? load : "ok",
    alerts: Object.fromEntries(counts),
    outputContains: strings(`${place}.output_contains`, expect["output_contains"] ?? [], problems),
  };
}

function fields(
  place: string,
  item: unknown,
  known: readonly string[],
  problems: string[],
): Readonly<Record<string, unknown>> {
  const found = record(place, item, problems);
  for (const key of Object.keys(found)) {
    if (!known.includes(key)) problems.push(`${place}: unknown key "${key}": use ${known.join(", ")}`);
  }
  return found;
}

function record(place: string, item: unknown, problems: string[]): Readonly<Record<string, unknown>> {
  if (typeof item === "object" && item !== null && !Array.isArray(item)) return { ...item };
  problems.push(`${place}: give a map`);
  return {};
}

function array(place: string, item: unknown, problems: string[]): readonly unknown[] {
  if (Array.isArray(item)) return item;
  problems.push(`${place}: give a list`);
  return [];
}

function strings(place: string, item: unknown, problems: string[]): readonly string[] {
  const list = array(place, item, problems);
  return list.flatMap((entry, index) => {
    if (typeof entry === "string") return [entry];
    problems.push(`${place}[${index}]: give a text`);
    return [];
  });
}
