import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import {
  type Alert,
  type Compat,
  type EventStream,
  type LoadReport,
  renderFindings,
  type RulesFile,
  type Detection,
} from "#engine";
import { payloadsOf } from "./payloads.ts";
import { readRulesFiles } from "./rules-files.ts";
import { type LoadedRules, RulesCache } from "./rules-cache.ts";
import { type Expectation, parseTestFile, type RuleTest } from "./test-file.ts";

/** What one test came to. It passed when there are no failures; each failure is a sentence. */
export interface TestResult {
  readonly file: string;
  readonly name: string;
  readonly failures: readonly string[];
  /** What the author should know although it fails nothing. */
  readonly notes: readonly string[];
  /** Rules that the test expects to fire. */
  readonly expects: readonly string[];
  readonly seconds: number;
}

export interface TestOptions {
  readonly compat?: Compat;
  /** An event that cannot be read, and an unknown key, fail the test. */
  readonly isStrict?: boolean;
  /** Rules to run the tests with, instead of their own. */
  readonly rules?: readonly RulesFile[];
  /** Only tests that expect an alert of one of these rules. */
  readonly firing?: ReadonlySet<string>;
}

/** Events of one file or of one test. */
const eventBytesMax = 256 * 1024 * 1024;

/**
 * Runs every test of the given rule test files through the engine. A file that cannot be read or makes no sense is a
 * failed test of its own, so that a broken file never looks like a passed one.
 */
export function runRuleTests(testFiles: readonly string[], options: TestOptions = {}): readonly TestResult[] {
  const runner = new Runner(options);
  return testFiles.flatMap((file) => runner.file(file));
}

/** For people: the failures, then notes, and at the end `N passed, N failed`. */
export function renderTestResults(results: readonly TestResult[]): string {
  const failed = results.filter(({ failures }) => failures.length > 0);
  const details = failed.map(({ file, name, failures }) =>
    [`FAILED ${file}: ${name}`, ...failures.map((failure) => `  ${failure.replaceAll("\n", "\n  ")}`)].join(
      "\n",
    ),
  );
  const notes = results.flatMap(({ file, name, notes: said }) =>
    said.map((note) => `note ${file}: ${name}: ${note}`),
  );
  const counts = `${results.length - failed.length} passed, ${failed.length} failed`;
  return [...details, ...notes, counts].join("\n");
}

class Runner {
  private readonly options: TestOptions;
  private readonly caches: { readonly fixed: RulesCache; readonly strict: RulesCache };
  private readonly payloads: Map<string, readonly string[]>;

  constructor(options: TestOptions) {
    this.options = options;
    this.caches = { fixed: new RulesCache("fixed"), strict: new RulesCache("strict") };
    this.payloads = new Map();
  }

  file(file: string): readonly TestResult[] {
    const failed = (failures: readonly string[]): readonly TestResult[] => [
      { file, name: "the test file", failures, notes: [], expects: [], seconds: 0 },
    ];
    try {
      const parsed = parseTestFile(readFileSync(file, "utf8"));
      if (!parsed.ok) return failed(parsed.problems);
      const { tests, notes } = parsed.value;
      const results = tests.filter((test) => this.isWanted(test)).map((test) => this.test(file, test));
      if (notes.length === 0) return results;
      if (this.options.isStrict === true) return [...failed(notes), ...results];
      const [first, ...others] = results;
      return first === undefined ? results : [{ ...first, notes: [...notes, ...first.notes] }, ...others];
    } catch (error) {
      return failed([fromFileSystem(error)]);
    } finally {
      this.payloads.clear();
    }
  }

  private isWanted({ expect }: RuleTest): boolean {
    const { firing } = this.options;
    return firing === undefined || firedBy(expect).some((rule) => firing.has(rule));
  }

  private test(file: string, test: RuleTest): TestResult {
    const start = performance.now();
    const { failures, notes } = this.outcome(dirname(file), test);
    const isStrict = this.options.isStrict === true;
    return {
      file,
      name: test.name,
      failures: isStrict ? [...failures, ...notes] : failures,
      notes: isStrict ? [] : notes,
      expects: firedBy(test.expect),
      seconds: (performance.now() - start) / 1000,
    };
  }

  private outcome(folder: string, test: RuleTest): { failures: readonly string[]; notes: readonly string[] } {
    try {
      const cache = this.caches[test.compat ?? this.options.compat ?? "fixed"];
      const loaded = this.load(cache, folder, test);
      const loading = loadFailures(test.expect, loaded);
      const { report } = loaded;
      if (loading.length > 0 || !report.ok) return { failures: loading, notes: [] };
      const events = [
        ...test.events.flatMap((path) => this.read(resolve(folder, path))),
        ...test.inlineEvents.flatMap(payloadsOf),
      ];
      const { alerts, problems } = detectAll(cache.detector(loaded, test.ruleMatching), events);
      const notes = problems.map((problem) => `an event was not understood: ${problem}`);
      return { failures: compare(test.expect, alerts), notes };
    } catch (error) {
      return { failures: [fromFileSystem(error)], notes: [] };
    }
  }

