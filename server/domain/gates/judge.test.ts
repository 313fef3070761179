import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { allRules } from "./alerts.ts";
import type { GateCluster, GateFacts } from "./facts.ts";
import { cluster, fleet, habits, randomOf, type Habits } from "./fixture.ts";
import { parseGates, type GateName, type GateState } from "./gate.ts";
import { judgeGates } from "./judge.ts";
import { quorum, tolerated } from "./quorum.ts";

const all = parseGates([], 600);
assert.ok(all.ok);
const settings = all.value;
const known = new Set(Object.keys(habits.alerts));
const rules = { before: known, after: new Set([...known, "new"]) };

function facts(wave: readonly GateCluster[], more: Partial<GateFacts> = {}): GateFacts {
  return { kind: "rules", wave, size: wave.length, holdOut: [], rules, ...more };
}

function states(of: GateFacts): Readonly<Record<GateName, GateState>> {
  const verdicts = judgeGates(settings, of).map(({ gate, state }) => [gate, state] as const);
  return Object.fromEntries(verdicts) as Record<GateName, GateState>;
}

function failing(of: GateFacts): readonly GateName[] {
  return judgeGates(settings, of).flatMap(({ gate, state }) => (state === "fails" ? [gate] : []));
}

const bad: readonly (readonly [string, Partial<Habits>, GateName])[] = [
  ["a rule that fires ten times as often", { fire: (rule) => (rule === "steady" ? 10 : 1) }, "alerts"],
  ["a rule that went silent", { fire: (rule) => (rule === "loud" ? 0 : 1) }, "silence"],
  [
    "a rule of a few alerts an hour that went silent",
    { fire: (rule) => (rule === "steady" ? 0 : 1), watched: 60 },
    "silence",
  ],
  ["four events in five that are no longer read", { read: 0.2 }, "ingest"],
  ["every event read four times", { read: 4 }, "ingest"],
  ["detection at three times the cost", { cost: 3 }, "cost"],
];

for (const [what, more, gate] of bad) {
  for (const n of [1, 3, 40]) {
    test(`judgeGates() stops ${what} in a wave of ${n}`, () => {
      assert.ok(failing(facts(fleet(n, randomOf(n), { events: 600, ...more }))).includes(gate));
    });
  }
}

test("judgeGates() says which clusters, what was seen, the limit, and how many are enough", () => {
  const wave = fleet(3, randomOf(1), { events: 600, fire: (rule) => (rule === "steady" ? 20 : 1) });
  const verdict = judgeGates(settings, facts(wave)).find(({ gate }) => gate === "alerts");
  assert.match(
    verdict?.words ?? "",
    /^3 of 3 raise too many alerts of "steady", 2 are enough to fail: c0 \(\d+ alerts, \d+ would pass\), c1/,
  );
  assert.match(verdict?.measured ?? "", /^\d+(?:\.\d+)?x$/);
  assert.equal(verdict?.limit, "3x");
});

test("judgeGates() holds a new rule to alerts per cluster and hour, for it has no past", () => {
  const noisy = (now: number) =>
    fleet(3, randomOf(2)).map((each) => ({
      ...each,
      rules: [...each.rules, { rule: "new", past: each.rules[0]?.past.map(() => 0) ?? [], now }],
    }));
  // 10 minutes at 100 an hour are 16.
  assert.equal(states(facts(noisy(16)))["new-alerts"], "holds");
  assert.equal(states(facts(noisy(17)))["new-alerts"], "fails");
});

test("judgeGates() does not take a rule that the new bundle leaves out for a silent one", () => {
  const wave = fleet(5, randomOf(3), { fire: (rule) => (rule === "loud" ? 0 : 1) });
  const after = new Set([...known].filter((rule) => rule !== "loud"));
  assert.deepEqual(failing(facts(wave, { rules: { before: known, after } })), []);
});

test("judgeGates() blames no bundle for what happens to those that did not get it, too", () => {
  const attack: Partial<Habits> = { fire: (rule) => (rule === "steady" ? 8 : 1) };
  const [wave, holdOut] = [fleet(10, randomOf(4), attack), fleet(20, randomOf(5), attack)];
  assert.deepEqual(failing(facts(wave)), ["alerts"]);
  assert.deepEqual(failing(facts(wave, { holdOut })), []);
  const quiet: Partial<Habits> = { fire: (rule) => (rule === "loud" ? 0 : 1) };
  const calm = facts(fleet(10, randomOf(6), quiet), { holdOut: fleet(20, randomOf(7), quiet) });
  assert.deepEqual(failing(calm), []);
});

