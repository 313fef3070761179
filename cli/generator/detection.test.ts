import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { createDetector, loadRules } from "#engine";
import { readRulesFiles } from "../rules/rules-files.ts";
import { planAudit } from "./stream.ts";

const starter = join(dirname(dirname(import.meta.dirname)), "rules", "starter");
const start = { startMicros: 1_795_424_888_000_000, stepMicros: 5000 };

for (const cluster of ["eu-1", "us-2", "tr-1"]) {
  test(`the starter rules find every planted threat in ${cluster}, by the rule the ledger names, and nothing else`, () => {
    const report = loadRules(readRulesFiles([starter]));
    assert.ok(report.ok);
    const detector = createDetector(report.ruleset, { hostname: "test" });
    const lines = planAudit({ ...start, seed: `run-${cluster}`, cluster, threatEvery: 40, count: 6000 });
    const planted = lines.flatMap(({ planted }) =>
      planted === undefined ? [] : [`${planted.auditId} ${planted.rule}`],
    );
    const alerts = lines.flatMap(({ line }) => {
      const detection = detector.detect(line);
      assert.deepEqual(detection.problems, []);
      assert.equal(detection.events, 1);
      return detection.alerts.map(({ auditId, rule }) => `${auditId} ${rule}`);
    });
    assert.equal(planted.length, 150);
    assert.deepEqual(alerts, planted);
  });
}
