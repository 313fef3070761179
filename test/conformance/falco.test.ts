import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDetector, loadRules, type LoadReport } from "#engine";
import {
  comparable,
  type FilterCase,
  ingestCases,
  type IngestCase,
  missing,
  probes,
  type RulesCase,
} from "./recorded.ts";

const options = { compat: "strict" } as const;

test("the recorded answers of Falco are there and complete", { skip: missing }, () => {
  assert.deepEqual([probes.filters.length, probes.rules.length, ingestCases.length], [192, 69, 29]);
});

function ruleFor(filter: string): string {
  return JSON.stringify([
    { rule: "r", desc: "d", condition: filter, output: "o", priority: "INFO", source: "k8s_audit" },
  ]);
}

function load(contents: readonly string[]): LoadReport {
  return loadRules(
    contents.map((content, i) => ({ name: `${i}.yaml`, content })),
    options,
  );
}

function checkFilter(one: FilterCase): void {
  const report = load([ruleFor(one.filter)]);
  const [result] = report.results;
  if (one.expect === "load_error") {
    const [error] = result?.errors ?? [];
    assert.deepEqual([error?.code, error?.message], [one.error_code, one.message]);
    return;
  }
  assert.deepEqual(result?.errors, []);
  assert.deepEqual(
    result?.warnings.map(({ code }) => code),
    one.warnings ?? [],
  );
  const { alerts } = createDetector(report.ruleset, { hostname: "host", ...options }).detect(
    JSON.stringify(probes.events[one.event]),
  );
  assert.equal(alerts.length > 0 ? "match" : "no_match", one.expect);
}

describe("a condition is read and decided as Falco does", { skip: missing }, () => {
  for (const one of probes.filters) test(one.filter, () => checkFilter(one));
});

function checkRules(one: RulesCase): void {
  const report = load(one.rules_yaml);
  // Where Falco itself crashes, the sane reading is the one with the operator that is the default elsewhere.
  if (one.upstream_crashes) return assert.equal(report.ok, true);
  assert.equal(report.ok, one.exit_code === 0);
  if (one.load.length > 0) {
    assert.deepEqual(
      report.results.map(({ successful, errors, warnings }) => ({
        successful,
        errors: errors.map(({ code, message }) => ({ code, message: comparable(message) })),
        warnings: warnings.map(({ code, message }) => ({ code, message: comparable(message) })),
      })),
      one.load,
    );
  }
  const compiled = report.ruleset.rules.map(({ name, condition }) => [name, condition]);
  assert.deepEqual(Object.fromEntries(compiled), one.condition_compiled);
  const detector = createDetector(report.ruleset, {
    hostname: "host",
    ruleMatching: one.config.rule_matching,
    ...options,
  });
  const { alerts } = detector.detect(JSON.stringify(probes.events[one.event]));
  assert.deepEqual(
    alerts.map(({ rule, output, body }) => {
      const { output_fields } = JSON.parse(body) as { output_fields: unknown };
      return { rule, output, output_fields };
    }),
    one.alerts,
  );
}

describe("rules files load and alert as in Falco", { skip: missing }, () => {
  for (const one of probes.rules) test(one.name, () => checkRules(one));
});

function checkIngest(one: IngestCase): void {
  if (one.input === null) return checkLongLine(one);
  const report = load(one.rules_yaml);
  assert.equal(report.ok, true);
  const detector = createDetector(report.ruleset, { hostname: "host", ruleMatching: "all", ...options });
  const found = one.input.split(/\r?\n/).map((line) => detector.detect(line));
  const alerts = found.flatMap((detection) => detection.alerts);
  assert.deepEqual(
    alerts.map(({ output }) => output),
    one.alerts,
  );
  assert.deepEqual(
    alerts.map(({ time }) => time),
    one.times,
  );
  const problems = found.flatMap((detection) => detection.problems);
  assert.equal(problems.length, one.log.length, `problems: ${problems.join("; ")}`);
}

/**
 * Falco's file reader ends at a line over 64 KiB, and the process with it. That is a limit of its input, not
 * of the language: a long line is evaluated here like any other.
 */
function checkLongLine(one: IngestCase): void {
  const detector = createDetector(load(one.rules_yaml).ruleset, { hostname: "host", ...options });
  const event = { ...(probes.events["probe"] as object), userAgent: "x".repeat(70_000) };
  assert.equal(detector.detect(JSON.stringify(event)).alerts.length, 1);
}

describe("input is taken and refused as in Falco", { skip: missing }, () => {
  for (const one of ingestCases) test(one.name, () => checkIngest(one));
});
