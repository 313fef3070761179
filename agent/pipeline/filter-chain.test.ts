import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { RecordScanner } from "./scan.ts";
import { filtered } from "./testing/filtered.ts";

/** Filters that may stand in a chain, none of which touches a key that begins with `keep`. */
const sections = [
  "modify\n Add x_cluster ${CLUSTER}\n Add x_team ${TEAM}",
  "modify\n Set a 1\n Remove b\n Rename c d",
  "modify\n Add a 1\n Rename a b\n Copy b n",
  "modify\n Hard_copy a b\n Hard_rename b c\n Move_to_start keep\n Move_to_end a",
  "modify\n Condition Key_exists a\n Remove_regex ^[abc]$",
  "modify\n Condition Key_value_matches $o['a'] .\n Remove_wildcard x_",
  "record_modifier\n Record r 1\n Remove_key b*",
  "record_modifier\n Allowlist_key keep*\n Allowlist_key o",
  "grep\n Exclude a ^drop$",
  "nest\n Operation nest\n Wildcard a*\n Wildcard x_*\n Nest_under n\n Add_prefix p_",
  "nest\n Operation lift\n Nested_under o\n Remove_prefix a",
  "nest\n Operation lift\n Nested_under n",
  "type_converter\n str_key a e float\n int_key b f string",
  "throttle\n Rate 1000000\n time_key a",
  "mask\n field o.*\n field a",
  "cluster_facts",
];

const key = fc.oneof(
  fc.string(),
  fc.constantFrom("a", "b", "c", "ab", "o", "n", "x_cluster", "x_team", "keep1", "keep2", '"', "\\", "é"),
);
/** Values as no serializer of ours writes them: their digits, blanks and escapes have to survive. */
const odd = fc.constantFrom(
  "12345678901234567890",
  "1.50e+01",
  "-0",
  '"\\u00e9\\/"',
  '"é\u2028"',
  "[ 1 ,\t2 ]",
  '{ "a" : "drop" , "a":1}',
  '"drop"',
  '"1.5"',
);
const value = fc.oneof(
  odd,
  fc.jsonValue().map((one) => JSON.stringify(one)),
);

function spelled(name: string, isEscaped: boolean): string {
  if (!isEscaped) return JSON.stringify(name);
  const units = Array.from({ length: name.length }, (_, at) =>
    name.charCodeAt(at).toString(16).padStart(4, "0"),
  );
  return `"${units.map((unit) => `\\u${unit}`).join("")}"`;
}

const record = fc.array(fc.tuple(key, value, fc.boolean()), { maxLength: 12 }).map((members) => ({
  members,
  text: `{${members.map(([name, text, isEscaped]) => `${spelled(name, isEscaped)}: ${text}`).join(" , ")}}`,
}));

test("a record that passes any filters is one JSON object, and what no filter touches is byte for byte what it was", () => {
  fc.assert(
    fc.property(
      record,
      fc.array(fc.constantFrom(...sections), { maxLength: 5 }),
      ({ members, text }, chain) => {
        const filter = filtered(chain.map((section) => `[FILTER]\n Name ${section}\n`).join(""));
        const line = filter.line(text);
        const clear = filter.clear(text);
        if (line === undefined || clear === undefined) return;
        for (const one of [line, clear]) {
          const parsed: unknown = JSON.parse(one);
          assert.ok(typeof parsed === "object" && parsed !== null && !one.includes("\n"));
          for (const [name, value, isEscaped] of members) {
            if (!name.startsWith("keep")) continue;
            const [json, at] = [spelled(name, isEscaped), one.indexOf(value)];
            assert.ok(one.includes(json) && at !== -1, `${json}: ${value} is not in ${one}`);
          }
        }
      },
    ),
    { numRuns: 1500 },
  );
});

test("a record that has no key twice gets none twice, so that readers cannot differ on which one counts", () => {
  const unique = fc.uniqueArray(fc.tuple(key, value, fc.boolean()), {
    selector: ([name]) => name,
    maxLength: 12,
  });
  const scanner = new RecordScanner();
  fc.assert(
    fc.property(unique, fc.array(fc.constantFrom(...sections), { maxLength: 5 }), (members, chain) => {
      const text = `{${members.map(([name, one, isEscaped]) => `${spelled(name, isEscaped)}:${one}`).join(",")}}`;
      const line = filtered(chain.map((section) => `[FILTER]\n Name ${section}\n`).join("")).line(text);
      if (line === undefined) return;
      assert.ok(scanner.scan(Buffer.from(line), 0, Buffer.byteLength(line)), scanner.why);
      // Each key by itself: JSON.parse of a whole record may take an escaped key for another one, see docs/testing.md.
      const bytes = Buffer.from(line);
      const names = Array.from({ length: scanner.count }, (_, nth) =>
        JSON.parse(bytes.toString("utf8", scanner.members[4 * nth], scanner.members[4 * nth + 1])),
      );
      assert.equal(new Set(names).size, scanner.count, line);
    }),
    { numRuns: 1000 },
  );
});

test("what the agent says of a record stands once and is true, whatever the record holds and filters before it do", () => {
  fc.assert(
    fc.property(record, fc.array(fc.constantFrom(...sections), { maxLength: 3 }), ({ text }, chain) => {
      const facts = "modify\n Add x_cluster ${CLUSTER}";
      const filter = filtered([...chain, facts].map((section) => `[FILTER]\n Name ${section}\n`).join(""));
      const line = filter.line(text);
      if (line === undefined) return;
      const parsed = JSON.parse(line) as Record<string, unknown>;
      assert.equal(parsed["x_cluster"], "c-1");
      assert.equal(line.split('"x_cluster":"c-1"').length, 2);
    }),
    { numRuns: 500 },
  );
});

test("a record with nothing to change is handed on as it was, blanks and all", () => {
  const filter = filtered("[FILTER]\n Name modify\n Remove zz\n[FILTER]\n Name grep\n Exclude zz x\n");
  const record = '{ "a" :\t1 , "b":[ ] }';
  assert.equal(filter.line(record), record);
  assert.deepEqual(
    filter.stats().map(({ records, changed, bytes }) => [records, changed, bytes]),
    [
      [1, 0, record.length],
      [1, 0, record.length],
    ],
  );
});
