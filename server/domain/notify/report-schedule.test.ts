import assert from "node:assert/strict";
import { test } from "node:test";

import { nextReportMs, parseReportSchedule, parseSchedule, reportedFromMs } from "./report-schedule.ts";

function next(schedule: string, after: string): string {
  const when = parseSchedule("schedule", schedule);
  assert.ok(when.ok, JSON.stringify(when));
  return new Date(nextReportMs(when.value, Date.parse(after))).toISOString().slice(0, 16);
}

test("a report comes at its hour on the wall of its zone, also over a change of time, and once for each day", () => {
  assert.equal(next("Mon 08:00 Europe/Berlin", "2026-03-22T12:00:00Z"), "2026-03-23T07:00");
  // Summer time begins on the 29th.
  assert.equal(next("Mon 08:00 Europe/Berlin", "2026-03-23T07:00:05Z"), "2026-03-30T06:00");
  assert.equal(next("daily 23:59 UTC", "2026-03-22T23:59:00Z"), "2026-03-23T23:59");
  assert.equal(next("Mon-Fri 00:00 Asia/Tokyo", "2026-03-27T16:00:00Z"), "2026-03-29T15:00");
  // Winter time begins on the 25th: half past two is twice there.
  assert.equal(next("daily 02:30 Europe/Berlin", "2026-10-24T12:00:00Z"), "2026-10-25T00:30");
  assert.equal(next("daily 02:30 Europe/Berlin", "2026-10-25T00:30:05Z"), "2026-10-26T01:30");
});

test("nothing falls between two reports: not in an hour that a change of time adds, nor while no server was there", () => {
  const week = 7 * 86_400_000;
  const now = 100 * week;
  const from = (lastMs: number) => reportedFromMs(now, { lastMs, createdMs: 0 });
  assert.equal(from(now - week / 7), now - week);
  assert.equal(from(now - week - 3_600_000), now - week - 3_600_000);
  assert.equal(from(now - 9 * week), now - 5 * week);
  // The first one, or the one after a first that was given up.
  assert.equal(reportedFromMs(now, { createdMs: now }), now - week);
  assert.equal(reportedFromMs(now, { createdMs: now - week }), now - 2 * week);
});

test("a schedule that cannot be kept is refused with every reason at once", () => {
  const wish = { name: "weekly", report: "exec", receiver: "soc", format: "", schedule: "Mon 08:00 UTC" };
  const rest = { selector: [], rules: [], redact: [] };
  assert.ok(parseReportSchedule({ ...wish, ...rest }).ok);
  const bad = parseReportSchedule({
    ...wish,
    ...rest,
    report: "gossip",
    format: "pdf",
    schedule: "Mon 8am",
    redact: ["x"],
  });
  assert.ok(!bad.ok && bad.refusal.kind === "invalid");
  assert.deepEqual(
    bad.refusal.problems.map(({ field }) => field),
    ["report", "format", "redact", "schedule"],
  );
  const coverage = { ...wish, ...rest, report: "coverage", redact: ["cluster"] };
  assert.ok(parseReportSchedule(coverage).ok);
  const users = parseReportSchedule({ ...coverage, redact: ["cluster", "user"] });
  assert.match(JSON.stringify(users), /a report of coverage has no user: only cluster can be replaced there/);
  const named = parseReportSchedule({ ...wish, ...rest, rules: ["Exec", "Exec", "R"] });
  assert.deepEqual(named.ok && named.value.rules, ["Exec", "R"]);
  for (const odd of [
    { rules: ["Exec"], report: "coverage" },
    { rules: ["Exec"], report: "rollouts" },
    { rules: [""] },
    { rules: ["x".repeat(301)] },
    { rules: Array.from({ length: 101 }, (_, n) => `rule ${n}`) },
  ]) {
    const refused = parseReportSchedule({ ...wish, ...rest, ...odd });
    assert.ok(!refused.ok && refused.refusal.kind === "invalid");
    assert.deepEqual(
      refused.refusal.problems.map(({ field }) => field),
      ["rules"],
    );
  }
});