  private load(cache: RulesCache, folder: string, { rules, minimumPriority }: RuleTest): LoadedRules {
    const replaced = this.options.rules;
    if (replaced !== undefined) return cache.loadFiles("given", () => replaced, minimumPriority);
    const paths = rules.paths.map((path) => resolve(folder, path));
    const inline = rules.inline.map((content, index) => ({
      name: rules.inline.length === 1 ? "inline_rules" : `inline_rules[${index}]`,
      content,
    }));
    const key = JSON.stringify([paths, rules.inline]);
    return cache.loadFiles(key, () => [...readRulesFiles(paths), ...inline], minimumPriority);
  }

  /** Tests of one file often share their events. */
  private read(path: string): readonly string[] {
    const known = this.payloads.get(path);
    if (known !== undefined) return known;
    if (statSync(path).size > eventBytesMax) {
      throw new EventsTooLarge(`${path} is larger than ${eventBytesMax} bytes: split it`);
    }
    const payloads = payloadsOf(readFileSync(path, "utf8"));
    this.payloads.set(path, payloads);
    return payloads;
  }
}

class EventsTooLarge extends Error {}

/** The message of what the file system refuses, which names the path. Anything else is a bug and is thrown on. */
function fromFileSystem(error: unknown): string {
  if (error instanceof EventsTooLarge) return error.message;
  if (error instanceof Error && "code" in error) return error.message;
  throw error;
}

/** The rules that must fire. */
function firedBy({ alerts }: Expectation): readonly string[] {
  return [...(alerts ?? [])].filter(([, count]) => count > 0).map(([rule]) => rule);
}

function loadFailures(expect: Expectation, { report, files }: LoadedRules): readonly string[] {
  const errors = codesOf(report, "errors");
  const warnings = codesOf(report, "warnings");
  if (expect.load === "error") {
    if (report.ok) return [`the rules load, but should fail${withCodes(expect.codes)}`];
    if (expect.codes.length === 0 || expect.codes.some((code) => errors.includes(code))) {
      return missing(expect.warnings, warnings);
    }
    return [`the rules fail with ${listed(errors)} instead of ${expect.codes.join(" or ")}`];
  }
  if (!report.ok) return [`the rules do not load:\n${renderFindings(report, files)}`];
  if (expect.load === "warning" && warnings.length === 0) {
    return [`the rules load without a warning, but should give one${withCodes(expect.codes)}`];
  }
  const isGiven = expect.codes.length === 0 || expect.codes.some((code) => warnings.includes(code));
  return [
    ...(isGiven ? [] : [`loading warns of ${listed(warnings)} instead of ${expect.codes.join(" or ")}`]),
    ...missing(expect.warnings, warnings),
  ];
}

function missing(wanted: readonly string[] | undefined, warnings: readonly string[]): readonly string[] {
  if (wanted === undefined) return [];
  if (wanted.length === 0 && warnings.length > 0) {
    return [`loading warns of ${listed(warnings)}, but should not warn`];
  }
  return wanted
    .filter((code) => !warnings.includes(code))
    .map((code) => `loading does not warn of ${code}; it warns of ${listed(warnings)}`);
}

function codesOf({ results }: LoadReport, kind: "errors" | "warnings"): readonly string[] {
  return results.flatMap((result) => result[kind].map(({ code }) => code));
}

function listed(codes: readonly string[]): string {
  return codes.length === 0 ? "nothing" : [...new Set(codes)].join(", ");
}

function withCodes(codes: readonly string[]): string {
  return codes.length === 0 ? "" : ` with ${codes.join(" or ")}`;
}

function detectAll(
  stream: EventStream,
  payloads: readonly string[],
): { readonly alerts: readonly Alert[]; readonly problems: readonly string[] } {
  const alerts: Alert[] = [];
  const problems: string[] = [];
  const keep = (detection: Detection): void => {
    alerts.push(...detection.alerts);
    problems.push(...detection.problems);
  };
  for (const payload of payloads) keep(stream.take(payload));
  keep(stream.end());
  return { alerts, problems };
}

function compare(expect: Expectation, alerts: readonly Alert[]): readonly string[] {
  const fired = new Map<string, number>();
  for (const { rule } of alerts) fired.set(rule, (fired.get(rule) ?? 0) + 1);
  const wanted = expect.alerts;
  const rules = wanted === undefined ? [] : [...new Set([...wanted.keys(), ...fired.keys()])];
  const counts = rules.flatMap((rule) => {
    const want = wanted?.get(rule) ?? 0;
    const got = fired.get(rule) ?? 0;
    if (want === got) return [];
    return [`${rule}: fired ${times(got)}, should ${want === 0 ? "not fire" : `fire ${times(want)}`}`];
  });
  const said = alerts.map(({ output }) => `  ${output}`).join("\n");
  const silent = expect.outputContains
    .filter((text) => !alerts.some(({ output }) => output.includes(text)))
    .map(
      (text) => `no alert says "${text}"; ${alerts.length === 0 ? "there is none" : `they say:\n${said}`}`,
    );
  return [...counts, ...silent];
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
