import assert from "node:assert/strict";
import { test } from "node:test";

import {
  decodeTrusted,
  emptyTrusted,
  encodeTrusted,
  newTimestamp,
  signMetadata,
  updateTrusted,
  type Trusted,
} from "#trust";

import {
  codeOf,
  joined,
  makeBundle,
  makeOnline,
  makeRelease,
  makeRoot,
  newKeys,
  valueOf,
  type Keys,
} from "./fixture.ts";
import { encodeMetadata, metadataBytesMax, parseMetadata } from "./metadata.ts";

const now = new Date("2030-01-01T00:00:00Z");
const keys = newKeys({ assignment: 2 });
const other = newKeys();
const root = await makeRoot(keys, now);
const bundle = makeBundle();
const release = await makeRelease(keys, now, [bundle]);
const trusted: Trusted = { ...joined(root, release, now), generationFloor: 7 };
const rotated = async (change: Partial<Keys>, from: Trusted = trusted) => {
  const signers = [...keys.root, ...(change.root ?? [])];
  const next = await makeRoot({ ...keys, ...change }, now, { version: 2, signers });
  return { next: Buffer.from(next).toString(), value: updateTrusted(from, { roots: [next] }, now).value };
};

test("a root that replaces only its own keys takes nothing away", async () => {
  const { next, value } = await rotated({ root: other.root });
  assert.deepEqual(value, { ...trusted, root: next });
});

test("new targets keys void the list that the old ones signed, and leave every online floor where it is", async () => {
  const { next, value } = await rotated({ targets: other.targets });
  const { targets: _void, ...rest } = trusted;
  assert.deepEqual(value, { ...rest, root: next });
});

for (const role of ["timestamp", "snapshot"] as const) {
  test(`a new ${role} key clears timestamp and snapshot, as TUF has it, and no more`, async () => {
    const { next, value } = await rotated({ [role]: other[role] });
    const { timestamp: _timestamp, snapshot: _snapshot, ...rest } = trusted;
    assert.deepEqual(value, { ...rest, root: next });
  });
}

test("a floor that came without the rest of its release outlives a new root", async () => {
  const { timestamp, snapshot } = await makeOnline(keys, now, release.targets, 2);
  const begun = valueOf(emptyTrusted(root));
  const waiting = updateTrusted(begun, { timestamp }, now).value;
  assert.ok(waiting.timestamp !== undefined && waiting.snapshot === undefined);
  const alone = (await rotated({ root: other.root }, waiting)).value;
  assert.equal(alone.timestamp, waiting.timestamp);
  const both = updateTrusted(waiting, { snapshot }, now).value;
  const { value } = await rotated({ root: other.root }, both);
  assert.deepEqual([value.timestamp, value.snapshot], [both.timestamp, both.snapshot]);
});

test("the generation stays while one assignment key stays", async () => {
  const [first] = keys.assignment;
  const { value } = await rotated({ assignment: [first!, ...other.assignment] });
  assert.equal(value.generationFloor, 7);
});

test("other content under the version that is held is not taken, however well it is signed", async () => {
  const at = new Date(now.getTime() + 1000);
  const again = valueOf(newTimestamp(release.snapshot, { version: 1, now: at }));
  const timestamp = valueOf(await signMetadata(again, keys.timestamp));
  const result = updateTrusted(trusted, { timestamp }, now);
  assert.ok(result.ok);
  assert.equal(result.value, trusted);
});

test("what is known already is no change, so nothing is written for it", () => {
  const result = updateTrusted(trusted, { roots: [root], ...release }, now);
  assert.ok(result.ok);
  assert.equal(result.value, trusted);
});

test("256 roots may come at once, and not one more", async () => {
  const again = Array.from({ length: 257 }, () => root);
  assert.equal(codeOf(updateTrusted(trusted, { roots: again.slice(1) }, now)), "accepted");
  const next = await makeRoot(keys, now, { version: 2 });
  const refused = updateTrusted(trusted, { roots: [next, ...again.slice(1)] }, now);
  assert.equal(codeOf(refused), "trust/too-large");
  assert.equal(refused.value, trusted);
});

test("garbage among the roots ends the chain there, and what preceded it counts", async () => {
  const next = await makeRoot(keys, now, { version: 2 });
  const result = updateTrusted(trusted, { roots: [next, Buffer.from("{")] }, now);
  assert.equal(codeOf(result), "trust/malformed");
  assert.equal(result.value.root, Buffer.from(next).toString());
});

test("a text with half a surrogate pair is refused: as bytes it would be that with U+FFFD", async () => {
  const { signed } = valueOf(parseMetadata("targets", release.targets));
  const said = valueOf(await signMetadata(encodeMetadata({ ...signed, note: "\ufffd" }), keys.targets));
  assert.equal(codeOf(parseMetadata("targets", said)), "accepted");
  const forged = Buffer.from(said.toString().replace("\ufffd", "\\ud800"));
  assert.equal(codeOf(parseMetadata("targets", forged)), "trust/malformed");
});

test("a root whose assignment role is nothing is malformed, and throws nothing", async () => {
  const { signed } = valueOf(parseMetadata("root", root));
  const changed = { ...signed, version: 2, "x-falconry-assignment": null };
  const next = valueOf(await signMetadata(encodeMetadata(changed), keys.root));
  assert.equal(codeOf(updateTrusted(trusted, { roots: [next] }, now)), "trust/malformed");
});

test("a floor that cannot be read is not carried over to a new root, and throws nothing", async () => {
  const next = await makeRoot(keys, now, { version: 2 });
  const result = updateTrusted({ ...trusted, timestamp: "{" }, { roots: [next] }, now);
  assert.equal(codeOf(result), "trust/incomplete");
  assert.equal(result.value.timestamp, undefined);
});

test("the largest documents that are accepted fit into the state that keeps them", () => {
  // The end of a line takes two characters where it is kept, and JSON allows it anywhere.
  const largest = (text: string | undefined) =>
    `${text}${"\n".repeat(metadataBytesMax - (text ?? "").length)}`;
  const { root, timestamp, snapshot, targets, generationFloor } = trusted;
  const full = {
    root: largest(root),
    timestamp: largest(timestamp),
    snapshot: largest(snapshot),
    targets: largest(targets),
    generationFloor,
  };
  assert.deepEqual(valueOf(decodeTrusted(encodeTrusted(full))), full);
});
