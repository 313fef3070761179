import { parse, stringify, YAMLParseError } from "yaml";
import { type Expectation, readExpectation } from "./test-expectation.ts";
import { inlineEvents, yamlOptions } from "./test-events.ts";
import {
  array,
  fields,
  kindOf,
  parsePriorityWord,
  type Path,
  type Remark,
  type Remarks,
  texts,
  wordOf,
} from "./test-reader.ts";

/** Which rules a test runs: files or folders relative to the test file, then texts that stand in it. */
export interface RulesChoice {
  readonly paths: readonly string[];
  readonly inline: readonly string[];
}

/** One rule test: events go in, exactly these alerts come out. */
export interface RuleTest {
  readonly name: string;
  /** Where it stands in the file. */
  readonly path: Path;
  readonly rules: RulesChoice;
  /** Whether the file names rules too, which this test replaces. */
  readonly replacesRules: boolean;
  /** Undefined, as the next two: as the command says. */
  readonly ruleMatching: "first" | "all" | undefined;
  readonly minimumPriority: string | undefined;
  readonly compat: "fixed" | "strict" | undefined;
  /** Files relative to the test file. */
  readonly events: readonly string[];
  /** Each a text as an event file would hold it. */
  readonly inlineEvents: readonly string[];
  readonly expect: Expectation;
  /** What makes no sense about it, so that it fails without being run. */
  readonly problems: readonly Remark[];
  readonly notes: readonly Remark[];
}

export interface TestFile {
  readonly tests: readonly RuleTest[];
  /** What looks like a mistake but may be meant. */
  readonly notes: readonly Remark[];
}

export type ParsedTestFile =
  | { readonly ok: true; readonly value: TestFile }
  | { readonly ok: false; readonly problems: readonly Remark[]; readonly line?: number };

const lengthMax = 64 * 1024 * 1024;
const testsMax = 100_000;
const ruleKeys = ["rules", "inline_rules", "rule_matching", "minimum_priority", "compat"];
const rulesWords = "give the path of a rules file (rules themselves go under inline_rules)";
const eventsWords = "give the path of an event file (events themselves go under inline_events)";

/** Reads a rule test file. Every problem is told at once; one of a single test leaves the others to be run. */
export function parseTestFile(text: string): ParsedTestFile {
  if (text.length > lengthMax) return refuse(`the file is longer than ${lengthMax} characters; split it`);
  const document = parseDocument(text);
  if ("words" in document) return refuse(document.words, document.line);
  const { value: root } = document;
  if (isRulesFile(root)) {
    return refuse("this is a rules file, not a test file; fleetctl rules validate checks it");
  }
  if (typeof root !== "object" || root === null || Array.isArray(root)) {
    return refuse(`give a map with "tests:" and with "rules:" or "inline_rules:", not ${kindOf(root)}`);
  }
  const remarks: Remarks = { problems: [], notes: [] };
  const map = fields([], root, [...ruleKeys, "tests"], remarks);
  const common = readRules([], map, remarks);
  const list =
    remarks.problems.length > 0 && map["tests"] === undefined ? [] : readList(map["tests"], remarks);
  const tests = list.map((item, index) => readTest(["tests", index], item, common));
  const { problems, notes } = remarks;
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: { tests, notes } };
}

function refuse(words: string, line = 1): ParsedTestFile {
  return { ok: false, problems: [{ path: [], words }], line };
}

function readList(value: unknown, remarks: Remarks): readonly unknown[] {
  if (value === undefined || value === null) {
    remarks.problems.push({ path: [], words: 'there is no "tests:"; put the tests there, as a list' });
    return [];
  }
  const list = array(["tests"], value, remarks);
  if (Array.isArray(value) && list.length === 0) {
    remarks.problems.push({ path: ["tests"], words: "there are no tests" });
  }
  if (list.length > testsMax) {
    remarks.problems.push({
      path: ["tests"],
      words: `there are more than ${testsMax} tests; split the file`,
    });
  }
  return list.slice(0, testsMax);
}