test("judgeGates() waits for what it does not see, and never passes on it", () => {
  const gone = (each: GateCluster): GateCluster => ({ ...each, now: [], rules: [] });
  for (const n of [1, 3, 19]) {
    const wave = fleet(n, randomOf(n)).map((each, i) => (i === 0 ? gone(each) : each));
    for (const [gate, state] of Object.entries(states(facts(wave)))) {
      assert.equal(state, gate === "health" ? "holds" : "waits", `${gate} of ${n}`);
    }
  }
  const early = fleet(3, randomOf(8), { watched: 4 });
  assert.equal(states(facts(early)).ingest, "waits");
  const young = fleet(3, randomOf(9)).map((each) => ({ ...each, past: each.past.slice(0, 9) }));
  assert.equal(states(facts(young)).cost, "waits");
});

test("judgeGates() takes no minutes of a clock that is off for those after the bundle, and says whose clock it is", () => {
  const wave = fleet(3, randomOf(12)).map((each, i) => ({ ...each, isClockOff: i === 1 }));
  for (const { gate, state, words } of judgeGates(settings, facts(wave))) {
    assert.equal(state, gate === "health" ? "holds" : "waits", gate);
    if (gate !== "health") assert.match(words, /clock is off \(clock\/skew\), as it is on: c1$/);
  }
});

test("judgeGates() does not call it a flood when a young cluster, without a past, raises alerts as its wave does", () => {
  const wave = fleet(4, randomOf(13), { events: 600 });
  const young = wave.map((each, i) =>
    i > 1 ? each : { ...each, hasPrevious: false, rules: habit(each, 50), past: each.past.slice(0, 5) },
  );
  assert.equal(states(facts(young)).alerts, "holds");
});

