import assert from "node:assert/strict";
import { test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { SyncRequestSchema } from "#proto/agent/v1/agent";

import { dateOf, readRates } from "./read-request.ts";

test("counters without measure from one agent leave the sum over a whole fleet within 64 bits, so that lists can be sent", () => {
  const minute = new Date(Math.floor(Date.now() / 60_000) * 60_000);
  const most = 2n ** 64n - 1n;
  const counts = {
    events: most,
    bytes: most,
    alerts: most,
    dropped: most,
    parked: most,
    lagMs: most,
    detectionUs: most,
  };
  const request = create(SyncRequestSchema, {
    rates: [{ minute: timestampFromMs(minute.getTime()), seconds: 4_000_000_000, ...counts }],
  });
  const [row] = readRates(request, "ag_1", "cl_1", minute);
  assert.ok(row !== undefined);
  for (const name of Object.keys(counts) as (keyof typeof counts)[]) {
    assert.ok(row[name] > 0n && row[name] * 10_000n < 2n ** 64n, name);
  }
  assert.equal(row.seconds, 60);
});

test("a time whose nanoseconds are no part of a second is no time, so that none lies where it cannot be written again", () => {
  const at = (seconds: bigint, nanos: number) => dateOf(create(TimestampSchema, { seconds, nanos }));
  assert.equal(at(0n, 0)?.getTime(), 0);
  assert.equal(at(253_402_300_799n, 999_999_999)?.toISOString(), "9999-12-31T23:59:59.999Z");
  const refused: [bigint, number][] = [
    [0n, -1],
    [253_402_300_799n, 1_000_000_000],
    [253_402_300_799n, 2_147_483_647],
    [253_402_300_800n, 0],
    [-1n, 0],
  ];
  for (const [seconds, nanos] of refused) assert.equal(at(seconds, nanos), undefined, `${seconds} ${nanos}`);
});
