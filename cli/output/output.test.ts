import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { renderFrame } from "./frame.ts";
import { renderAge, renderBytes, renderCount, renderSpan } from "./quantity.ts";
import { renderRates } from "./rates.ts";
import { renderFields, renderTable } from "./table.ts";
import { clean, cut } from "./text.ts";

const ages: [ms: number, text: string][] = [
  [-5, "0s"],
  [999, "0s"],
  [59_999, "59s"],
  [60_000, "1m"],
  [200_000, "3m20s"],
  [3_600_000, "1h"],
  [47.5 * 3_600_000, "47h30m"],
  [76 * 3_600_000, "3d4h"],
];
for (const [ms, text] of ages) {
  test(`renderAge() writes ${ms} ms as ${text}`, () => assert.equal(renderAge(ms), text));
}

test("quantities never show a false precision nor a thousand of a unit", () => {
  assert.deepEqual([0, 7, 0.4, 999, 1000, 9949, 9951, 99_949, 999_499, 999_500, 700_000].map(renderCount), [
    "0",
    "7",
    "0.4",
    "999",
    "1.0k",
    "9.9k",
    "10k",
    "100k",
    "999k",
    "1.0M",
    "700k",
  ]);
  assert.deepEqual([512, 1536, 20_000_000].map(renderBytes), ["512B", "1.5kB", "20MB"]);
  assert.deepEqual([850, 1500, 65_000].map(renderSpan), ["850ms", "1.5s", "1m5s"]);
});

test("renderTable() aligns columns, marks empty cells and leaves no blanks at the end of a line", () => {
  const rows = [
    { name: "eu-1", count: 5, note: "" },
    { name: "a-long-name", count: 12, note: "x" },
  ];
  const columns = [
    { title: "NAME", cell: (row: (typeof rows)[0]) => row.name },
    { title: "COUNT", align: "right" as const, cell: (row: (typeof rows)[0]) => `${row.count}` },
    { title: "NOTE", wide: true, cell: (row: (typeof rows)[0]) => row.note },
  ];
  assert.deepEqual(renderTable(rows, columns, { wide: true }), [
    "NAME         COUNT  NOTE",
    "eu-1             5  -",
    "a-long-name     12  x",
  ]);
  assert.deepEqual(renderTable(rows, columns, { wide: false })[1], "eu-1             5");
});

test("renderTable() keeps its columns when a cell is painted", () => {
  const paint = (_tone: string, text: string) => `<${text}>`;
  const columns = [
    { title: "STATE", cell: (row: string) => row, tone: () => "good" as const },
    { title: "END", cell: () => "." },
  ];
  assert.deepEqual(renderTable(["ok", "broken"], columns, { wide: false, paint }), [
    "STATE   END",
    "<ok>      .",
    "<broken>  .",
  ]);
});

test("renderFields() leaves out what is not known", () => {
  assert.deepEqual(
    renderFields([
      ["name", "eu-1"],
      ["retired", undefined],
      ["health", "silent"],
      ["reason", ""],
    ]),
    ["name:   eu-1", "health: silent"],
  );
});

test("clean() lets no text from outside steer the terminal", () => {
  assert.equal(clean("pod \u001b[2J\u0007 x"), "pod \\u001b[2J\\u0007 x");
  assert.equal(clean("a\nb\tc"), "a b c");
  assert.equal(clean("user\u202etxt.exe"), "user\\u202etxt.exe");
  fc.assert(
    fc.property(
      fc.string({ unit: "binary" }),
      // oxlint-disable-next-line no-control-regex -- what must not be left
      (text) => !/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/.test(clean(text)),
    ),
  );
});

test("cut() never gives more than the width, counted in characters", () => {
  assert.equal(cut("abcdef", 4), "abc…");
  assert.equal(cut("abcd", 4), "abcd");
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme" }),
      fc.nat(40),
      (text, width) => Array.from(cut(text, width)).length <= width,
    ),
  );
});

test("renderFrame() goes up exactly over what it drew before, and cuts what is taller than the terminal", () => {
  const first = renderFrame(0, ["a", "b"], 24);
  assert.deepEqual(first, { bytes: "\r\u001b[Ja\nb\n", lines: 2 });
  const second = renderFrame(first.lines, ["c"], 24);
  assert.deepEqual(second, { bytes: "\u001b[2A\r\u001b[Jc\n", lines: 1 });
  const tall = renderFrame(0, ["1", "2", "3", "4", "5", "6"], 5);
  assert.equal(tall.lines, 4);
  assert.match(tall.bytes, /1\n2\n3\n… and 3 more lines\n$/);
});

test("renderRates() shows a cluster without a report as such, never as zero, and sums the others", () => {
  const row = (name: string, eventsPerSecond: number) => ({
    name,
    eventsPerSecond,
    bytesPerSecond: eventsPerSecond * 1500,
    alertsPerMinute: 2,
    dropped: 0,
    parked: 1,
    lagMs: eventsPerSecond * 60,
    detectionUsPerSecond: eventsPerSecond * 3,
    minuteAt: Date.UTC(2026, 0, 1, 13, 5),
  });
  const { minuteAt: _absent, ...silent } = { ...row("us-1", 0), parked: 0, alertsPerMinute: 0 };
  const lines = renderRates([row("eu-1", 10), silent, row("eu-2", 100)], true).map((line) =>
    line.split(/ {2,}/),
  );
  assert.deepEqual(lines, [
    ["CLUSTER", "EVENTS/S", "BYTES/S", "ALERTS/MIN", "LAG", "DROPPED", "PARKED", "DETECTION", "MINUTE"],
    ["eu-2", "100", "150kB", "2", "6.0s", "0", "1", "3.0us/event", "13:05Z"],
    ["eu-1", "10", "15kB", "2", "600ms", "0", "1", "3.0us/event", "13:05Z"],
    ["us-1", "-", "-", "-", "-", "-", "-", "-", "no report"],
    ["3 in all", "110", "165kB", "4", "6.0s", "0", "2", "3.0us/event", "13:05Z"],
  ]);
});
