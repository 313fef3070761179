import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Browser } from "playwright-core";
import { ask } from "../../server/rpc/loki/fixture.ts";
import { deliverAlerts } from "../../server/testing.ts";
import { blocksOf, commandsOf, readPage, wordsOf } from "../docs/blocks.ts";
import { runCli, useContext } from "../support/run-cli.ts";
import { openPage, signIn } from "./browser.ts";
import type { ConsoleFleet } from "./fleet.ts";

const page = blocksOf(readPage("walkthrough.md"));

/** What only looks like a command in a pod, and the one way to run commands there whose rule does not sound like it. */
const planted: readonly (readonly [rule: string, ...tags: string[]])[] = [
  ["Port Forward To Pod", "T1572"],
  ["Reverse Shell In Pod", "T1059.004", "T1610"],
  ['Exec Into Pod "T1609"', "T1653"],
  ["Node Proxy Used", "T1609"],
];

/** "Who ran commands in production pods last week", asked in four places in the words of the walkthrough. */
export async function sameNumbers(at: ConsoleFleet, browser: Browser, t: TestContext): Promise<void> {
  await plant(at);
  const token = await at.token("viewer");
  await useContext(t, { server: at.baseUrl, ca: at.ca, token });
  const listed = await answerOf<{
    readonly alerts: readonly { readonly clusterName: string; readonly rule: string }[];
  }>("alerts list");
  const reported = await answerOf<{ readonly acts: number; readonly alerts: number }>("report exec");
  const counted = await answerOf<{ readonly total: string }>("alerts stats");

  const alerts = listed.alerts.length;
  assert.ok(alerts > 0 && alerts < 96, "some are of other environments");
  const found = planted.filter(([rule]) => listed.alerts.some((alert) => alert.rule === rule));
  assert.deepEqual(found, [["Node Proxy Used", "T1609"]]);
  assert.deepEqual([reported.alerts, Number(counted.total)], [alerts, alerts]);

  const [byCluster = "", lines = ""] = page.flatMap(({ language, text }) =>
    language === "logql" ? [text.trim()] : [],
  );
  const names = Map.groupBy(listed.alerts, ({ clusterName }) => clusterName);
  assert.deepEqual(
    await countedBy(at, token, byCluster),
    new Map([...names].map(([name, each]) => [name, each.length])),
  );
  assert.equal(await linesOf(at, token, lines), alerts);

  const { page: tab, context, complaints } = await openPage(browser, at.baseUrl);
  await signIn(tab, token);
  await tab.goto("/reports?report=exec&q=environment%3Dproduction");
  const sheet = tab.getByRole("region", { name: "Who ran commands in pods", exact: true });
  await sheet.getByText(`${reported.acts} acts, ${alerts} alerts`).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
}

function plant(at: ConsoleFleet): Promise<void> {
  const alerts = planted.map(([rule, ...tags], n) => ({
    id: `planted-${n}`,
    timeUs: BigInt(Date.now() - (n + 1) * 60_000) * 1000n,
    clusterId: "cl_r000000000000002",
    agentId: "ag_r000000000000002",
    rule,
    priority: 4,
    source: "k8s_audit",
    output: `${rule} by bob@example.com`,
    body: JSON.stringify({ rule, tags, output_fields: { "ka.user.name": "bob@example.com" } }),
    auditId: `planted-${n}`,
    tags,
    rulesDigest: "",
  }));
  return deliverAlerts(at.db, alerts, new Date());
}

/** What the first command of the walkthrough that begins so answers to a program. */
async function answerOf<T>(beginning: string): Promise<T> {
  const command = page.flatMap(commandsOf).find((line) => line.startsWith(`fleetctl ${beginning} `));
  assert.ok(command !== undefined, `the walkthrough has no "${beginning}"`);
  const { out, code, talk } = await runCli([...wordsOf(command).slice(1), "-o", "json"]);
  assert.equal(code, 0, talk);
  return JSON.parse(out) as T;
}

async function dataOf<T>(at: ConsoleFleet, token: string, path: string, query: string): Promise<T> {
  const start = String(Date.now() / 1000 - 7 * 86_400);
  const params = path === "query" ? { query } : { query, start, limit: "1000" };
  const { status, text } = await ask(at, path, params, `Bearer ${token}`);
  assert.equal(status, 200, text);
  return (JSON.parse(text) as { readonly data: { readonly result: T } }).data.result;
}

async function countedBy(at: ConsoleFleet, token: string, query: string): Promise<Map<string, number>> {
  const result = await dataOf<
    readonly { readonly metric: { cluster: string }; readonly value: readonly [number, string] }[]
  >(at, token, "query", query);
  return new Map(result.map(({ metric, value }) => [metric.cluster, Number(value[1])]));
}

async function linesOf(at: ConsoleFleet, token: string, query: string): Promise<number> {
  const result = await dataOf<readonly { readonly values: readonly unknown[] }[]>(
    at,
    token,
    "query_range",
    query,
  );
  return result.reduce((sum, { values }) => sum + values.length, 0);
}
