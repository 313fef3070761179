import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import {
  createDetector,
  loadRules,
  renderFindings,
  type Alert,
  type Detector,
  type LoadReport,
} from "#engine";
import { readRulesFiles } from "./rules-files.ts";
import { type Expectation, parseTestFile, type RuleTest, type TestFile } from "./test-file.ts";

/** What one test came to. It passed when there are no failures; each failure is a sentence. */
export interface TestResult {
  readonly file: string;
  readonly name: string;
  readonly failures: readonly string[];
}

/**
 * Runs every test of the given rule test files through the engine. A file that cannot be read or makes no sense is a
 * failed test of its own, so that a broken file never looks like a passed one.
 */
export function runRuleTests(testFiles: readonly string[]): readonly TestResult[] {
  return testFiles.flatMap((file) => runFile(file));
}

/** For people: the failures, and at the end `N passed, N failed`. */
export function renderTestResults(results: readonly TestResult[]): string {
  const failed = results.filter(({ failures }) => failures.length > 0);
  const details = failed.map(({ file, name, failures }) =>
    [`FAILED ${file}: ${name}`, ...failures.map((failure) => `  ${failure}`)].join("\n"),
  );
  return [...details, `${results.length - failed.length} passed, ${failed.length} failed`].join("\n");
}

function runFile(file: string): readonly TestResult[] {
  try {
    const parsed = parseTestFile(readFileSync(file, "utf8"));
    if (!parsed.ok) return [{ file, name: "the test file", failures: parsed.problems }];
    return runTests(file, parsed.value);
  } catch (error) {
    // Only what the file system refuses comes here: the message names the path.
    if (!(error instanceof Error && "code" in error)) throw error;
    return [{ file, name: "the test file", failures: [error.message] }];
  }
}

function runTests(file: string, { rules, ruleMatching, tests }: TestFile): readonly TestResult[] {
  const folder = dirname(file);
  const rulesFiles = readRulesFiles(rules.map((path) => resolve(folder, path)));
  const report = loadRules(rulesFiles);
  const explained = report.ok ? "" : renderFindings(report, rulesFiles);
  return tests.map((test) => {
    const loading = loadFailures(test.expect.load, report, explained);
    if (loading.length > 0 || !report.ok) return { file, name: test.name, failures: loading };
    // Each test has a detector of its own, so that no test depends on the ones before it.
    const detector = createDetector(report.ruleset, { hostname: "test", ruleMatching });
    return { file, name: test.name, failures: detectFailures(test, folder, detector) };
  });
}

function loadFailures(wanted: string, report: LoadReport, explained: string): readonly string[] {
  if (wanted === "ok") return report.ok ? [] : [`the rules do not load:\n${explained}`];
  if (report.ok) return [`the rules load, but should fail with ${wanted}`];
  const codes = report.results.flatMap(({ errors }) => errors.map(({ code }) => code));
  if (wanted === "error" || codes.some((code) => code === wanted)) return [];
  return [`the rules fail with ${codes.join(", ")} instead of ${wanted}`];
}

function detectFailures(test: RuleTest, folder: string, detector: Detector): readonly string[] {
  const lines = [
    ...test.events.flatMap((path) => linesOf(readFileSync(resolve(folder, path), "utf8"))),
    ...test.inlineEvents.map((event, index) => JSON.stringify(complete(event, index))),
  ];
  const alerts: Alert[] = [];
  const problems: string[] = [];
  for (const line of lines) {
    const detection = detector.detect(line);
    alerts.push(...detection.alerts);
    problems.push(...detection.problems.map((problem) => `an event was not understood: ${problem}`));
  }
  return [...problems, ...compare(test.expect, alerts)];
}

function compare(expect: Expectation, alerts: readonly Alert[]): readonly string[] {
  const fired = new Map<string, number>();
  for (const { rule } of alerts) fired.set(rule, (fired.get(rule) ?? 0) + 1);
  const rules = new Set([...Object.keys(expect.alerts), ...fired.keys()]);
  const counts = [...rules].flatMap((rule) => {
    const want = expect.alerts[rule] ?? 0;
    const got = fired.get(rule) ?? 0;
    return want === got
      ? []
      : [`${rule}: fired ${got} times, should ${want === 0 ? "not fire" : `fire ${want} times`}`];
  });
  const missing = expect.outputContains
    .filter((text) => !alerts.some(({ output }) => output.includes(text)))
    .map(
      (text) =>
        `no alert says "${text}"; they say:\n${alerts.map(({ output }) => `    ${output}`).join("\n")}`,
    );
  return [...counts, ...missing];
}

function linesOf(text: string): readonly string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}

/** An inline event may leave out what no rule is about: the envelope, the stage that most rules read, and the success. */
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
