import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";

import type { Digest } from "../domain/ids.ts";
import { packBlob, toBlob } from "./blobs.ts";
import type { Desired } from "./desired.ts";
import { enclosedBytesMax, enclosedFor } from "./enclosed.ts";

test("bundles go with an assignment as far as there is room for them, and neither one for which there is none nor one that cannot be read keeps out the next", async () => {
  const sizes = {
    broken: 100,
    runs: 100,
    large: enclosedBytesMax,
    rules: 30_000,
    other: 30_000,
    shipper: 10_000,
    huge: 300_000,
  };
  const all = new Map<string, ReturnType<typeof packBlob>>(
    Object.entries(sizes).map(([name, bytes]) => [name, packBlob(toBlob(randomBytes(bytes)))]),
  );
  const desired = {
    targets: Object.entries(sizes).map(([digest, length]) => ({ digest, length })),
    layers: [],
  } as object as Desired;
  const asked: string[] = [];
  const blobs = {
    get: (digest: Digest) => {
      asked.push(digest);
      return digest === "broken"
        ? Promise.reject(new Error("no such page"))
        : Promise.resolve(all.get(digest));
    },
  };
  const told: unknown[] = [];
  const log = { warn: (what: unknown) => void told.push(what) };
  const book = { trustChain: () => assert.fail("there are no layers") };
  const session = { takesEnclosed: true, takesLayers: false, holds: ["runs"] };
  const { bundles = [] } = await enclosedFor({ blobs, desired: book, log }, session, desired);
  assert.deepEqual(
    bundles.map(({ digest }) => digest),
    ["rules", "shipper"],
  );
  assert.deepEqual(session.holds, ["runs", "rules", "shipper"]);
  assert.deepEqual(asked, ["broken", "large", "rules", "other", "shipper"], "what is never sent is not read");
  assert.equal(told.length, 1);
});