/** Whether a document is a list with items of a rules file, which people mix up with test files. */
export function isRulesFile(value: unknown): boolean {
  const kinds = ["rule", "macro", "list", "required_engine_version", "required_plugin_versions"];
  const isItem = (item: unknown): boolean =>
    typeof item === "object" && item !== null && kinds.some((kind) => kind in item);
  return Array.isArray(value) && value.some(isItem);
}

type Document = { readonly value: unknown } | { readonly words: string; readonly line?: number };

/** The value, or in words why there is none. A file that is JSON is read as JSON, which is much faster. */
function parseDocument(text: string): Document {
  if (text.trimStart().startsWith("{")) {
    try {
      return { value: JSON.parse(text) };
    } catch {
      // YAML may start with a brace too, and says better what is wrong.
    }
  }
  try {
    return { value: parse(text, yamlOptions) };
  } catch (error) {
    if (error instanceof YAMLParseError && error.code === "MULTIPLE_DOCS") {
      return { words: "the file holds several YAML documents; put all tests into one list" };
    }
    const line = error instanceof YAMLParseError ? error.linePos?.[0].line : undefined;
    const words = `the file is no YAML: ${error instanceof Error ? error.message.trimEnd() : String(error)}`;
    return line === undefined ? { words } : { words, line };
  }
}

type Common = Pick<RuleTest, "ruleMatching" | "minimumPriority" | "compat"> & {
  readonly rules: RulesChoice | undefined;
};

function readRules(path: Path, item: Readonly<Record<string, unknown>>, remarks: Remarks): Common {
  const word = (
    key: string,
    all: string,
    find: (value: unknown) => string | undefined,
  ): string | undefined => {
    const value = item[key] ?? undefined;
    const found = value === undefined ? undefined : find(value);
    if (value !== undefined && found === undefined) {
      remarks.problems.push({ path: [...path, key], words: `give ${all}, not ${kindOf(value)}` });
    }
    return found;
  };
  const oneOf = (words: readonly string[]) => (value: unknown) =>
    words.find((one) => one === wordOf(value).toLowerCase());
  const hasRules = (item["rules"] ?? item["inline_rules"] ?? undefined) !== undefined;
  const rules = {
    paths: texts([...path, "rules"], item["rules"], remarks, rulesWords),
    inline: inlineRules(item["inline_rules"]),
  };
  return {
    rules: hasRules ? rules : undefined,
    ruleMatching: word("rule_matching", "first or all", oneOf(["first", "all"])) as Common["ruleMatching"],
    minimumPriority: word("minimum_priority", "one of Falco's, such as WARNING", parsePriorityWord),
    compat: word("compat", "fixed or strict", oneOf(["fixed", "strict"])) as Common["compat"],
  };
}

/** A text, a list of texts (one for each file), or the rules themselves as a list of maps. */
function inlineRules(value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  if (typeof value === "string") return [value];
  if (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string")) return value;
  return [stringify(value)];
}

function readTest(path: Path, item: unknown, common: Common): RuleTest {
  const remarks: Remarks = { problems: [], notes: [] };
  const keys = ["name", ...ruleKeys, "events", "inline_events", "expect"];
  const test = fields(path, item, keys, remarks);
  const own = readRules(path, test, remarks);
  const rules = own.rules ?? common.rules;
  if (rules === undefined && remarks.problems.length === 0) {
    remarks.problems.push({ path, words: "neither it nor the file has rules or inline_rules" });
  }
  const name = wordOf(test["name"]);
  return {
    name: name === "" ? `tests[${path.at(-1)}]` : name,
    path,
    rules: rules ?? { paths: [], inline: [] },
    replacesRules: own.rules !== undefined && common.rules !== undefined,
    ruleMatching: own.ruleMatching ?? common.ruleMatching,
    minimumPriority: own.minimumPriority ?? common.minimumPriority,
    compat: own.compat ?? common.compat,
    events: texts([...path, "events"], test["events"], remarks, eventsWords),
    inlineEvents: inlineEvents([...path, "inline_events"], test["inline_events"], remarks),
    expect: readExpectation([...path, "expect"], test["expect"], remarks),
    ...remarks,
  };
}
