import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import type { Browser } from "playwright-core";
import { commandIn } from "#report/act";
import { ask } from "../../server/rpc/loki/fixture.ts";
import { deliverAlerts } from "../../server/testing.ts";
import { blocksOf, commandsOf, readPage, wordsOf } from "../docs/blocks.ts";
import { panelOf } from "../support/grafana.ts";
import { runCli, useContext } from "../support/run-cli.ts";
import { downloadOf, openPage, signIn } from "./browser.ts";
import type { ConsoleFleet } from "./fleet.ts";

const page = blocksOf(readPage("walkthrough.md"));

interface Planted {
  readonly rule: string;
  readonly tags: readonly string[];
  /** The words of the command, as a request holds them. */
  readonly words?: readonly string[];
}

/** What only looks like a command in a pod, and ways to run commands there. */
const planted: readonly Planted[] = [
  { rule: "Port Forward To Pod", tags: ["T1572"] },
  { rule: "Reverse Shell In Pod", tags: ["T1059.004", "T1610"] },
  { rule: 'Exec Into Pod "T1609"', tags: ["T1653"] },
  { rule: "Node Proxy Used", tags: ["T1609"], words: ["cat", "/etc/shadow"] },
  { rule: "Command In Pod", tags: ["T1609"], words: ["sh", "-c", "id; uname -a"] },
  { rule: "Command In Pod", tags: ["T1609"], words: ["sh", "-c", "id; uname -a"] },
];
/** What was run, as a shell would take it, and how often. */
const ran = ["cat /etc/shadow", "sh -c 'id; uname -a'", "sh -c 'id; uname -a'"];

interface Reported {
  readonly acts: number;
  readonly alerts: number;
  readonly rows: readonly { readonly command: string; readonly count: number }[];
}

/** "Who ran commands in production pods last week, and what did they run", asked in four places in the words of the walkthrough. */
export async function sameNumbers(at: ConsoleFleet, browser: Browser, t: TestContext): Promise<void> {
  await plant(at);
  const token = await at.token("viewer");
  await useContext(t, { server: at.baseUrl, ca: at.ca, token });
  const listed = await answerOf<{
    readonly alerts: readonly { readonly clusterName: string; readonly rule: string }[];
  }>("alerts list");
  const reported = await answerOf<Reported>("report exec");
  const counted = await answerOf<{ readonly total: string }>("alerts stats");
  const grouped = await answerOf<{ readonly groups: readonly { readonly count: string }[] }>("alerts groups");

  const alerts = listed.alerts.length;
  assert.ok(alerts > 0 && alerts < 96, "some are of other environments");
  const found = planted.filter(({ rule }) => listed.alerts.some((alert) => alert.rule === rule));
  assert.deepEqual(found, planted.slice(3));
  const inGroups = grouped.groups.reduce((sum, { count }) => sum + Number(count), 0);
  assert.deepEqual([reported.alerts, Number(counted.total), inGroups], [alerts, alerts, alerts]);
  assert.deepEqual(commandsIn(reported), ran);
  const html = await printed("report exec", "html");
  for (const command of new Set(ran)) assert.ok(html.includes(escaped(command)), command);
  assert.ok(html.includes(`${reported.acts} acts, ${alerts} alerts`));

  await sameInGrafana(at, token, listed.alerts);
  await sameInConsole(at, browser, { token, reported, groups: grouped.groups.length });
}

async function sameInGrafana(
  at: ConsoleFleet,
  token: string,
  listed: readonly { readonly clusterName: string }[],
): Promise<void> {
  const [byCluster = "", lines = ""] = page.flatMap(({ language, text }) =>
    language === "logql" ? [text.trim()] : [],
  );
  const names = Map.groupBy(listed, ({ clusterName }) => clusterName);
  assert.deepEqual(
    await countedBy(at, token, byCluster),
    new Map([...names].map(([name, each]) => [name, each.length])),
  );
  const read = await linesOf(at, token, lines);
  assert.equal(read.length, listed.length);
  const commands = read.map(({ output_fields_ka_uri: uri = "" }) => commandIn(uri)).filter(Boolean);
  assert.deepEqual(commands.toSorted(), ran);
  const panel = panelOf("falconry-exec-pods", "In production", "7d");
  assert.deepEqual([...(await countedBy(at, token, panel)).values()], [listed.length]);
}

