import assert from "node:assert/strict";
import { test } from "node:test";

import {
  buildLayerRelease,
  checkLayerFits,
  describeLayer,
  layerBytesMax,
  layerOfPath,
  parseLayerRelease,
} from "#trust";

import { codeOf, makeLayer, valueOf } from "./fixture.ts";
import { canonicalJson, type Json } from "./json.ts";

const built = makeLayer();
const parse = (json: unknown) => parseLayerRelease(Buffer.from(canonicalJson(json as Json)));

test("a release of a layer has one form and one digest, and is read as it was built", () => {
  const release = valueOf(parseLayerRelease(built.bytes));
  assert.deepEqual(release, built.release);
  assert.ok(!("requires" in release), "what it does not ask for is absent");
  assert.deepEqual(describeLayer(release, built.bytes), built);
  assert.equal(built.target.path, "layer/payments/1.0.0.json");
  const spaced = Buffer.from(JSON.stringify(JSON.parse(Buffer.from(built.bytes).toString()), undefined, 1));
  assert.equal(codeOf(parseLayerRelease(spaced)), "trust/malformed");
});

test("a release says nothing about where it applies or what it may do: that stands in its delegation", () => {
  const release = built.release as unknown as Record<string, Json>;
  for (const more of [{ selector: {} }, { level: "base" }, { layers: [] }, { prefix: "x" }]) {
    const result = parse({ ...release, ...more });
    assert.ok(!result.ok && /layer release payments@1\.0\.0: unknown field/.test(result.refusal.message));
  }
});

test("a release that is not one is refused with all that is wrong", () => {
  const release = built.release as unknown as Record<string, Json>;
  const cases: readonly [object, RegExp][] = [
    [{ format: 2 }, /format is 2/],
    [{ kind: undefined }, /kind is missing/],
    [{ kind: "rules" }, /kind is "rules"; expected layer/],
    [{ org: "" }, /org is ""/],
    [{ name: "Pay" }, /name is "Pay"/],
    [{ version: "1" }, /^layer release payments@1: version is "1"/],
    [{ version: 1 }, /^layer release: version is 1/],
    [{ requires: { engine: "new" } }, /requires\.engine/],
    [{ files: [] }, /no files/],
    [{ files: [{ path: "../x", content: "" }] }, /files\[0\]\.path/],
    [{ format: 2, org: "" }, /format is 2.*; org is ""/],
  ];
  for (const [change, words] of cases) {
    const result = parse({ ...release, ...change });
    assert.ok(!result.ok && result.refusal.code === "trust/invalid-bundle", JSON.stringify(change));
    assert.match(result.refusal.message, words);
  }
  const list = parse([]);
  assert.ok(!list.ok && list.refusal.code === "trust/invalid-bundle");
  assert.match(list.refusal.message, /layer release is not a JSON object/);
  const fraction = Buffer.from(JSON.stringify({ ...release, format: 1.5 }));
  assert.equal(codeOf(parseLayerRelease(fraction)), "trust/invalid-bundle", "and throws nothing");
  const requires = { engine: ">=0.62.0" };
  assert.deepEqual(valueOf(parse({ ...release, requires })).requires, requires);
});

test("a release has a bound", () => {
  const files = (length: number) => [{ path: "tune.yaml", content: "x".repeat(length) }];
  const { org, name, version } = built.release;
  const frame = makeLayer("payments", "1.0.0", "").bytes.length;
  const build = (length: number) => buildLayerRelease({ org, name, version, files: files(length) });
  assert.equal(valueOf(build(layerBytesMax - frame)).bytes.length, layerBytesMax);
  assert.equal(codeOf(build(layerBytesMax - frame + 1)), "trust/too-large");
  assert.equal(codeOf(parseLayerRelease(Buffer.alloc(layerBytesMax + 1, " "))), "trust/too-large");
  assert.equal(
    codeOf(buildLayerRelease({ org, name: "", version, files: files(1) })),
    "trust/invalid-bundle",
  );
});

test("a release is one of this organisation, under the path that was signed for", () => {
  const fits = (path: string, org = "default") => codeOf(checkLayerFits(path, built.release, org));
  assert.equal(fits(built.target.path), "accepted");
  assert.equal(fits("layer/payments/1.0.1.json"), "trust/not-listed");
  assert.equal(fits(built.target.path, "other"), "trust/wrong-org");
});

test("layerOfPath() reads the layer from paths of releases, and from no others", () => {
  assert.equal(layerOfPath("layer/payments/1.0.0.json"), "payments");
  for (const path of [
    "rules/payments/1.0.0.json",
    "layer/Pay/1.0.0.json",
    "layer/payments/new.json",
    "layer/a/b/1.0.0.json",
    "x/layer/payments/1.0.0.json",
    "layer/payments/1.0.0.json/x",
    "layer/payments/1.0.0xjson",
    "",
  ]) {
    assert.equal(layerOfPath(path), undefined, path);
  }
});
