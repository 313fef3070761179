import assert from "node:assert/strict";
import {
  createDetector,
  createRecordDetector,
  type Detection,
  loadRules,
  type LoadReport,
  renderFindings,
} from "#engine";
import * as corpus from "./corpus.ts";

/** One way into the engine for input that nobody has checked. */
export interface Target {
  readonly corpus: readonly string[];
  /** Words that mean something there. */
  readonly words: readonly string[];
  /** Throws when something that must hold does not. */
  readonly run: (input: string) => void;
}

const detectorOptions = { hostname: "fuzz", ruleMatching: "all" } as const;
const [known = "{}", ...otherEvents] = corpus.events;

function rule(parts: Readonly<Record<string, unknown>>): string {
  const whole = {
    rule: "r",
    desc: "d",
    condition: "evt.num > 0",
    output: "o",
    priority: "INFO",
    source: "k8s_audit",
  };
  return JSON.stringify([{ ...whole, ...parts }]);
}

/** Loads, looks at what was said about it, and runs what loaded. */
function loadAndRun(content: string, events: readonly string[] = [known]): void {
  const files = [{ name: "fuzz.yaml", content }];
  const report = loadRules(files, { appendOutput: [{ suggestedOutput: true, extraFields: ["ka.verb"] }] });
  checkReport(report, content);
  assert.equal(typeof renderFindings(report, files), "string");
  if (!report.ok) return assert.equal(report.ruleset.rules.length, 0, "a failed load hands out rules");
  const detector = createDetector(report.ruleset, detectorOptions);
  for (const event of events) {
    for (const { body } of detector.detect(event).alerts) checkBody(body);
  }
}

function checkReport({ ok, results }: LoadReport, content: string): void {
  for (const { successful, errors, warnings } of results) {
    assert.equal(successful, errors.length === 0);
    for (const { message, context } of [...errors, ...warnings]) {
      assert.equal(typeof message, "string");
      for (const { item_type, position } of context.locations) {
        assert.ok(
          position.line >= 0 && position.column >= 0,
          `${item_type} at ${position.line}:${position.column}`,
        );
        assert.ok(
          item_type === "condition expression" || position.offset <= Buffer.byteLength(content),
          "a place after the end",
        );
      }
      assert.ok(context.snippet.length < 4096, "a snippet without bounds");
    }
  }
  assert.equal(
    ok,
    results.every(({ successful }) => successful),
  );
}

function checkBody(body: string): void {
  assert.ok(body.isWellFormed() && !body.includes("\n"), "an alert that is no single line of text");
  const { rule: name, output_fields: fields } = JSON.parse(body) as Readonly<Record<string, unknown>>;
  assert.equal(typeof name, "string");
  assert.equal(typeof fields, "object");
}

const everyField = ready(corpus.everyFieldRule("k8s_audit")).ruleset;
const fromText = createDetector(everyField, detectorOptions);
const fromBytes = createDetector(everyField, detectorOptions);
const fromRecords = createRecordDetector(ready(corpus.everyFieldRule("syscall")).ruleset, detectorOptions);
const starter = createDetector(ready(corpus.starterPack).ruleset, detectorOptions);
const before = starter.detect(known).alerts.map(({ output }) => output);

function ready(content: string): LoadReport {
  const files = [{ name: "known.yaml", content }];
  const report = loadRules(files);
  assert.ok(report.ok, renderFindings(report, files));
  return report;
}

function readEvent(input: string): void {
  // As bytes a text can not hold half a character.
  const line = input.toWellFormed();
  const bytes = Buffer.from(line);
  const found = fromText.detect(line);
  checkDetection(found);
  checkDetection(starter.detect(line));
  assert.deepEqual(
    fromBytes.detectBytes(bytes, 0, bytes.length),
    found,
    "a line means another thing as bytes",
  );
  if (line !== input) checkDetection(starter.detect(input));
  // What came before must not change what is found in a known event.
  assert.deepEqual(
    starter.detect(known).alerts.map(({ output }) => output),
    before,
  );
}

function checkDetection({ alerts, events, problems }: Detection): void {
  assert.ok(Number.isInteger(events) && events >= 0 && problems.length <= 200, `${problems.length} problems`);
  for (const { body } of alerts) checkBody(body);
}

function readRecords(lines: string): void {
  for (const line of lines.split("\n")) checkDetection(fromRecords.detect(line));
  checkDetection(fromRecords.flush());
}

/** Runs a pattern against texts on which a backtracking matcher would never end. */
function matchPattern(pattern: string): void {
  const quoted = `"${pattern.replaceAll(/["\\]/g, "\\$&")}"`;
  const agents = ["a".repeat(3000), `${"ab".repeat(1000)}!`, "/etc/".repeat(400), pattern.slice(0, 3000)];
  const events = agents.map((userAgent) => JSON.stringify({ ...(JSON.parse(known) as object), userAgent }));
  for (const operator of ["regex", "glob", "iglob", "pmatch", "icontains"]) {
    const list = operator === "pmatch" ? `(${quoted})` : quoted;
    loadAndRun(rule({ condition: `ka.useragent ${operator} ${list}` }), events);
  }
}

/** Every way in, by name; the name also stands in front of the kept inputs in `seeds`. */
export const targets: Readonly<Record<string, Target>> = {
  condition: {
    corpus: corpus.conditions,
    words: corpus.conditionWords,
    run: (condition) => loadAndRun(rule({ condition }), [known, ...otherEvents.slice(0, 3)]),
  },
  output: {
    corpus: corpus.outputs,
    words: corpus.outputWords,
    run: (output) => loadAndRun(rule({ output })),
  },
  rules: { corpus: corpus.rulesFiles, words: corpus.yamlWords, run: (content) => loadAndRun(content) },
  event: { corpus: corpus.events, words: corpus.jsonWords, run: readEvent },
  records: { corpus: corpus.records, words: corpus.recordWords, run: readRecords },
  pattern: { corpus: corpus.patterns, words: corpus.patternWords, run: matchPattern },
};
