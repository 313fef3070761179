import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Alert, Detection, EventStream, RulesFile } from "#engine";
import { defaultEngine, type EngineChoice } from "./engine-choice.ts";
import { type LoadedRules, RulesCache } from "./rules-cache.ts";
import { lackingMembers } from "./test-events.ts";
import type { Expectation } from "./test-expectation.ts";
import { parseTestFile, type RuleTest } from "./test-file.ts";
import { Places } from "./test-places.ts";
import { type Path, type Remark, showPath } from "./test-reader.ts";
import { expandPaths, readTestEvents, readTestRules, SourceProblem } from "./test-sources.ts";
import { type Fired, judgeAlerts, type Judgement, judgeLoading } from "./test-verdict.ts";

/** What one test came to. It passed when there are no failures; each failure is a sentence. */
export interface TestResult {
  readonly file: string;
  /** Where the test begins, counted from 1; only of tests of which there is something to say. */
  readonly line?: number;
  readonly name: string;
  readonly failures: readonly string[];
  /** What the author should know although it fails nothing. */
  readonly notes: readonly string[];
  /** Rules that the test expects to fire. */
  readonly expects: readonly string[];
  readonly seconds: number;
}

export interface TestOptions {
  /** What holds where a test says nothing else. */
  readonly engine?: EngineChoice;
  /** An event that cannot be read, an unknown key and alerts that nobody speaks of fail the test. */
  readonly isStrict?: boolean;
  /** Rules to run the tests with, instead of their own. */
  readonly rules?: readonly RulesFile[];
  /** Only tests that expect an alert of one of these rules. */
  readonly firing?: ReadonlySet<string>;
}

/** Problems with events of one test that are spelled out. */
const problemsMax = 3;

/**
 * Runs every test of the given rule test files through the engine. A file that cannot be read or makes no sense is a
 * failed test of its own, so that a broken file never looks like a passed one.
 */
export function runRuleTests(testFiles: readonly string[], options: TestOptions = {}): readonly TestResult[] {
  const runner = new Runner(options);
  return testFiles.flatMap((file) => runner.file(file));
}

class Runner {
  private readonly options: TestOptions;
  private readonly engine: EngineChoice;
  private readonly caches: { readonly fixed: RulesCache; readonly strict: RulesCache };
  private readonly payloads: Map<string, readonly string[]>;
  /** Failed tests that were tried again as Falco would run them. */
  private retried: number;

  constructor(options: TestOptions) {
    this.options = options;
    this.engine = options.engine ?? defaultEngine;
    this.caches = {
      fixed: new RulesCache("fixed", this.engine),
      strict: new RulesCache("strict", this.engine),
    };
    this.payloads = new Map();
    this.retried = 0;
  }

