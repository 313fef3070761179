import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { text } from "node:stream/consumers";
import { test } from "node:test";

import { renderMetrics } from "../../agent/monitor/metrics.ts";
import { startTestServer } from "../../server/testing.ts";
import { readExposition, type Exposed } from "../support/exposition.ts";
import { fullStats } from "../support/pipeline-stats.ts";
import { readPage } from "./blocks.ts";

const page = readPage("metrics.md");

interface Row {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly unit: string;
  readonly help: string;
}

/** The rows of the tables below a heading. */
function rowsUnder(heading: string): readonly Row[] {
  const [, section = ""] = page.split(new RegExp(`^## ${heading}$`, "m"));
  const [own = ""] = section.split(/^## /m);
  return [...own.matchAll(/^\| `(\S+)` \| (\w+) \| (.*?) \| (.*?) \| (.+) \|$/gm)].map(
    ([, name = "", type = "", labels = "", unit = "", help = ""]) => {
      return { name, type, labels: labels.split(", ").filter((label) => label !== ""), unit, help };
    },
  );
}

/** What a metric counts in, by the convention for its name. */
function unitOf(name: string): string {
  const base = name.replace(/_total$/, "");
  if (base.endsWith("_seconds") || base === "fluentbit_uptime") return "s";
  if (base.endsWith("_bytes")) return "bytes";
  return base.endsWith("_ratio") ? "0 to 1" : "";
}

function rowText({ name, type, labels, help }: Exposed): string {
  return `| \`${name}\` | ${type} | ${labels.join(", ")} | ${unitOf(name)} | ${help} |`;
}

function holdEqual(rows: readonly Row[], exposed: readonly Exposed[]): void {
  assert.ok(exposed.length > 10, "nothing was exposed");
  const known = new Map(rows.map((row) => [row.name, row]));
  const missing = exposed.filter(({ name }) => !known.has(name)).map(rowText);
  assert.deepEqual(missing, [], `docs/metrics.md lacks:\n${missing.join("\n")}\n`);
  const names = new Set(exposed.map(({ name }) => name));
  assert.deepEqual(
    rows.filter(({ name }) => !names.has(name)).map(({ name }) => name),
    [],
    "docs/metrics.md names what is not exposed",
  );
  for (const each of exposed) {
    const row = known.get(each.name);
    assert.ok(row);
    // Labels are seen in samples only.
    const labels = each.hasSamples ? each.labels : row.labels;
    assert.deepEqual(row, { ...row, type: each.type, labels, unit: unitOf(each.name), help: each.help });
  }
}

test("docs/metrics.md lists every metric of the server as /metrics exposes it", async (t) => {
  const at = await startTestServer(t);
  const [response] = (await once(get(`${at.baseUrl}/metrics`, { ca: at.ca, agent: false }), "response")) as [
    IncomingMessage,
  ];
  holdEqual(rowsUnder("Server"), readExposition(await text(response)));
});

test("docs/metrics.md lists every metric of the agent as its monitor exposes it", async () => {
  const facts = { version: "1", startedMs: 0, nowMs: 1_000, residentBytes: 1 };
  holdEqual(rowsUnder("Agent"), readExposition(await renderMetrics(fullStats, facts)));
});
