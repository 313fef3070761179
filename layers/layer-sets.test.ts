import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { effectiveLayers, type Layer, layerId } from "#trust";
import { bundleWith, layer } from "./fixture.ts";
import { layerSets } from "./layer-sets.ts";

const ids = (layers: readonly Layer[]): string => layers.map(layerId).join(" ");

test("layerSets() gives each set of layers that a cluster can have, with labels that have it, and no other", () => {
  const bundle = bundleWith(
    layer("team", "a", { team: "a" }, "- list: x\n  items: []"),
    layer("team", "b", { team: "b" }, "- list: x\n  items: []"),
    layer("project", "p", { project: "p", team: "a" }, "- list: x\n  items: []"),
    layer("base", "eu", { region: "eu" }, "- list: x\n  items: []"),
  );
  const { sets, isComplete } = layerSets(bundle, 100);
  assert.ok(isComplete);
  assert.deepEqual(sets.map(({ layers }) => ids(layers)).sort(), [
    "",
    "base-eu",
    "base-eu team-a",
    "base-eu team-a project-p",
    "base-eu team-b",
    "team-a",
    "team-a project-p",
    "team-b",
  ]);
});

const values = ["v", "w", undefined] as const;
const labelsOf = fc.record(
  { a: fc.constantFrom("v", "w"), b: fc.constantFrom("v", "w"), c: fc.constantFrom("v", "w") },
  { requiredKeys: [] },
);

test("layerSets() misses no set of layers, whatever the selectors: every cluster's own is among them", () => {
  fc.assert(
    fc.property(fc.array(labelsOf, { minLength: 1, maxLength: 6 }), (selectors) => {
      const layers = selectors.map((selector, at) =>
        layer(
          "base",
          `n${at}`,
          Object.fromEntries(Object.entries(selector).filter(([, value]) => value !== undefined)),
          "x",
        ),
      );
      const bundle = { ...bundleWith(), layers };
      const found = new Set(layerSets(bundle, 1000).sets.map((set) => ids(set.layers)));
      const real = new Set<string>();
      for (const a of values) {
        for (const b of values) {
          for (const c of values) {
            const labels = Object.fromEntries(
              Object.entries({ a, b, c }).filter(([, value]) => value !== undefined),
            ) as Record<string, string>;
            real.add(ids(effectiveLayers(bundle, labels)));
          }
        }
      }
      assert.deepEqual([...found].sort(), [...real].sort());
    }),
  );
});

test("layerSets() stops at its bound and says so, with each layer alone and the largest set among what it gives", () => {
  const layers = Array.from({ length: 64 }, (_, at) => layer("base", `n${at}`, { [`l${at}`]: "x" }, "x"));
  const { sets, isComplete } = layerSets({ ...bundleWith(), layers }, 200);
  assert.equal(isComplete, false);
  assert.equal(sets.length, 200);
  const sizes = sets.map((set) => set.layers.length);
  assert.equal(sizes.filter((size) => size === 1).length, 64);
  assert.ok(sizes.includes(64));
});
