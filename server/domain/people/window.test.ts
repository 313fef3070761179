import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { isOpen, nextOpening, parseWindow, parseWindows, type MaintenanceWindow } from "./window.ts";

function window(text: string): MaintenanceWindow {
  const parsed = parseWindow("window", text);
  assert.ok(parsed.ok, text);
  return parsed.value;
}

const at = (text: string) => Date.parse(text);
const opening = (text: string, now: string) =>
  new Date(nextOpening([window(text)], at(now)) ?? Number.NaN).toISOString();

test("a window is open by the clock on the wall of its zone, its last minute excluded", () => {
  const office = [window("Mon-Fri 09:00-17:00 Europe/Berlin")];
  const open = (time: string) => isOpen(office, at(time));
  // 30 November 2026 is a Monday; Berlin is an hour ahead in winter.
  assert.deepEqual(
    ["2026-11-30T07:59Z", "2026-11-30T08:00Z", "2026-11-30T15:59Z", "2026-11-30T16:00Z"].map(open),
    [false, true, true, false],
  );
  assert.equal(open("2026-11-29T10:00Z"), false, "a Sunday");
  // In summer it is two hours ahead.
  assert.deepEqual(["2026-07-06T06:59Z", "2026-07-06T07:00Z"].map(open), [false, true]);
});

test("a window past midnight belongs to the day on which it opens", () => {
  const night = [window("Fri 22:00-02:00 UTC")];
  const open = (time: string) => isOpen(night, at(time));
  // 27 November 2026 is a Friday.
  assert.deepEqual(
    [
      "2026-11-27T01:00Z",
      "2026-11-27T22:00Z",
      "2026-11-28T01:59Z",
      "2026-11-28T02:00Z",
      "2026-11-28T22:00Z",
    ].map(open),
    [false, true, true, false, false],
  );
});

test("the next opening is right across both changes of time", () => {
  // Berlin goes from 02:00 to 03:00 on 29 March 2026, and from 03:00 back to 02:00 on 25 October 2026.
  assert.equal(opening("Mon 09:00-17:00 Europe/Berlin", "2026-03-28T12:00Z"), "2026-03-30T07:00:00.000Z");
  assert.equal(opening("Mon 09:00-17:00 Europe/Berlin", "2026-10-24T12:00Z"), "2026-10-26T08:00:00.000Z");
  // 02:30 does not come on that Sunday: the window is open from 03:00, when the wall is within it.
  assert.equal(opening("Sun 02:30-04:00 Europe/Berlin", "2026-03-28T12:00Z"), "2026-03-29T01:00:00.000Z");
  // All of it is skipped: it opens a week later.
  assert.equal(opening("Sun 02:10-02:50 Europe/Berlin", "2026-03-28T12:00Z"), "2026-04-05T00:10:00.000Z");
  // 02:30 comes twice: open both times.
  const twice = [window("Sun 02:30-03:00 Europe/Berlin")];
  assert.equal(opening("Sun 02:30-03:00 Europe/Berlin", "2026-10-24T12:00Z"), "2026-10-25T00:30:00.000Z");
  assert.equal(isOpen(twice, at("2026-10-25T01:00Z")), false);
  assert.equal(isOpen(twice, at("2026-10-25T01:45Z")), true);
});

test("zones with odd offsets and changes at odd hours have their own wall", () => {
  assert.equal(opening("daily 09:00-10:00 Asia/Kathmandu", "2026-05-01T05:00Z"), "2026-05-02T03:15:00.000Z");
  // Lord Howe changes by half an hour: 02:00 to 02:30 on 4 October 2026.
  assert.equal(
    opening("Sun 02:15-03:00 Australia/Lord_Howe", "2026-10-03T00:00Z"),
    "2026-10-03T15:30:00.000Z",
  );
});

const zones = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Australia/Lord_Howe",
  "Asia/Kathmandu",
  "Pacific/Apia",
];
const days = ["daily", "Mon-Fri", "Sun", "Sat,Sun", "Sat-Mon", "Wed"];
const clock = (minute: number) =>
  `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
const anyWindow = fc
  .tuple(
    fc.constantFrom(...days),
    fc.integer({ min: 0, max: 287 }),
    fc.integer({ min: 0, max: 287 }),
    fc.constantFrom(...zones),
  )
  .filter(([, from, to]) => from !== to)
  .map(([on, from, to, zone]) => window(`${on} ${clock(from * 5)}-${clock(to * 5)} ${zone}`));

test("law: nothing is open before the next opening, and the next opening is open", () => {
  const hour = 3_600_000;
  // The weeks in which the zones change their time are taken as often as all others together.
  const when = fc.oneof(
    fc.integer({ min: at("2026-01-01T00:00Z"), max: at("2027-12-31T00:00Z") }),
    fc.integer({ min: at("2026-03-25T00:00Z"), max: at("2026-04-06T00:00Z") }),
    fc.integer({ min: at("2026-10-01T00:00Z"), max: at("2026-11-02T00:00Z") }),
  );
  fc.assert(
    fc.property(fc.array(anyWindow, { minLength: 1, maxLength: 2 }), when, (windows, now) => {
      const next = nextOpening(windows, now);
      assert.ok(next !== undefined && next >= now && next - now < 16 * 24 * hour);
      assert.ok(isOpen(windows, next));
      // Windows here begin and end at minutes that 5 divides, and so do all changes of time.
      const step = 300_000;
      for (let t = Math.max(now, next - 40 * hour); t < next; t = (Math.floor(t / step) + 1) * step) {
        assert.ok(
          !isOpen(windows, t),
          `${new Date(t).toISOString()} is open before ${new Date(next).toISOString()}`,
        );
      }
    }),
    { numRuns: 60 },
  );
});

test("what is shown of a window reads back as the same window", () => {
  fc.assert(fc.property(anyWindow, (each) => assert.deepEqual(window(each.text), each)));
});

test("what is no window is refused with the field, and with how one is written", () => {
  const why = (text: string) => {
    const parsed = parseWindow("w", text);
    return parsed.ok || parsed.refusal.kind !== "invalid"
      ? "accepted"
      : (parsed.refusal.problems[0]?.why ?? "");
  };
  assert.match(why("weekdays"), /write DAYS HH:MM-HH:MM ZONE/);
  assert.match(why("Mon-Foo 09:00-10:00 UTC"), /names no days/);
  assert.match(why("Mon 09:00-25:00 UTC"), /no times of a day/);
  assert.match(why("Mon 09:00-09:00 UTC"), /same minute/);
  assert.match(why("Mon 09:00-10:00 Berlin"), /no IANA time zone/);
  assert.match(why("Mon 09:00-10:00 +02:00"), /no IANA time zone/);
  assert.ok(
    !parseWindows(
      "w",
      Array.from({ length: 17 }, () => "daily 00:00-24:00 UTC"),
    ).ok,
  );
});
