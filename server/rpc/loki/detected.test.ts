import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { freshDatabase } from "../../../test/support/postgres.ts";
import { parseQuery } from "../../domain/logql/parse.ts";
import { wholeFleet } from "../../domain/scope.ts";
import { sql } from "../../store/drizzle.ts";
import { detectedFields, detectedValues, sampleFields } from "./detected.ts";
import { beganMs, morning, storeClusters, storeSeen } from "./fixture.ts";
import { queryLimits, reading, type QueryLimits } from "./reading.ts";
import { requests } from "./requests.ts";

/** Samples a store with the alerts of the morning, a team's cluster among those that send them. */
async function openStore(t: TestContext) {
  const db = await freshDatabase(t);
  await storeClusters(db);
  await storeSeen(db, morning);
  const size = { linesMax: 1_000, bytesMax: 1_000_000 };
  const span = { startNs: BigInt(beganMs) * 1_000_000n, endNs: BigInt(beganMs + 300_000) * 1_000_000n };
  const sample = (
    query: string,
    more: Partial<typeof size> = {},
    limits: Partial<QueryLimits> = {},
    signal = new AbortController().signal,
  ) => {
    const log = parseQuery(query);
    assert.ok(log.ok && log.value.kind === "log");
    const { value } = log;
    return reading({ db, scope: wholeFleet, signal, limits: { ...queryLimits, ...limits } }, (from) =>
      sampleFields(from, value, { ...span, ...size, ...more }),
    );
  };
  return { db, sample };
}

test("fields have the names that `| json` gives them, also where a line says what its cluster is labelled with", async (t) => {
  const { db, sample } = await openStore(t);
  await db.execute(sql`update alerts set body = '{"team":"forged","tier":7}' where cluster_id = 'cl_eu1'`);
  const query = '{source="falco", cluster="eu-1"}';
  for (const each of [query, `${query} | json`]) {
    const fields = await sample(each);
    assert.deepEqual(
      detectedFields(fields, 10).map(({ label, type }) => [label, type]),
      [
        ["team_extracted", "string"],
        ["tier", "int"],
      ],
      each,
    );
    assert.deepEqual(detectedValues(fields, "team_extracted", 10), ["forged"]);
  }
  const dropped = detectedFields(await sample(`${query} | drop team`), 10);
  assert.deepEqual(
    dropped.map(({ label }) => label),
    ["team", "tier"],
  );
});

test("a sample of long lines ends at its bytes, and one that nobody waits for at once: neither is an error of its size", async (t) => {
  const { db, sample } = await openStore(t);
  await db.execute(
    sql`update alerts set body = '{"n":"' || extract(epoch from time)::bigint || repeat('x', 2000) || '"}'`,
  );
  const seen = async (...asked: Parameters<typeof sample>) => (await sample(...asked)).get("n")?.size;
  const query = '{source="falco"}';
  assert.equal(await seen(query), morning.length);
  assert.equal(await seen(query, { linesMax: 2 }), 2);
  assert.equal(await seen(query, { bytesMax: 5_000 }, { answerBytesMax: 1_000 }), 3);
  await assert.rejects(seen(query, {}, { workMs: 0 }), /request timed out/);
  await assert.rejects(seen(query, {}, {}, AbortSignal.abort()), /cancelled by the client/);
  const { signal } = new AbortController();
  const params = new URLSearchParams({ query, line_limit: "5001" });
  const asked = { db, scope: wholeFleet, signal, nowMs: beganMs + 300_000, params, label: "n" };
  for (const request of [requests.DetectedFields, requests.DetectedFieldValues]) {
    await assert.rejects(
      request(asked),
      /exceeded, line_limit > max_entries_limit_per_query \(5001 > 5000\)/,
    );
  }
});
