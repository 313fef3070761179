import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { freshDatabase, type TestDatabase } from "../../test/support/postgres.ts";
import type { ClusterOrder, ClusterPlace } from "../domain/cluster-page.ts";
import { parseScope } from "../domain/scope.ts";
import { matchesSelector, parseSelector, type Selector } from "../domain/selector.ts";
import { listClusters, pageClusters, type ClusterChoice } from "./clusters.ts";
import { agents, clusters } from "./schema.ts";

const startMs = Date.UTC(2026, 0, 1);

interface Wanted {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdMs: number;
  readonly retired: boolean;
  readonly heardMs: readonly (number | null)[];
}

/** Names that databases sort each in their own way, labels that a few selectors tell apart, and times that meet. */
const fleet: readonly Wanted[] = Array.from({ length: 60 }, (_, i) => ({
  name: `${["a-", "a", "A", "b.", "B-", "z_"][i % 6]}${(i * 7) % 60}`,
  labels: {
    region: ["eu", "us", "ap"][i % 3] ?? "",
    ...(i % 4 === 0 ? {} : { team: ["x", "y", "constructor"][(i % 5) % 3] ?? "" }),
    ...(i % 2 === 0 ? { "example.org/tier": "critical" } : {}),
  },
  createdMs: startMs + Math.floor(i / 5) * 1000,
  retired: i % 9 === 0,
  heardMs: i % 7 === 0 ? [] : i % 7 === 1 ? [null] : [startMs + (i % 10) * 500, startMs + (i % 4) * 900],
}));

async function store(db: TestDatabase): Promise<void> {
  const at = (ms: number) => new Date(ms);
  const idOf = (name: string) => `cl_${Buffer.from(name).toString("hex")}`;
  await db.insert(clusters).values(
    fleet.map(({ name, labels, createdMs, retired }) => ({
      id: idOf(name),
      name,
      uid: `uid-${name}`,
      labels,
      createdAt: at(createdMs),
      retiredAt: retired ? at(startMs + 99e3) : null,
    })),
  );
  await db.insert(agents).values(
    fleet.flatMap(({ name, heardMs }) =>
      heardMs.map((ms, i) => ({
        id: `ag_${i}_${Buffer.from(name).toString("hex")}`,
        clusterId: idOf(name),
        name: `node-${i}`,
        publicKey: new Uint8Array([1]),
        certificateSerial: "01",
        certificateExpiresAt: at(startMs),
        lastSeenAt: ms === null ? null : at(ms),
        createdAt: at(startMs),
      })),
    ),
  );
}

const heardAt = ({ heardMs }: Wanted) => Math.max(0, ...heardMs.map((ms) => ms ?? 0));
const byName = (a: Wanted, b: Wanted) => (a.name < b.name ? -1 : 1);
const sorts: Readonly<Record<ClusterOrder, (a: Wanted, b: Wanted) => number>> = {
  name: byName,
  newest: (a, b) => b.createdMs - a.createdMs || byName(a, b),
  unheard: (a, b) => heardAt(a) - heardAt(b) || byName(a, b),
};

const keys = ["region", "team", "example.org/tier", "nobody-has-it"];
const requirement = fc.oneof(
  fc.record({
    key: fc.constantFrom(...keys),
    operator: fc.constantFrom("in", "not-in"),
    values: fc.subarray(["eu", "us", "x", "constructor", "critical"], { minLength: 1 }),
  }),
  fc.record({
    key: fc.constantFrom(...keys),
    operator: fc.constantFrom("exists", "not-exists"),
    values: fc.constant<string[]>([]),
  }),
);
const requirements = fc.array(requirement, { maxLength: 2 });

async function readPages(db: TestDatabase, choice: ClusterChoice, order: ClusterOrder, size: number) {
  const names: string[] = [];
  const totals = new Set<number>();
  let after: ClusterPlace | undefined;
  do {
    const page = await pageClusters(db, choice, { order, after, size });
    assert.ok(page.rows.length === size || page.end === undefined, "only the last page may be short");
    names.push(...page.rows.map(({ name }) => name));
    totals.add(page.total);
    after = page.end;
  } while (after !== undefined);
  return { names, totals: [...totals] };
}

test("pages hold every cluster that scope and selector choose once, in their order, whatever is asked for", async (t) => {
  const db = await freshDatabase(t);
  await store(db);
  const asked = fc.record({
    scope: requirements,
    selector: requirements,
    includeRetired: fc.boolean(),
    order: fc.constantFrom<ClusterOrder>("name", "newest", "unheard"),
    size: fc.constantFrom(1, 7, 59, 60, 61),
  });
  await fc.assert(
    fc.asyncProperty(asked, async ({ order, size, includeRetired, ...raw }) => {
      const [scope, parsed] = [parseScope("scope", raw.scope), parseSelector("selector", raw.selector)];
      assert.ok(scope.ok && parsed.ok);
      const selector: Selector = parsed.value;
      const wanted = fleet
        .filter(({ labels }) => matchesSelector(scope.value, labels) && matchesSelector(selector, labels))
        .filter(({ retired }) => includeRetired || !retired)
        .toSorted(sorts[order])
        .map(({ name }) => name);
      const choice = { scope: scope.value, selector, includeRetired };
      const read = await readPages(db, choice, order, size);
      assert.deepEqual(read, { names: wanted, totals: [wanted.length] });
      const all = (await listClusters(db, choice)).map(({ name }) => name);
      assert.deepEqual(all, wanted.toSorted());
    }),
    { numRuns: 60 },
  );
});