test("judgeGates() stops a flood in the young clusters of a wave in which others have a past: to them every rule is new", () => {
  const flood: Partial<Habits> = { fire: (rule) => (rule === "steady" ? 10 : 1), alerts: { steady: 30 } };
  const old = fleet(3, randomOf(14), { events: 600, alerts: { steady: 30 } });
  const young = fleet(2, randomOf(15), { events: 600, ...flood }).map((each) => ({
    ...each,
    hasPrevious: false,
    past: each.past.slice(0, 5),
  }));
  const verdicts = judgeGates(settings, facts([...old, ...young]));
  const failed = verdicts.filter(({ state }) => state === "fails");
  assert.deepEqual(
    failed.map(({ gate }) => gate),
    ["new-alerts"],
  );
  const words =
    /^2 of 5 raise too many alerts of "steady", 2 are enough to fail: c0 \(\d+\/h, with no time before/;
  assert.match(failed[0]?.words ?? "", words, "the rule is none that they did not have");
  // Those with a past are held to that, not to what a new rule may raise.
  const loud = fleet(5, randomOf(16), { events: 600, alerts: { loud: 300 } });
  assert.deepEqual(failing(facts(loud)), []);
});

test("judgeGates() lets one young cluster with a loud rule stop a wave of one or two, in words that name it and say that it has no past, and no larger wave", () => {
  const loud = { events: 600, alerts: { loud: 300 } };
  const young = { ...cluster("young", randomOf(18), loud), hasPrevious: false, past: [] };
  const judge = (others: number) =>
    judgeGates(settings, facts([young, ...fleet(others, randomOf(19), loud)])).find(
      ({ gate }) => gate === "new-alerts",
    );
  const named = /young \(\d+\/h, with no time before to compare with\)/;
  for (const [others, state] of [
    [0, "fails"],
    [1, "fails"],
    [2, "holds"],
    [19, "holds"],
  ] as const) {
    const verdict = judge(others);
    assert.equal(verdict?.state, state, `beside ${others}`);
    assert.match(verdict.words, named);
  }
});

test("judgeGates() takes the count of all rules for no flood and no silence by ten minutes of the time before", () => {
  const counted = (past: readonly number[], now: number) =>
    fleet(3, randomOf(17), { events: 600, alerts: {} }).map((each) => ({
      ...each,
      rules: [{ rule: allRules, past, now }],
    }));
  assert.deepEqual(failing(facts(counted([2], 60))), []);
  // Of a shipper config, whose rules nobody knows.
  const { rules: _unknown, ...shipper } = facts(counted([60], 0));
  assert.deepEqual(failing(shipper), []);
  // An hour, of which a minute was lost.
  assert.deepEqual(failing(facts(counted([2, 2, 2, 2, 2], 60))), ["alerts"]);
});

test("judgeGates() waits for alerts that agents counted and that have not arrived", () => {
  const wave = fleet(2, randomOf(10)).map((each) => ({
    ...each,
    rules: each.rules.map((rule) => ({ ...rule, now: 0 })),
  }));
  assert.equal(states(facts(wave)).silence, "waits");
});

test("judgeGates() compares a cluster that ran nothing before only with absolute limits", () => {
  const wave = fleet(3, randomOf(11)).map((each) => ({ ...each, hasPrevious: false, past: [] }));
  const quiet = wave.map((each) => ({
    ...each,
    rules: [],
    now: each.now.map((minute) => ({ ...minute, alerts: 0 })),
  }));
  assert.ok(Object.values(states(facts(quiet))).every((state) => state === "holds"));
  assert.deepEqual(failing(facts(wave.map((each) => ({ ...each, rules: habit(each, 200) })))), [
    "new-alerts",
  ]);
});

function habit({ rules: of }: GateCluster, now: number) {
  return of.map((rule) => ({ ...rule, past: rule.past.map(() => 0), now }));
}

test("judgeGates() fails health when more agents are ill than may lie, and lets liars alone stop nothing", () => {
  const ill = (n: number, count: number) =>
    fleet(n, randomOf(n)).map((each, i) =>
      i < count ? { ...each, troubles: ["node-1: pipeline/crashed"] } : each,
    );
  assert.equal(states(facts(ill(1, 1))).health, "fails");
  assert.equal(states(facts(ill(100, 5))).health, "holds");
  assert.equal(states(facts(ill(100, 6))).health, "fails");
});

test("judgeGates() does not blame a bundle for sessions that begin again and again where it is not", () => {
  const flapping = (n: number, count: number, trouble = "session/flapping") =>
    fleet(n, randomOf(n)).map((each, i) =>
      i < count ? { ...each, troubles: [`node-1: ${trouble}`] } : each,
    );
  const health = (wave: readonly GateCluster[], flappingOutside?: number) =>
    states({ ...facts(wave), ...(flappingOutside === undefined ? {} : { flappingOutside }) }).health;
  assert.equal(health(flapping(10, 10)), "fails");
  assert.equal(health(flapping(10, 10), 0.1), "fails", "a few always do");
  assert.equal(health(flapping(10, 10), 1), "waits");
  assert.equal(health(flapping(10, 4), 0.2), "waits");
  assert.equal(health(flapping(10, 10, "pipeline/crashed"), 1), "fails");
});

test("quorum() is always out of reach for those who may lie, and within reach without them", () => {
  for (let n = 1; n <= 10_000; n += 1) {
    assert.ok(quorum(n) > tolerated(n) && quorum(n) + tolerated(n) <= n, String(n));
  }
});

/** Whatever a cluster may claim, about its past and its present. */
const claim = fc.record({
  past: fc.constantFrom(0, 1, 1e3, 1e9),
  now: fc.constantFrom(0, 1, 1e3, 1e9),
  goesOn: fc.boolean(),
  speaks: fc.boolean(),
});
type Claim = typeof claim extends fc.Arbitrary<infer T> ? T : never;

function lying(honest: GateCluster, { past, now, goesOn, speaks }: Claim): GateCluster {
  const minute = (n: number) => ({
    events: goesOn ? 600 : n,
    alerts: now,
    lost: n,
    lagMs: n,
    detectionUs: now * 1e3,
  });
  return {
    ...honest,
    past: honest.past.map(() => minute(past)),
    now: speaks ? honest.now.map(() => minute(now)) : [],
    rules: honest.rules.map(({ rule, past: slices }) => ({ rule, past: slices.map(() => past), now })),
    troubles: now > 1 ? ["node-1: made/up"] : [],
  };
}

/** A wave in which one in twenty claims something else. */
function withLiars(wave: readonly GateCluster[], claims: readonly Claim[]): readonly GateCluster[] {
  return wave.map((each, i) => {
    const what = i < tolerated(wave.length) ? claims[i % claims.length] : undefined;
    return what === undefined ? each : lying(each, what);
  });
}

const sizes = fc.constantFrom(20, 40, 100);
const claims = fc.array(claim, { minLength: 1, maxLength: 5 });
const seeds = fc.integer({ min: 0, max: 2 ** 31 });

test("judgeGates() passes a good bundle whatever one in twenty clusters claims", () => {
  fc.assert(
    fc.property(sizes, claims, claims, seeds, (n, inWave, outside, seed) => {
      const random = randomOf(seed);
      const wave = withLiars(fleet(n, random), inWave);
      const holdOut = withLiars(fleet(40, random), outside);
      assert.deepEqual(
        judgeGates(settings, facts(wave, { holdOut })).filter(({ state }) => state !== "holds"),
        [],
      );
    }),
    { numRuns: 40, seed: 7 },
  );
});

for (const [what, more, gate] of bad) {
  test(`judgeGates() stops ${what} whatever one in twenty clusters claims`, () => {
    fc.assert(
      fc.property(sizes, claims, claims, seeds, (n, inWave, outside, seed) => {
        const random = randomOf(seed);
        const wave = withLiars(fleet(n, random, more), inWave);
        const holdOut = withLiars(fleet(40, random), outside);
        assert.ok(failing(facts(wave, { holdOut })).includes(gate));
      }),
      { numRuns: 12, seed: 7 },
    );
  });
}

test("judgeGates() lets no liar decide for a wave because it was the first to prove", () => {
  const wave = fleet(1, randomOf(12), { fire: () => 50, cost: 9 }).map((each) => ({
    ...each,
    troubles: ["x: y/z"],
  }));
  assert.ok(failing(facts(wave)).length >= 3);
  assert.deepEqual(failing(facts(wave, { size: 40 })), []);
});

test("judgeGates() takes alerts that a shipper config keeps back for no delay", () => {
  const some = (each: GateCluster): GateCluster => ({
    ...each,
    past: each.past.map((minute) => ({ ...minute, alerts: 60 })),
    now: each.now.map((minute) => ({ ...minute, alerts: 60 })),
  });
  assert.equal(states(facts(fleet(3, randomOf(13)).map(some))).alerts, "holds");
});

test("judgeGates() stops a bad bundle in a fifth of a wave", () => {
  for (let seed = 0; seed < 20; seed += 1) {
    const random = randomOf(seed);
    const wave = fleet(50, random).map((each, i) =>
      i % 5 === 0 ? cluster(each.name, random, { fire: (rule) => (rule === "steady" ? 15 : 1) }) : each,
    );
    assert.deepEqual(failing(facts(wave)), ["alerts"]);
  }
});

test("judgeGates() stops one good wave in a hundred at most, and one in fifty when it is a single canary", () => {
  // Many rules, uneven clusters, and judged again and again while it soaks.
  const alerts = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`r${i}`, 0.5 * 1.2 ** i]));
  const names = new Set(Object.keys(alerts));
  const more = { alerts, unevenness: 0.5, watched: 30 };
  const rounds = 100;
  for (const n of [1, 3, 20]) {
    let stopped = 0;
    for (let seed = 0; seed < rounds; seed += 1) {
      const random = randomOf(1000 * n + seed);
      const wave = fleet(n, random, more);
      const isStopped = [5, 10, 20, 30].some(
        (minutes) =>
          failing(facts(upTo(wave, minutes, random), { rules: { before: names, after: names } })).length > 0,
      );
      if (isStopped) stopped += 1;
    }
    assert.ok(stopped <= rounds / (n === 1 ? 50 : 100), `${stopped} of ${rounds} waves of ${n}`);
  }
});

/** The same wave as it looked earlier. */
function upTo(wave: readonly GateCluster[], minutes: number, random: () => number): readonly GateCluster[] {
  return wave.map((each) => {
    const rulesNow = each.rules.map((rule) => {
      // Of alerts that came by chance, each is in the first part by chance.
      const share = minutes / each.watchedMinutes;
      let now = 0;
      for (let i = 0; i < rule.now; i += 1) if (random() < share) now += 1;
      return { ...rule, now };
    });
    const counted = rulesNow.reduce((sum, { now }) => sum + now, 0);
    const now = each.now.slice(0, minutes).map((minute, i) => ({ ...minute, alerts: i === 0 ? counted : 0 }));
    return { ...each, watchedMinutes: minutes, now, rules: rulesNow };
  });
}
