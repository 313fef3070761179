import assert from "node:assert/strict";
import { test } from "node:test";

import { buildBundle, parseBundle, type Bundle } from "#trust";

import { codeOf, valueOf } from "./fixture.ts";

const file = (path: string, content = "x") => ({ path, content });
const base: Omit<Bundle, "format"> = {
  org: "default",
  kind: "rules",
  name: "starter",
  version: "1.0.0",
  files: [file("k8s/exec.yaml", "- rule: exec\n"), file("k8s/secrets.yaml")],
  layers: [
    { name: "payments", level: "team", selector: { team: "payments" }, files: [file("tune.yaml", "team")] },
    { name: "all", level: "base", selector: {}, files: [file("all.yaml", "all")] },
  ],
};

test("every kind of malformed bundle is refused with the place and what would be right", () => {
  const many = Array.from({ length: 201 }, (_, i) => file(`f${i}.yaml`));
  const layer = { name: "a", level: "team", selector: { team: "a" }, files: [file("a.yaml")] } as const;
  const cases: readonly [Partial<Bundle> | Record<string, unknown>, RegExp][] = [
    [{ org: "Default" }, /org is "Default"; expected/],
    [{ kind: "exec" }, /kind is "exec"; expected rules or shipper/],
    [{ name: "a/b" }, /name is "a\/b"/],
    [{ version: "1.0" }, /version is "1.0"; expected a semantic version/],
    [{ version: "1.0.0+build" }, /semantic version/],
    [{ version: "01.0.0" }, /semantic version/],
    [{ requires: { engine: "^1" } }, /requires.engine is "\^1"; expected/],
    [{ requires: { engine: [">=0.62.0"] } }, /requires.engine is not text; expected/],
    [{ requires: { kernel: "1" } }, /unknown field "requires.kernel"/],
    [{ files: [file("../x")] }, /files\[0\].path is "..\/x"/],
    [{ files: [file("/etc/passwd")] }, /files\[0\].path/],
    [{ files: [file("a//b")] }, /files\[0\].path/],
    [{ files: [file("a/./b")] }, /files\[0\].path/],
    [{ files: [file(".hidden")] }, /files\[0\].path/],
    [{ files: [file("a\u0000b")] }, /files\[0\].path/],
    [{ files: [file("layers/team-a/x.yaml")] }, /"layers\/" is kept for layers/],
    [{ files: [file("a.yaml"), file("a.yaml")] }, /files\[1\].path "a.yaml" occurs twice/],
    [{ files: [file("a.yaml", "\0")] }, /content of "a.yaml" is not text/],
    [{ files: [{ path: "a.yaml", content: 1 }] }, /content of "a.yaml" is not text/],
    [{ files: [{ path: ["a.yaml"], content: "x" }] }, /files\[0\].path is not text/],
    [{ files: [file("a.yaml", "\ud800")] }, /content of "a.yaml" is not text/],
    [{ files: many }, /files has 201 entries; at most 200/],
    [
      { files: many.slice(0, 150), layers: [{ ...layer, files: many.slice(0, 51) }] },
      /201 files; at most 200/,
    ],
    [{ files: [], layers: [] }, /no files/],
    [{ files: "x" }, /files is not a list/],
    [{ layers: [layer, layer] }, /layer "team-a" occurs twice/],
    [
      { layers: [{ ...layer, level: "galaxy" }] },
      /layers\[0\].level is "galaxy"; expected one of base, tribe/,
    ],
    [{ layers: [{ ...layer, selector: {} }] }, /would match every cluster/],
    [{ layers: [{ ...layer, selector: { team: 1 } }] }, /"team" is 1; expected a label value/],
    [{ layers: [{ ...layer, files: [] }] }, /layers\[0\] has no files/],
    [
      { layers: Array.from({ length: 65 }, (_, i) => ({ ...layer, name: `l${i}` })) },
      /layers has 65 entries; at most 64/,
    ],
    [{ format: 2 }, /format is 2; this version reads format 1/],
    [{ requires: "engine" }, /requires is not an object/],
    [{ files: ["a.yaml"] }, /files\[0\] is not an object/],
    [{ layers: ["team"] }, /layers\[0\] is not an object/],
    [{ layers: [{ ...layer, selector: ["team"] }] }, /selector is not an object/],
    [{ layers: [{ ...layer, selector: { "a b": "x" } }] }, /"a b" is not a label name/],
    [
      {
        layers: [
          { ...layer, selector: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`l${i}`, "x"])) },
        ],
      },
      /has 17 labels; at most 16/,
    ],
    [{ exec: "rm" }, /unknown field "exec"/],
    [{ files: [{ ...file("a.yaml"), mode: "0755" }] }, /unknown field "files\[0\].mode"/],
    [{ layers: [{ ...layer, protected: false }] }, /unknown field "layers\[0\].protected"/],
  ];
  for (const [change, message] of cases) {
    const result = buildBundle({ ...base, ...change });
    assert.ok(!result.ok, JSON.stringify(change));
    assert.equal(result.refusal.code, "trust/invalid-bundle");
    assert.match(result.refusal.message, message);
  }
});

test("a bundle is as large in every count as allowed", () => {
  const many = (count: number, from = 0) =>
    Array.from({ length: count }, (_, i) => file(`f${from + i}.yaml`));
  const selector = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`label-${i}`, "x"]));
  const layers = Array.from({ length: 64 }, (_, i) => ({
    name: `l${i}`,
    level: "team" as const,
    selector,
    files: many(1),
  }));
  for (const change of [
    { files: many(200), layers: [] },
    { files: many(136), layers },
    { files: [], layers: [{ ...layers[0]!, files: many(200) }] },
  ]) {
    const { bundle, bytes } = valueOf(buildBundle({ ...base, ...change }));
    assert.deepEqual(valueOf(parseBundle(bytes)), bundle);
    assert.deepEqual(bundle, { format: 1, ...base, ...change });
  }
});

test("what a bundle requires is read back as it was written, also when it is nothing", () => {
  for (const change of [{}, { requires: {} }, { requires: { engine: ">=0.62.0" } }]) {
    const { bytes } = valueOf(buildBundle({ ...base, ...change }));
    assert.deepEqual(valueOf(parseBundle(bytes)), { format: 1, ...base, ...change });
  }
});

test("what is no object is no bundle, and throws nothing", () => {
  for (const text of ["null", "[]", "1", '"bundle"']) {
    assert.equal(codeOf(parseBundle(Buffer.from(text))), "trust/invalid-bundle", text);
  }
});

test("an author sees ten problems at once, and how many more there are", () => {
  const files = Array.from({ length: 12 }, (_, i) => file(`../${i}`));
  const refused = buildBundle({ ...base, files });
  assert.ok(!refused.ok);
  assert.match(refused.refusal.message, /^bundle starter@1\.0\.0: files\[0\]/);
  assert.match(refused.refusal.message, /files\[9\].*; and 2 more$/);
  const nameless = buildBundle({ ...base, name: "A", files: files.slice(2) });
  assert.ok(!nameless.ok);
  assert.match(nameless.refusal.message, /^bundle: name is "A".*files\[8\].*; and 1 more$/);
  const ten = buildBundle({ ...base, version: 1 as never, files: files.slice(3) });
  assert.ok(!ten.ok && /^bundle: version is 1; .*files\[8\]/.test(ten.refusal.message));
  assert.ok(!ten.refusal.message.includes("more"));
});
