import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { HttpConfig } from "#shipper";
import { Arena } from "./arena.ts";
import { HttpFormat } from "./http-format.ts";
import { Records, cut, pick } from "./records.ts";
import type { Part } from "./records.ts";
import { entriesOf } from "./testing/entries.ts";

type Format = Pick<HttpConfig, "format" | "dateKey" | "dateFormat">;

function bodyOf(
  batches: readonly (readonly string[])[],
  format: Format,
  part?: (whole: Part) => Part,
): string {
  const records = new Records(entriesOf(batches));
  const chosen = part === undefined ? records.whole : part(records.whole);
  return Buffer.concat(new HttpFormat(format).body(records, chosen, new Arena())).toString();
}

const json: Format = { format: "json", dateKey: "date", dateFormat: "double" };
const event = '{"n":1.0,"stageTimestamp":"2026-11-22T10:31:21.123456Z"}';
const seconds = Date.UTC(2026, 10, 22, 10, 31, 21) / 1000;

const dates = [
  ["double", `${seconds}.123456`],
  ["epoch", String(seconds)],
  ["epoch_ms", `${seconds}123`],
  ["iso8601", '"2026-11-22T10:31:21.123456Z"'],
] as const;
for (const [dateFormat, date] of dates) {
  test(`json_date_format ${dateFormat} gives the time of the event in front of the record`, () => {
    assert.equal(bodyOf([[event]], { ...json, dateFormat }), `[{"date":${date},${event.slice(1)}]`);
  });
}

test("a record without a time of its own gets that of its batch, an empty one gets nothing else", () => {
  assert.equal(bodyOf([["{ }"]], json), '[{"date":1700000000.250000}]');
  assert.equal(bodyOf([[' { "a" : 1 } ']], json), '[{"date":1700000000.250000,"a" : 1 } ]');
});

test("a key that is no ASCII, or holds a quote, is still JSON", () => {
  const [record] = JSON.parse(bodyOf([["{}"]], { ...json, dateKey: 'd"ä€' })) as Record<string, unknown>[];
  assert.deepEqual(record, { 'd"ä€': 1_700_000_000.25 });
});

test("all formats hold all records of any part, in order, whatever the batches", () => {
  const record = fc.record({ text: fc.string(), n: fc.integer() }).map((value) => JSON.stringify(value));
  const batches = fc.array(fc.array(record, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 });
  const chosen = fc.array(fc.boolean(), { minLength: 20, maxLength: 20 });
  fc.assert(
    fc.property(batches, chosen, fc.nat(20), fc.constantFrom("date", undefined), (all, keep, at, dateKey) => {
      const part = (whole: Part) =>
        cut(
          pick(whole, (nth) => keep[nth] === true),
          at,
        ).flat();
      const wanted = all
        .flat()
        .filter((_, nth) => keep[nth] === true)
        .map((line) => JSON.parse(line) as object);
      const undated = (records: readonly object[]) =>
        records.map((one) => Object.fromEntries(Object.entries(one).filter(([key]) => key !== "date")));
      const format = { ...json, dateKey };
      if (wanted.length > 0) {
        assert.deepEqual(undated(JSON.parse(bodyOf(all, format, part)) as object[]), wanted);
      }
      const lines = bodyOf(all, { ...format, format: "json_lines" }, part).split("\n");
      assert.equal(lines.pop(), "");
      assert.deepEqual(undated(lines.map((line) => JSON.parse(line) as object)), wanted);
      const stream = bodyOf(all, { ...format, format: "json_stream" }, part);
      const split = stream === "" ? [] : (JSON.parse(`[${stream.replaceAll("}{", "},{")}]`) as object[]);
      if (!all.flat().join("").includes("}{")) assert.deepEqual(undated(split), wanted);
    }),
  );
});
