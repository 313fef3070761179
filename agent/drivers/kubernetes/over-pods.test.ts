import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "./over-pods.ts";

/** Pods by address, with when each began. */
type Began = Readonly<Record<string, number>>;
type Look = readonly [wanted: number, began: Began];

function turnsOver(looks: readonly Look[]): readonly number[] {
  const turns = new Turns<number>((began) => began);
  return looks.map(([wanted, began]) => {
    const seen = new Map(Object.entries(began));
    const missing = Array.from({ length: wanted - seen.size }, (_, i) => `node ${i}`);
    return turns.take({ seen, missing, wanted });
  });
}

const both = { a: 1, b: 1 };
const cases: readonly (readonly [what: string, looks: readonly Look[], falls: number])[] = [
  [
    "nodes that an autoscaler adds, before and after their pods are there",
    [
      [2, both],
      [5, both],
      [5, { ...both, c: 2 }],
    ],
    0,
  ],
  [
    "nodes that an autoscaler takes away",
    [
      [2, both],
      [1, { a: 1 }],
    ],
    0,
  ],
  [
    "a pod that is gone from a node that is there",
    [
      [2, both],
      [2, { a: 1 }],
    ],
    1,
  ],
  [
    "a pod that is gone while a node joins",
    [
      [2, both],
      [3, { a: 1 }],
    ],
    1,
  ],
  [
    "a pod that began anew",
    [
      [2, both],
      [2, { a: 1, b: 3 }],
    ],
    1,
  ],
  [
    "a pod that comes back under another address",
    [
      [2, both],
      [2, { a: 1 }],
      [2, { a: 1, c: 3 }],
    ],
    1,
  ],
];
for (const [what, looks, falls] of cases) {
  test(`a soak counts ${falls === 0 ? "no fall" : "a fall"} for ${what}`, () => {
    const turns = turnsOver(looks);
    assert.equal((turns.at(-1) ?? 0) - (turns[0] ?? 0), falls);
  });
}
