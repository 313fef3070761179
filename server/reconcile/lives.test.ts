import assert from "node:assert/strict";
import { get } from "node:https";
import { text } from "node:stream/consumers";
import { test } from "node:test";

import { pino } from "pino";

import { until } from "../rpc/agent-service/fixture.ts";
import { publishRoot, push, rulesBundle, startTestServer, type TestServer } from "../testing.ts";
import { watchLives } from "./lives.ts";

const day = 86_400_000;

interface Line {
  readonly level: number;
  readonly role: string;
  readonly stage: string;
  readonly msg: string;
}

test("the log says once for each stage what is over half, 80 % and all of its life, and metrics say when it ends", async (t) => {
  const at = await startTestServer(t);
  await push(at, await publishRoot(at), undefined, [rulesBundle("1.0.0")]);
  const lines: Line[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as Line) });
  const lives = watchLives(at.db, log);
  const said = async (days: number) => {
    lines.length = 0;
    await lives.look(new Date(Date.now() + days * day));
    return lines.map(({ level, role, stage }) => `${level} ${role} ${stage}`);
  };
  assert.deepEqual(await said(0), []);
  // Half of root's 365 days; targets had 90, snapshot 7 and timestamp 1.
  assert.deepEqual(await said(46), ["30 targets aging", "50 snapshot expired", "50 timestamp expired"]);
  assert.deepEqual(await said(47), []);
  assert.deepEqual(await said(73), ["40 targets expiring"]);
  assert.deepEqual(await said(183), ["30 root aging", "50 targets expired"]);
  assert.deepEqual(await said(293), ["40 root expiring"]);
  assert.deepEqual(await said(366), ["50 root expired"]);
  assert.match(
    lines[0]?.msg ?? "",
    /trust metadata root 1: it has expired: .*; its signers have to sign it anew/,
  );
  const used = lives.now(new Date(Date.now() + 45 * day)).map((each) => [each.role, each.used.toFixed(2)]);
  assert.deepEqual(Object.fromEntries(used), {
    root: "0.12",
    targets: "0.50",
    snapshot: "1.00",
    timestamp: "1.00",
  });
});

test("a server that just started shows the expiry of every role to Prometheus", async (t) => {
  const at = await startTestServer(t);
  await push(at, await publishRoot(at), undefined, [rulesBundle("1.0.0")]);
  const beside = await startTestServer(t, { beside: at });
  const lines = await until("the first look is over", async () => {
    const found = (await scrape(beside)).split("\n").filter((line) => line.startsWith("falconry_trust_"));
    return found.length > 0 && found;
  });
  const value = (name: string, role: string) =>
    Number(lines.find((line) => line.startsWith(`${name}{role="${role}"}`))?.split(" ")[1]);
  for (const [role, days] of Object.entries({ root: 365, targets: 90, snapshot: 7, timestamp: 1 })) {
    const left = value("falconry_trust_expiry_timestamp_seconds", role) - Date.now() / 1000;
    assert.ok(Math.abs(left - days * 86_400) < 600, `${role} has ${left} s left`);
    assert.ok(value("falconry_trust_life_used_ratio", role) < 0.01, role);
  }
});

function scrape({ baseUrl, ca }: TestServer): Promise<string> {
  return new Promise((resolve, reject) => {
    get(
      `${baseUrl}/metrics`,
      { ca, agent: false },
      (response) => void text(response).then(resolve, reject),
    ).on("error", reject);
  });
}