  file(file: string): readonly TestResult[] {
    const whole = (line: number, failures: readonly string[], notes: readonly string[]): TestResult => {
      return { file, line, name: "the test file", failures, notes, expects: [], seconds: 0 };
    };
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
      return [whole(1, [`the file cannot be read: ${error.message}`], [])];
    }
    const places = new Places(text);
    const parsed = parseTestFile(text);
    if (!parsed.ok) {
      const [first] = parsed.problems;
      const told = parsed.problems.map((one) => tell(one, [], places));
      const line = parsed.line ?? (first === undefined ? 1 : places.line(first.path));
      return [whole(line, told, [])];
    }
    const { tests, notes } = parsed.value;
    const wanted = tests.filter((test) => this.isWanted(test));
    // Tests with the same rules run one after another, so that each set of rules is loaded once.
    const groups = Map.groupBy(wanted, ({ rules, minimumPriority, compat }) =>
      JSON.stringify([rules, minimumPriority, compat]),
    );
    const ran = new Map<RuleTest, TestResult>();
    for (const test of [...groups.values()].flat()) ran.set(test, this.test(file, test, places));
    const results = wanted.flatMap((test) => ran.get(test) ?? []);
    this.payloads.clear();
    if (notes.length === 0) return results;
    const told = notes.map((one) => tell(one, [], places));
    // Alone, notes are no test: they would be counted as one.
    if (this.options.isStrict === true) return [whole(1, told, []), ...results];
    const [first, ...others] = results;
    return first === undefined ? results : [{ ...first, notes: [...told, ...first.notes] }, ...others];
  }

  private isWanted({ expect }: RuleTest): boolean {
    const { firing } = this.options;
    return firing === undefined || firedBy(expect).some((rule) => firing.has(rule));
  }

  private test(file: string, test: RuleTest, places: Places): TestResult {
    const start = performance.now();
    const { path, name } = test;
    const { failures, notes } =
      test.problems.length > 0
        ? { failures: test.problems.map((one) => tell(one, path, places)), notes: [] }
        : this.hinted(dirname(file), test);
    const allNotes = [...test.notes.map((one) => tell(one, path, places)), ...notes];
    const isStrict = this.options.isStrict === true;
    return {
      file,
      ...(failures.length + allNotes.length > 0 ? { line: places.line(path) } : {}),
      name,
      failures: isStrict ? [...failures, ...allNotes] : failures,
      notes: isStrict ? [] : allNotes,
      expects: firedBy(test.expect),
      seconds: (performance.now() - start) / 1000,
    };
  }

  /** The outcome; of a failure, with the hint that Falco itself would pass the test, where that is so. */
  private hinted(folder: string, test: RuleTest): Judgement {
    const outcome = this.outcome(folder, test);
    const isFixed = (test.compat ?? this.engine.load.compat) === "fixed";
    const isOwn = this.options.rules === undefined;
    if (outcome.failures.length === 0 || !isFixed || !isOwn || this.retried >= retriesMax) return outcome;
    this.retried++;
    const strict = this.outcome(folder, { ...test, compat: "strict" });
    return strict.failures.length > 0 ? outcome : { ...outcome, notes: [strictWords, ...outcome.notes] };
  }

  private outcome(folder: string, test: RuleTest): Judgement {
    const { expect } = test;
    try {
      const cache = this.caches[test.compat ?? this.engine.load.compat];
      const loaded = this.load(cache, folder, test);
      const { report } = loaded;
      const loading = judgeLoading(expect, loaded);
      if (loading.length > 0 && !report.ok) {
        const isReplaced = test.replacesRules && expect.load !== "error";
        return { failures: isReplaced ? [...loading, replacedWords] : loading, notes: [] };
      }
      if (loading.length > 0 || !report.ok) return { failures: loading, notes: [] };
      const events = [
        ...expandPaths(folder, test.events).flatMap((path) => this.read(path)),
        ...test.inlineEvents,
      ];
      const { problems, ...fired } = detectAll(cache.detector(loaded, test.ruleMatching), events);
      const { failures, notes } = judgeAlerts(expect, fired, report.ruleset);
      const hints = failures.length > 0 ? lackingMembers(events) : [];
      return { failures: [...failures, ...hints], notes: [...problemNotes(problems), ...notes] };
    } catch (error) {
      if (!(error instanceof SourceProblem)) throw error;
      const isExpected = expect.load === "error" && expect.codes.includes("LOAD_ERR_FILE_READ");
      return { failures: isExpected ? [] : [error.message], notes: [] };
    }
  }

  private load(cache: RulesCache, folder: string, { rules, minimumPriority }: RuleTest): LoadedRules {
    const replaced = this.options.rules;
    if (replaced !== undefined) return cache.loadFiles("given", () => replaced, minimumPriority);
    const inline = rules.inline.map((content, index) => ({
      name: rules.inline.length === 1 ? "inline_rules" : `inline_rules[${index}]`,
      content,
    }));
    const key = JSON.stringify([folder, rules]);
    return cache.loadFiles(key, () => [...readTestRules(folder, rules.paths), ...inline], minimumPriority);
  }

  /** Tests of one file often share their events. */
  private read(path: string): readonly string[] {
    const known = this.payloads.get(path);
    if (known !== undefined) return known;
    const payloads = readTestEvents(path);
    this.payloads.set(path, payloads);
    return payloads;
  }
}

const retriesMax = 100;
const strictWords =
  "it passes with compat: strict, which does as Falco does where this engine repairs it; docs/falco-compatibility.md has the list";
const replacedWords =
  "the test's own rules take the place of the file's; to have both, name both in the test: rules: [...] and inline_rules: |";

/** A remark with its line and its path below the test that it is about. */
function tell({ path, words }: Remark, base: Path, places: Places): string {
  const place = showPath(path.slice(base.length));
  const where = path.length === 0 ? "" : `line ${places.line(path)}: `;
  return `${where}${place === "" ? "" : `${place}: `}${words}`;
}

/** The rules that must fire. */
function firedBy({ alerts }: Expectation): readonly string[] {
  return [...(alerts ?? [])].filter(([, count]) => count > 0).map(([rule]) => rule);
}

function problemNotes(problems: readonly string[]): readonly string[] {
  const told = problems.slice(0, problemsMax).map((problem) => `an event was not understood: ${problem}`);
  const more = problems.length - told.length;
  return more > 0 ? [...told, `and ${more} more problems with events`] : told;
}

function detectAll(
  stream: EventStream,
  payloads: readonly string[],
): Fired & { readonly problems: readonly string[] } {
  const alerts: Alert[] = [];
  const problems: string[] = [];
  let events = 0;
  const keep = (detection: Detection): void => {
    alerts.push(...detection.alerts);
    problems.push(...detection.problems);
    events += detection.events;
  };
  for (const payload of payloads) keep(stream.take(payload));
  keep(stream.end());
  return { alerts, problems, events };
}