async function sameInConsole(
  at: ConsoleFleet,
  browser: Browser,
  told: { readonly token: string; readonly reported: Reported; readonly groups: number },
): Promise<void> {
  const { acts, alerts } = told.reported;
  const { page: tab, context, complaints } = await openPage(browser, at.baseUrl);
  await signIn(tab, told.token);
  await tab.goto("/reports?report=exec&q=environment%3Dproduction");
  const sheet = tab.getByRole("region", { name: "Who ran commands in pods", exact: true });
  await sheet.getByText(`${acts} acts, ${alerts} alerts`).waitFor();
  for (const command of new Set(ran)) await sheet.getByRole("cell", { name: command, exact: true }).waitFor();
  const file = async (format: string) => readFileSync(await (await downloadOf(tab, format)).path(), "utf8");
  const json = JSON.parse(await file("JSON")) as Reported;
  assert.deepEqual([json.acts, json.alerts, commandsIn(json)], [acts, alerts, ran]);
  const csv = await file("CSV");
  for (const command of new Set(ran)) assert.ok(csv.includes(`"${command}"`), command);

  await tab.goto(`/alerts?state=all&q=${encodeURIComponent("tag=T1609, environment=production")}`);
  await tab.locator(`[role=table][aria-rowcount="${told.groups + 1}"]`).waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
}

/** Each command as often as it was run. */
function commandsIn({ rows }: Reported): readonly string[] {
  return rows
    .flatMap(({ command, count }) => (command === "" ? [] : Array<string>(count).fill(command)))
    .toSorted();
}

const escaped = (text: string) => text.replaceAll("'", "&#39;");

function plant(at: ConsoleFleet): Promise<void> {
  const alerts = planted.map(({ rule, tags, words = [] }, n) => {
    const command = words.map((word) => `&command=${encodeURIComponent(word)}`).join("");
    const uri = `/api/v1/namespaces/shop/pods/checkout-0/exec?container=app${command}`;
    const fields = { "ka.user.name": "bob@example.com", ...(words.length === 0 ? {} : { "ka.uri": uri }) };
    return {
      id: `planted-${n}`,
      timeUs: BigInt(Date.now() - (n + 1) * 60_000) * 1000n,
      clusterId: "cl_r000000000000002",
      agentId: "ag_r000000000000002",
      rule,
      priority: 4,
      source: "k8s_audit",
      output: `${rule} by bob@example.com`,
      body: JSON.stringify({ rule, tags, output_fields: fields }),
      auditId: `planted-${n}`,
      tags,
      rulesDigest: "",
    };
  });
  return deliverAlerts(at.db, alerts, new Date());
}

/** What the first command of the walkthrough that begins so prints, with more words. */
async function outOf(beginning: string, ...more: readonly string[]): Promise<string> {
  const command = page.flatMap(commandsOf).find((line) => line.startsWith(`fleetctl ${beginning} `));
  assert.ok(command !== undefined, `the walkthrough has no "${beginning}"`);
  const { out, code, talk } = await runCli([...wordsOf(command).slice(1), ...more]);
  assert.equal(code, 0, talk);
  return out;
}

const answerOf = async <T>(beginning: string): Promise<T> =>
  JSON.parse(await outOf(beginning, "-o", "json")) as T;
const printed = (beginning: string, format: string) => outOf(beginning, "--format", format);

async function dataOf<T>(at: ConsoleFleet, token: string, path: string, query: string): Promise<T> {
  const start = String(Date.now() / 1000 - 7 * 86_400);
  const params = path === "query" ? { query } : { query, start, limit: "1000" };
  const { status, text } = await ask(at, path, params, `Bearer ${token}`);
  assert.equal(status, 200, text);
  return (JSON.parse(text) as { readonly data: { readonly result: T } }).data.result;
}

async function countedBy(
  at: ConsoleFleet,
  token: string,
  query: string,
): Promise<Map<string | undefined, number>> {
  const result = await dataOf<
    readonly { readonly metric: { cluster?: string }; readonly value: readonly [number, string] }[]
  >(at, token, "query", query);
  return new Map(result.map(({ metric, value }) => [metric.cluster, Number(value[1])]));
}

/** The labels of each line. */
async function linesOf(
  at: ConsoleFleet,
  token: string,
  query: string,
): Promise<readonly Readonly<Record<string, string>>[]> {
  const result = await dataOf<
    readonly { readonly stream: Readonly<Record<string, string>>; readonly values: readonly unknown[] }[]
  >(at, token, "query_range", query);
  return result.flatMap(({ stream, values }) => values.map(() => stream));
}
