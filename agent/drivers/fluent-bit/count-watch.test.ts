import assert from "node:assert/strict";
import { test } from "node:test";
import { CountWatch } from "./count-watch.ts";
import type { FluentBitSeen, OutputSeen } from "./seen.ts";

const output = (change: Partial<OutputSeen>): OutputSeen => ({
  delivered: 0,
  deliveredBytes: 0,
  errors: 0,
  retries: 0,
  dropped: 0,
  ...change,
});
const fluentBit = (outputs: Readonly<Record<string, OutputSeen>>, reloads = 0): FluentBitSeen => ({
  reloads,
  beganS: 1,
  records: 0,
  bytes: 0,
  outputs: new Map(Object.entries(outputs)),
});
type Look = Readonly<Record<string, FluentBitSeen>>;

function watchOver(looks: readonly Look[]): CountWatch {
  const watch = new CountWatch(true, 1_000_000);
  looks.forEach((look, at) => {
    const seen = new Map(Object.entries(look).map(([host, each]) => [`http://${host}:2020`, each]));
    watch.take({ seen, missing: [], wanted: 2 }, true, {
      wallMs: 1_000_000 + at * 2_000,
      steadyMs: at * 2_000,
    });
  });
  return watch;
}

test("what outputs dropped is not dropped a second time when a config takes one of them out, or a pod misses a look", () => {
  const both = { es: output({ dropped: 40 }), store: output({ dropped: 60 }) };
  const looks: Look[] = [
    { a: fluentBit({ es: output({}), store: output({}) }), b: fluentBit({}) },
    { a: fluentBit(both), b: fluentBit({ es: output({ dropped: 5 }) }) },
  ];
  assert.equal(watchOver(looks).dropped, 105);
  looks.push({ a: fluentBit({ es: output({ dropped: 1 }) }, 1) });
  assert.equal(watchOver(looks).dropped, 106, "the reload counts anew, and b is not seen");
  looks.push({
    a: fluentBit({ es: output({ dropped: 1 }) }, 1),
    b: fluentBit({ es: output({ dropped: 7 }) }),
  });
  assert.equal(watchOver(looks).dropped, 108);
});

test("an output keeps its name and its counts while the pod of another node is not seen", () => {
  const looks: Look[] = [
    { a: fluentBit({ es: output({}) }), b: fluentBit({ es: output({}) }) },
    { a: fluentBit({ es: output({ delivered: 10 }) }) },
    {
      a: fluentBit({ es: output({ delivered: 12, errors: 1 }) }),
      b: fluentBit({ es: output({ delivered: 3 }) }),
    },
    {
      a: fluentBit({ es: output({ delivered: 12, errors: 2 }) }),
      b: fluentBit({ es: output({ delivered: 4 }) }),
    },
    {
      a: fluentBit({ es: output({ delivered: 12, errors: 2 }) }),
      b: fluentBit({ es: output({ delivered: 5 }) }),
    },
  ];
  const reports = (count: number) =>
    watchOver(looks.slice(0, count))
      .reports()
      .map(({ alias, delivered }) => [alias, delivered]);
  assert.deepEqual(reports(2), [["es@a", 10]]);
  assert.deepEqual(reports(3), [
    ["es@a", 12],
    ["es@b", 3],
  ]);
  const watch = watchOver(looks);
  assert.equal(watch.lagMs, 2_000, "it has failed for one look");
  assert.match(watch.reports()[0]?.lastError ?? "", /2 errors .* delivers nothing/);
});
