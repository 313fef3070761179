/** What Grafana is given from `deploy/grafana` and docs/grafana.md, asked of a real server. No Grafana runs here. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";

import { ask, beganMs, storeClusters, storeSeen, type Seen } from "../../server/rpc/loki/fixture.ts";
import { startTestServer, type TestServer } from "../../server/testing.ts";
import { blocksOf, readPage } from "../docs/blocks.ts";
import { dashboardQueries, readDashboards } from "../support/grafana.ts";
import { knownMetrics, metricsIn } from "../support/promql.ts";

/** Alerts of the starter pack, one for each question. */
const seen: readonly Omit<Seen, "seconds">[] = [
  alert("eu-1", "Exec Into Pod", "Warning", "alice", ["T1609", "interactive", "k8s"]),
  alert("us-1", "Secret Read By Person", "Notice", "bob", ["T1552.007", "k8s", "secrets"]),
  alert("us-1", "Reverse Shell In Pod", "Critical", "token-thief", ["T1059.004", "T1610", "k8s"]),
  alert("eu-2", "Secret Access Denied", "Warning", "eve", ["T1552.007", "k8s", "secrets"]),
  alert("eu-2", "Secrets Of All Namespaces Read", "Error", "eve", ["T1552.007", "k8s", "secrets"]),
  // Of the same family by name, and not by tag; and the other way round.
  alert("us-1", "Port Forward To Pod", "Notice", "bob", ["T1572", "interactive", "k8s"]),
  alert("us-1", "Node Proxy Used", "Warning", 'mallory "T1572"', ["T1609", "interactive", "k8s"]),
  alert("us-1", "Permission Denied On Sensitive Resource", "Notice", "secrets", ["T1613", "access", "k8s"]),
  alert("us-1", "Exec Into Pods Refused", "Notice", 'T1609 "T1609"', ["T1613", "access", "k8s"]),
];

function alert(
  cluster: string,
  rule: string,
  priority: string,
  user: string,
  tags: readonly string[],
): Omit<Seen, "seconds"> {
  return { cluster, rule, priority, user, tags };
}

async function askedOf(at: TestServer, query: string, isInstant: boolean) {
  const end = String((beganMs + 600_000) / 1000);
  const params = isInstant
    ? { query, time: end }
    : { query, start: String(beganMs / 1000), end, step: "60000ms", limit: "1000" };
  const path = isInstant ? "query" : "query_range";
  const { status, text } = await ask(at, path, params, `Bearer ${await at.token("viewer")}`);
  assert.equal(status, 200, `${query}: ${text}`);
  return (JSON.parse(text) as { data: { result: readonly unknown[] } }).data.result;
}

test("every query in LogQL of a dashboard, and every question of docs/grafana.md, is answered", async (t) => {
  const at = await startTestServer(t);
  await storeClusters(at.db);
  await storeSeen(
    at.db,
    seen.map((each, index) => ({ ...each, seconds: 10 * (index + 1) })),
  );
  await t.test("the walkthrough and the dashboards count alerts by their tags", () => countsByTag(at));
  const queries = dashboardQueries().filter(({ language }) => language === "logql");
  assert.ok(queries.length > 20, "the queries were not found");
  for (const { at: where, text, isInstant } of queries) {
    const result = await askedOf(at, text, isInstant);
    assert.ok(result.length > 0, `${where} shows nothing: ${text}`);
  }
  const questions = blocksOf(readPage("grafana.md")).filter(({ language }) => language === "logql");
  assert.equal(questions.length, 8);
  for (const { text } of questions) {
    const result = await askedOf(at, text.trim(), false);
    assert.ok(result.length > 0, `nothing answers ${text}`);
  }
});

/** The rules of the alerts that the lines of a query are. */
async function rulesOf(at: TestServer, query: string): Promise<readonly string[]> {
  const streams = (await askedOf(at, query, false)) as readonly { readonly stream: { rule: string } }[];
  return [...new Set(streams.map(({ stream }) => stream.rule))].toSorted();
}

async function countsByTag(at: TestServer): Promise<void> {
  const panel = (board: string, title: string) =>
    dashboardQueries().find(({ at: where }) => where === `falconry-${board}: ${title}`)?.text ?? "";
  const tagged = (tag: string) =>
    seen.flatMap(({ rule, tags }) => (tags?.includes(tag) ? [rule] : [])).toSorted();
  const [counted = "", lines = ""] = blocksOf(readPage("walkthrough.md")).flatMap(({ language, text }) =>
    language === "logql" ? [text.trim()] : [],
  );
  assert.deepEqual(await rulesOf(at, lines), tagged("T1609"));
  assert.deepEqual(await rulesOf(at, panel("exec-pods", "What was run")), tagged("T1609"));
  assert.deepEqual(await rulesOf(at, panel("secret-reads", "Reads")), tagged("secrets"));
  const total = async (query: string) => {
    const result = (await askedOf(at, query, true)) as readonly { readonly value: [number, string] }[];
    return result.reduce((sum, { value }) => sum + Number(value[1]), 0);
  };
  assert.equal(await total(counted), 2);
  assert.equal(await total(panel("exec-pods", "Alerts in this range")), 2);
  assert.equal(await total(panel("secret-reads", "In this range")), 3);
  assert.equal(await total(panel("secret-reads", "Refused")), 1);
}

test("every query in PromQL of a dashboard names metrics that are exposed or recorded", () => {
  const { groups } = parse(
    readFileSync(join(import.meta.dirname, "../../deploy/prometheus/recording.yaml"), "utf8"),
  ) as { groups: readonly { readonly rules: readonly { readonly record: string }[] }[] };
  const recorded = groups.flatMap(({ rules }) => rules.map(({ record }) => record));
  const known = knownMetrics(readPage("metrics.md"));
  const queries = dashboardQueries().filter(({ language }) => language === "promql");
  assert.ok(queries.length > 20, "the queries were not found");
  const unknown = queries.flatMap(({ at, text }) =>
    metricsIn(text)
      .filter((name) => !known.has(name) && !recorded.includes(name))
      .map((name) => `${at}: ${name}`),
  );
  assert.deepEqual(unknown, []);
});

test("no two panels of a dashboard lie on each other, and none reaches beyond its width", () => {
  for (const { title, panels } of readDashboards()) {
    for (const [index, { gridPos: a, title: name }] of panels.entries()) {
      assert.ok(a.x + a.w <= 24, `${title}: ${name}`);
      const covered = panels.slice(index + 1).find(({ gridPos: b }) => {
        return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
      });
      assert.equal(covered?.title, undefined, `${title}: ${name}`);
    }
  }
});
