import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { freshDatabase } from "../../test/support/postgres.ts";
import { defaultIntakeBounds } from "../domain/alert-intake.ts";
import { planBuckets } from "../domain/alert-stats.ts";
import { wholeFleet } from "../domain/scope.ts";
import { createAlertTaker } from "../sessions/take-alerts.ts";
import { countAlerts } from "./alert-counts.ts";
import { listAlertGroups } from "./alert-groups.ts";
import type { AlertRow } from "./alert-intake.ts";
import { addSilence, removeSilence } from "./alert-silences.ts";
import { listAlerts, type AlertPosition } from "./alert-pages.ts";
import { listArrivals, placeAt, type AlertFilter } from "./alerts.ts";
import { countNotStored } from "./alerts-not-stored.ts";
import { sql } from "./drizzle.ts";
import { PatternsTooSlow } from "./pattern-time.ts";

const clusterId = "cl_1";
const firstS = 1_790_000_000;
const now = new Date(firstS * 1000);
const everything: AlertFilter = { scope: wholeFleet, selector: [], rules: [], tags: [], matchers: [] };
const noNote = async () => {};

function idOf(n: number): string {
  return n.toString(16).padStart(64, "0");
}

function alert(n: number, more: Partial<AlertRow> = {}): AlertRow {
  return {
    id: idOf(n),
    timeUs: BigInt(firstS + n) * 1_000_000n,
    clusterId,
    agentId: "ag_1",
    rule: "Exec into a pod",
    priority: 4,
    source: "k8s_audit",
    output: `exec ${n}`,
    body: "{}",
    auditId: "",
    tags: [],
    rulesDigest: `sha256:${"a".repeat(64)}`,
    actor: "alice",
    fields: {},
    ...more,
  };
}

