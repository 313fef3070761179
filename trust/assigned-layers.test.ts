import assert from "node:assert/strict";
import { test } from "node:test";

import {
  assignmentType,
  layerBytesMax,
  layersHeldMax,
  signAssignment,
  signEnvelope,
  verifyAssignment,
  type LayerRef,
} from "#trust";

import { codeOf, joined, makeBundle, makeLayer, makeRelease, makeRoot, newKeys, valueOf } from "./fixture.ts";

const now = new Date("2030-01-01T00:00:00Z");
const keys = newKeys();
const bundle = makeBundle();
const trusted = joined(await makeRoot(keys, now), await makeRelease(keys, now, [bundle]), now);
const [assigner] = keys.assignment;
const context = { org: "default", clusterId: "cl_1", now };
const release = makeLayer().target;
const base = {
  org: "default",
  clusterId: "cl_1",
  generation: 7,
  targets: [bundle.target],
  notBefore: now,
  expires: new Date("2030-01-02T00:00:00Z"),
};
const assigned = async (layers: readonly LayerRef[]) => {
  const envelope = await signAssignment({ ...base, layers }, assigner!);
  return verifyAssignment(trusted, envelope, context);
};

test("an agent reads back the layers that the server assigned to its cluster", async () => {
  const layers = [release, makeLayer("cards", "2.0.0").target];
  assert.deepEqual(valueOf(await assigned(layers)), { ...base, layers });
});

test("an assignment without layers is the one that agents of before know", async () => {
  const { payload } = await signAssignment({ ...base, layers: [] }, assigner!);
  assert.deepEqual(payload, (await signAssignment(base, assigner!)).payload);
  assert.ok(!Buffer.from(payload).toString().includes("layers"));
  assert.deepEqual(valueOf(await assigned([])), base);
});

test("layers of an assignment are read whole or not at all", async () => {
  const { payload } = await signAssignment({ ...base, layers: [release] }, assigner!);
  const json = JSON.parse(Buffer.from(payload).toString()) as object;
  const read = async (layers: unknown) => {
    const text = Buffer.from(JSON.stringify({ ...json, layers }));
    return codeOf(verifyAssignment(trusted, await signEnvelope(assignmentType, text, [assigner!]), context));
  };
  assert.equal(await read([release]), "accepted");
  assert.equal(await read([{ ...release, length: layerBytesMax }]), "accepted");
  for (const odd of [
    null,
    {},
    release.path,
    [null],
    [{ ...release, kind: "layer" }],
    [{ ...release, path: "rules/starter/1.0.0.json" }],
    [{ ...release, path: 1 }],
    [{ ...release, path: [release.path] }],
    [{ ...release, path: undefined }],
    [{ ...release, length: 0 }],
    [{ ...release, length: layerBytesMax + 1 }],
    [{ ...release, sha256: "0" }],
    [release, release],
    [release, { ...release, path: "layer/payments/2.0.0.json" }],
  ]) {
    assert.equal(await read(odd), "trust/malformed", JSON.stringify(odd));
  }
});

test("a cluster runs at most 16 layers that teams own", async () => {
  const layers = Array.from({ length: layersHeldMax + 1 }, (_, n) => makeLayer(`t${n}`).target);
  assert.equal(codeOf(await assigned(layers.slice(1))), "accepted");
  assert.equal(codeOf(await assigned(layers)), "trust/malformed");
});
