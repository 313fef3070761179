import assert from "node:assert/strict";
import { test } from "node:test";
import { widthOf } from "./text.ts";
import { firstView, healths, pageRowsOf, pressed, renderTop, sortRows } from "./top.ts";
import type { TopPicture, TopRow, TopView } from "./top.ts";

const row = (name: string, more: Partial<TopRow> = {}): TopRow => ({
  name,
  health: "healthy",
  eventsPerSecond: 10,
  bytesPerSecond: 15_000,
  alertsPerMinute: 1,
  dropped: 0,
  parked: 0,
  lagMs: 250,
  detectionUsPerSecond: 400,
  minuteAt: 0,
  ...more,
});
const { minuteAt: _, ...silent } = row("us-prod-1", { health: "silent", eventsPerSecond: 0 });
const rows: readonly TopRow[] = [
  row("eu-prod-1", { eventsPerSecond: 900, alertsPerMinute: 4 }),
  row("eu-prod-2", { health: "degraded", lagMs: 90_000, dropped: 3 }),
  silent,
];
const rollouts = [{ id: "ro_1", bundle: "starter@1.1.0", state: "running", wave: "2/5", proved: "7/40" }];
const picture = (more: Partial<TopPicture> = {}): TopPicture => ({
  rows,
  rollouts,
  view: firstView,
  columns: 120,
  height: 24,
  ...more,
});

test("the picture shows health, sums, rollouts and clusters, and how to ask for more", (t) => {
  const wide = renderTop(picture()).join("\n");
  const narrow = renderTop(picture({ columns: 40 })).join("\n");
  t.assert.fileSnapshot(
    `${wide}\n\n-- 40 columns --\n${narrow}\n`,
    `${import.meta.dirname}/../../test/golden/top.txt`,
    {
      serializers: [String],
    },
  );
});

test("no line is wider than the terminal, and no picture higher, from 40 columns and 8 lines on", () => {
  const many = Array.from({ length: 60 }, (_, i) =>
    row(`a-cluster-with-a-rather-long-name-${i}`, {
      health: healths[i % healths.length] ?? "healthy",
      eventsPerSecond: 12_345 * i,
      bytesPerSecond: 3e9,
      lagMs: 3_600_000 * i,
      dropped: 99_999,
      parked: 99_999,
      alertsPerMinute: 99_999,
    }),
  );
  const more = Array.from({ length: 5 }, () => rollouts[0]).filter((each) => each !== undefined);
  for (let columns = 40; columns <= 200; columns += 1) {
    for (const height of [9, 24]) {
      const lines = renderTop(picture({ rows: many, rollouts: more, columns, height }));
      assert.ok(lines.length <= Math.max(height, 10), `${lines.length} lines of ${height}`);
      for (const line of lines) assert.ok(widthOf(line) <= columns, `${columns}: ${widthOf(line)} ${line}`);
    }
  }
});

test("each key sorts by its figure, the same again turns it round, and of equals the name decides", () => {
  const names = (view: TopView) => sortRows(rows, view).map(({ name }) => name);
  const press = (view: TopView, key: string) => pressed(view, key, rows.length, 2) ?? view;
  assert.deepEqual(names(firstView), ["eu-prod-1", "eu-prod-2", "us-prod-1"]);
  assert.deepEqual(names(press(firstView, "l")), ["eu-prod-2", "eu-prod-1", "us-prod-1"]);
  assert.deepEqual(names(press(firstView, "h")), ["us-prod-1", "eu-prod-2", "eu-prod-1"]);
  assert.deepEqual(names(press(press(firstView, "n"), "n")), ["us-prod-1", "eu-prod-2", "eu-prod-1"]);
  assert.deepEqual(names(press(firstView, "r")), ["us-prod-1", "eu-prod-2", "eu-prod-1"]);
});

test("scrolling stays within the clusters, q ends it, and a key that nobody knows does nothing", () => {
  const down = pressed(firstView, "\u001b[6~", 30, 10);
  assert.equal(down?.offset, 10);
  assert.equal(pressed(down ?? firstView, "G", 30, 10)?.offset, 20);
  assert.equal(pressed(firstView, "k", 30, 10)?.offset, 0);
  assert.equal(pressed(firstView, "q", 30, 10), undefined);
  assert.equal(pressed(firstView, "x", 30, 10), firstView);
  assert.ok(pageRowsOf(picture({ height: 5 })) >= 1);
});

test("figures from before the server went away say how old they are", () => {
  const lines = renderTop(picture({ staleMs: 95_000 }));
  assert.match(lines.at(-1) ?? "", /^The server does not answer; this was 1m35s ago/);
  assert.ok(
    lines.some((line) => line.includes("eu-prod-1")),
    "what was known stays",
  );
});
