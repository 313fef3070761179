/** The rules of `deploy/prometheus`, with Prometheus' own tool where there is one. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { parse } from "yaml";

import { readPage } from "../docs/blocks.ts";
import { knownMetrics, metricsIn } from "../support/promql.ts";

const folder = join(import.meta.dirname, "..", "..", "deploy", "prometheus");
const promtool = process.env["PROMTOOL_BIN"] ?? "promtool";

interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly labels?: { readonly severity?: string };
  readonly annotations?: { readonly summary?: string; readonly runbook_url?: string };
}

const rules = ["recording.yaml", "alerting.yaml"].flatMap((file) => {
  const { groups } = parse(readFileSync(join(folder, file), "utf8")) as {
    groups: readonly { readonly rules: readonly Rule[] }[];
  };
  return groups.flatMap((group) => group.rules);
});
const alerts = rules.filter(({ alert }) => alert !== undefined);

/** What promtool says; undefined when it is not here, which is said. */
function run(t: TestContext, args: readonly string[]): string | undefined {
  const { status, stdout, stderr, error } = spawnSync(promtool, args, {
    cwd: folder,
    encoding: "utf8",
    timeout: 30_000,
  });
  if (error !== undefined && "code" in error && error.code === "ENOENT") {
    t.skip("There is no promtool here: install Debian's prometheus, or name it in PROMTOOL_BIN");
    return undefined;
  }
  assert.equal(status, 0, `${stdout}${stderr}`);
  return stdout;
}

test("Prometheus takes the rules", (t) => {
  const said = run(t, ["check", "rules", "recording.yaml", "alerting.yaml"]);
  if (said !== undefined) assert.match(said, new RegExp(`${alerts.length} rules found`));
});

test("alarms go off when they should, and not when they should not", (t) => {
  run(t, ["test", "rules", "alerting.test.yaml"]);
});

test("rules name metrics that are exposed, and recorded ones before they are used", () => {
  const known = knownMetrics(readPage("metrics.md"));
  const recorded = rules.flatMap(({ record }) => record ?? []);
  const unknown = rules.flatMap(({ expr }) =>
    metricsIn(expr).filter((name) => !known.has(name) && !recorded.includes(name)),
  );
  assert.ok(rules.length > 15, "the rules were not found");
  assert.deepEqual(unknown, []);
});

test("every alarm says how bad it is and leads to a section about it, and has a test", () => {
  const page = readPage("alarms.md");
  const tests = readFileSync(join(folder, "alerting.test.yaml"), "utf8");
  for (const { alert = "", labels, annotations } of alerts) {
    assert.match(labels?.severity ?? "", /^(warning|critical)$/, alert);
    assert.ok(annotations?.runbook_url?.endsWith(`/docs/alarms.md#${alert.toLowerCase()}`), alert);
    assert.match(page, new RegExp(`^### ${alert}$`, "m"));
    assert.ok(tests.includes(`alertname: ${alert}`), `${alert} has no test in alerting.test.yaml`);
  }
});