/** A store with one cluster, which sends alerts. */
async function openStore(t: TestContext) {
  const db = await freshDatabase(t);
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    values (${clusterId}, 'eu-1', 'uid-1', '{"region":"eu"}', ${now.toISOString()})`);
  const take = createAlertTaker(db, defaultIntakeBounds);
  return {
    db,
    deliver: async (...rows: AlertRow[]) => take(clusterId, rows, now),
    groups: async (more: { readonly isSilenced?: boolean } = {}) =>
      (await listAlertGroups(db, { ...everything, states: [], now, ...more }, 10)).groups,
    silence: async (id: string, hours: number) => {
      const expiresAt = new Date(now.getTime() + hours * 3_600_000);
      const words = { matchers: 'actor="alice"', author: "test", reason: "a drill" };
      const added = await addSilence(
        db,
        { id, ...words, scope: wholeFleet, createdAt: now, expiresAt },
        noNote,
      );
      assert.ok(added.ok);
      return added.value;
    },
    unsilence: async (id: string) => removeSilence(db, wholeFleet, id, { name: "test", at: now }, noNote),
  };
}

test("a silence that is removed while alerts are on their way hides their group no longer", async (t) => {
  const { db, deliver, groups, silence, unsilence } = await openStore(t);
  await silence("si_1", 8);
  const delivered = await db.transaction(async (tx) => {
    // Nobody stores alerts meanwhile: the batch has read the silences by then, and waits.
    await tx.execute(sql`lock table alerts in share mode`);
    const batch = deliver(alert(1));
    for (let waiting = 0; waiting === 0;) {
      const { rows } = await tx.execute<{ count: number }>(sql`
          select count(*)::int as count from pg_locks where not granted and relation = 'alerts'::regclass
            and database = (select oid from pg_database where datname = current_database())`);
      waiting = rows[0]?.count ?? 0;
    }
    assert.ok((await unsilence("si_1")).ok);
    return { batch };
  });
  assert.equal((await delivered.batch).stored, 1);
  assert.deepEqual(
    (await groups({ isSilenced: false })).map(({ silencedUntilUs }) => silencedUntilUs),
    [null],
  );
  assert.deepEqual(await groups({ isSilenced: true }), []);
});

test("of several silences a group has the mark of the one that ends last", async (t) => {
  const { deliver, groups, silence, unsilence } = await openStore(t);
  await deliver(alert(1));
  const mark = async () => (await groups())[0]?.silenceId;
  assert.equal((await silence("si_middle", 2)).groups, 1n);
  assert.equal((await silence("si_short", 1)).groups, 0n);
  assert.equal(await mark(), "si_middle");
  assert.equal((await silence("si_long", 3)).groups, 1n);
  assert.equal(await mark(), "si_long");
  await unsilence("si_long");
  assert.equal(await mark(), "si_middle");
  await unsilence("si_middle");
  assert.equal(await mark(), "si_short");
  await unsilence("si_short");
  assert.equal(await mark(), null);
});

test("a late backlog is not what a group shows as its newest, and a clock that is ahead only until others come", async (t) => {
  const { deliver, groups } = await openStore(t);
  const of = (n: number) => alert(n, { fields: { n }, source: `s${n}`, tags: [`t${n}`] });
  const shown = async () => {
    const [group] = await groups();
    const samples = group?.samples.map(({ output }) => Number(output.split(" ")[1]));
    return { samples, fields: group?.fields, source: group?.source, tags: group?.tags };
  };
  await deliver(of(-10), of(-20));
  await deliver(...[-3_600, -3_500, -3_400, -15].map(of));
  const newest = { fields: { n: -10 }, source: "s-10", tags: ["t-10"] };
  assert.deepEqual(await shown(), { samples: [-10, -15, -20, -3_400, -3_500], ...newest });
  await deliver(of(-5), of(86_400));
  assert.deepEqual(await shown(), {
    samples: [-5, -10, -15, -20, -3_400],
    fields: { n: -5 },
    source: "s-5",
    tags: ["t-5"],
  });
  const last = async () => Number(((await groups())[0]?.lastUs ?? 0n) / 1_000_000n) - firstS;
  assert.equal(await last(), -5);
  // Nor does one that is ahead, alone or with a backlog, make room for the backlog.
  await deliver(of(86_401));
  await deliver(of(-3_300), of(86_402));
  await deliver(of(-3_200));
  assert.deepEqual([await last(), (await shown()).fields], [-5, { n: -5 }]);
  await deliver(of(-2));
  assert.deepEqual([await last(), (await shown()).fields], [-2, { n: -2 }]);
});

test("a group of nothing but alerts that are ahead shows the furthest, until any other comes", async (t) => {
  const { deliver, groups } = await openStore(t);
  const of = (n: number) => alert(n, { fields: { n } });
  const last = async () => {
    const [group] = await groups();
    return [Number((group?.lastUs ?? 0n) / 1_000_000n) - firstS, group?.fields];
  };
  await deliver(of(86_400));
  await deliver(of(86_500));
  await deliver(of(86_300));
  assert.deepEqual(await last(), [86_500, { n: 86_500 }]);
  await deliver(of(-3_600));
  assert.deepEqual(await last(), [-3_600, { n: -3_600 }]);
  await deliver(of(86_600));
  await deliver(of(-3_700));
  assert.deepEqual(await last(), [-3_600, { n: -3_600 }]);
});

test("a page holds 8 MiB at most, and pages and looks go on where it was cut", async (t) => {
  const { db, deliver } = await openStore(t);
  // 256 KiB each: 32 fill a page.
  const big = { output: "\u{20AC}".repeat(65_536), body: " ".repeat(65_536) };
  for (const first of [0, 10, 20, 30]) {
    await deliver(...Array.from({ length: 10 }, (_, i) => alert(first + i, big)));
  }
  const pages: number[][] = [];
  let before: AlertPosition | undefined;
  do {
    const page = await listAlerts(db, everything, 1_000, before);
    pages.push(page.alerts.map(({ id }) => Number.parseInt(id, 16)));
    before = page.next;
  } while (before !== undefined && pages.length < 10);
  assert.deepEqual(
    pages.map(({ length }) => length),
    [32, 8],
  );
  assert.deepEqual(
    pages.flat(),
    Array.from({ length: 40 }, (_, i) => 39 - i),
  );
  const look = await listArrivals(db, everything, { after: 0n, told: [] }, 200);
  assert.deepEqual([look.alerts.length, look.lookedUpTo], [32, look.alerts.at(-1)?.arrival]);
});

test("a tail since a time begins before the first alert that was stored since then, whenever its event was", async (t) => {
  const { db } = await openStore(t);
  const take = createAlertTaker(db, defaultIntakeBounds);
  const minute = (n: number) => new Date(now.getTime() + n * 60_000);
  const us = (n: number) => BigInt(minute(n).getTime()) * 1000n;
  assert.equal(await placeAt(db, us(0)), 0n);
  // Two a minute, each a day older than the one before; of every third minute all are gone.
  for (let n = 0; n < 8; n++) {
    const days = -86_400 * n;
    await take(
      clusterId,
      [alert(days, { id: idOf(2 * n) }), alert(days + 1, { id: idOf(2 * n + 1) })],
      minute(n),
    );
  }
  for (const n of [0, 3, 6]) {
    await db.execute(sql`delete from alerts where received_at = ${minute(n).toISOString()}`);
  }
  for (let n = -1; n <= 8; n++) {
    const { alerts } = await listArrivals(db, everything, { after: await placeAt(db, us(n)), told: [] }, 100);
    const minutes = [1, 2, 4, 5, 7].filter((each) => each >= n);
    const wanted = minutes.flatMap((each) => [2 * each, 2 * each + 1]);
    assert.deepEqual(
      alerts.map(({ id }) => Number.parseInt(id, 16)),
      wanted,
      `since minute ${n}`,
    );
  }
});

test("a look of a tail loads nothing that was told, and sees past it", async (t) => {
  const { db, deliver } = await openStore(t);
  await deliver(...Array.from({ length: 10 }, (_, i) => alert(i, { tags: [`n${i % 2}`] })));
  const patterns = { name: "tag", operator: "=~", value: "n.*" } as const;
  for (const filter of [everything, { ...everything, matchers: [patterns] }]) {
    const told = new Set<bigint>();
    const looks: number[] = [];
    for (let isAll = false; !isAll && looks.length < 5;) {
      const look = await listArrivals(db, filter, { after: 0n, told: [...told] }, 4);
      looks.push(look.alerts.length);
      for (const { arrival } of look.alerts) told.add(arrival);
      isAll = look.lookedUpTo === undefined;
    }
    assert.deepEqual([looks, told.size], [[4, 4, 2], 10]);
  }
});

test("a tail whose patterns take long sees all alerts, a part with each look, and does not stop at the same place for ever", async (t) => {
  const { db, deliver } = await openStore(t);
  await deliver(...Array.from({ length: 10 }, (_, i) => alert(i, { tags: [`n${i % 2}`] })));
  const filter = { ...everything, matchers: [{ name: "tag", operator: "=~", value: ".*1" } as const] };
  // A second passes whenever somebody looks at the clock: no look has the time for ten.
  let nowMs = 0;
  t.mock.method(performance, "now", () => (nowMs += 1_000));
  const [seen, told]: [string[], bigint[]] = [[], []];
  let looks = 0;
  for (let isAll = false; !isAll && looks < 20; looks += 1) {
    const look = await listArrivals(db, filter, { after: 0n, told }, 200);
    seen.push(...look.alerts.map(({ id }) => id));
    told.push(...look.looked);
    isAll = look.lookedUpTo === undefined;
  }
  assert.deepEqual(seen.toSorted(), [1, 3, 5, 7, 9].map(idOf));
  assert.ok(looks > 2 && looks < 20, `${looks} looks`);
});

test("what was counted and not stored is counted by a pattern of rules too, which is refused when it takes too long", async (t) => {
  const { db } = await openStore(t);
  const take = createAlertTaker(db, { ...defaultIntakeBounds, storedPerHourMax: 1 });
  await take(
    clusterId,
    Array.from({ length: 10 }, (_, i) => alert(i, { rule: i < 5 ? "Exec" : "Secret" })),
    now,
  );
  const rules = (value: string) => ({
    ...everything,
    matchers: [{ name: "rule", operator: "=~", value } as const],
  });
  const counted = [await countNotStored(db, rules("E.*")), await countNotStored(db, rules("S.*"))];
  assert.deepEqual(counted, [4n, 4n]);
  let nowMs = 0;
  t.mock.method(performance, "now", () => (nowMs += 4_000));
  await assert.rejects(countNotStored(db, rules("E.*")), PatternsTooSlow);
});

test("a range within two hours that hold too many alerts is refused by its minutes", async (t) => {
  const { db, deliver } = await openStore(t);
  await deliver(alert(1), alert(2));
  const range = { sinceUs: BigInt(firstS) * 1_000_000n, untilUs: BigInt(firstS + 60) * 1_000_000n };
  const buckets = planBuckets(firstS * 1000, (firstS + 60) * 1000, 60_000);
  assert.ok(buckets.ok);
  const count = async () => countAlerts(db, { ...everything, ...range }, "rule", buckets.value);
  const few = await count();
  assert.deepEqual(few.ok ? few.value.total : few.refusal, 2n);
  await db.execute(sql`update alert_totals set count = 2000001`);
  const many = await count();
  assert.equal(many.ok ? "accepted" : many.refusal.kind, "over-limit");
});
