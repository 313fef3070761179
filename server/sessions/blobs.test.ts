import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";

import { toBinary } from "@bufbuild/protobuf";
import { FetchBlobResponseSchema } from "#proto/agent/v1/agent";
import { eq } from "../store/drizzle.ts";

import { freshDatabase, type TestDatabase } from "../../test/support/postgres.ts";
import type { Digest } from "../domain/ids.ts";
import { bundles } from "../store/schema.ts";
import { chunkBytes, createBlobBook, packBlob, piecesFrom, toBlob, type Blob } from "./blobs.ts";

async function store(db: TestDatabase, text: string, content: string = text): Promise<Digest> {
  const digest = `sha256:${createHash("sha256").update(text).digest("hex")}` as Digest;
  await db.insert(bundles).values({
    digest,
    kind: "rules",
    name: text,
    version: "1.0.0",
    targetPath: `rules/${text}`,
    content: Buffer.from(content),
    length: BigInt(content.length),
    counts: {},
    targetsVersion: 1n,
    pushedAt: new Date(),
    pushedBy: "test",
  });
  return digest;
}

function textOf(blob: Blob | undefined): string {
  return Buffer.concat(blob?.pieces.map(({ message }) => message.chunk) ?? []).toString();
}

/** What is still handed out when the database has lost everything. */
async function heldOf(db: TestDatabase, book: ReturnType<typeof createBlobBook>, digests: readonly Digest[]) {
  await db.delete(bundles);
  const found = await Promise.all(digests.map((digest) => book.get(digest)));
  return found.map(textOf);
}

test("bundles come from memory once they were read, and those used longest ago make room", async (t) => {
  const db = await freshDatabase(t);
  const digests: Digest[] = [];
  for (const text of ["first", "other", "third"]) digests.push(await store(db, text));
  const [first, other, third] = digests;
  assert.ok(first && other && third);
  // Of two of them, with what each takes packed.
  const bytesMax = 2 * (5 + gzipSync("first").length);
  const book = createBlobBook({ db, bytesMax, onDamaged: assert.fail });
  for (const digest of [first, other, first, third]) await book.get(digest);
  assert.deepEqual(await heldOf(db, book, digests), ["first", "", "third"]);
});

test("many agents that ask at once are served by one read, and bytes that were changed are told and not remembered", async (t) => {
  const db = await freshDatabase(t);
  const digest = await store(db, "bundle");
  const damaged: string[] = [];
  const book = createBlobBook({ db, onDamaged: (digest) => damaged.push(digest) });
  const all = await Promise.all(Array.from({ length: 50 }, () => book.get(digest)));
  assert.equal(new Set(all).size, 1);
  const bad = await store(db, "signed", "changed");
  assert.equal(textOf(await book.get(bad)), "changed");
  assert.deepEqual(damaged, [bad]);
  await db
    .update(bundles)
    .set({ content: Buffer.from("signed") })
    .where(eq(bundles.digest, bad));
  assert.equal(textOf(await book.get(bad)), "signed");
});

test("a transfer that broke off goes on from any byte, and ready frames are what encoding their messages gives", () => {
  for (const length of [0, 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes + 1_000]) {
    const content = randomBytes(length);
    const blob = toBlob(content);
    const offsets = [0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes + 999, length];
    for (const offset of offsets.filter((each) => each <= length)) {
      const pieces = piecesFrom(blob, offset);
      assert.ok(pieces.length > 0);
      const chunks = pieces.map(({ message }) => message.chunk);
      assert.deepEqual(Buffer.concat(chunks), content.subarray(offset), `${length} bytes from ${offset}`);
      for (const { message, frame } of pieces) {
        assert.equal(message.length, BigInt(length));
        assert.ok(message.chunk.length <= chunkBytes);
        const body = toBinary(FetchBlobResponseSchema, message);
        const head = Buffer.alloc(5);
        head.writeUInt32BE(body.length, 1);
        assert.ok(Buffer.concat([head, body]).equals(frame));
      }
    }
  }
});

test("packed frames hold the same messages, and nothing is packed that gets no shorter", async () => {
  const rules = Buffer.from("- rule: a shell in a container\n".repeat(20_000));
  const blob = await packBlob(toBlob(rules));
  assert.ok(blob.pieces.length > 1);
  for (const { message, frame, gzipFrame } of blob.pieces) {
    assert.ok(gzipFrame !== undefined && gzipFrame.length < frame.length / 10);
    assert.deepEqual([...gzipFrame.subarray(0, 1)], [1]);
    assert.ok(gunzipSync(gzipFrame.subarray(5)).equals(toBinary(FetchBlobResponseSchema, message)));
  }
  const [half] = piecesFrom(blob, 1_000);
  assert.equal(half?.gzipFrame, undefined, "what goes on in the middle of a piece is made for one agent");
  const { pieces } = await packBlob(toBlob(randomBytes(chunkBytes + 1)));
  assert.deepEqual(
    pieces.map(({ gzipFrame }) => gzipFrame),
    [undefined, undefined],
  );
});

test("what is kept packed counts as memory, too", async (t) => {
  const db = await freshDatabase(t);
  const [text, other] = ["a".repeat(400), "b".repeat(400)];
  const digests = [await store(db, text), await store(db, other)];
  // Both fit as they are, but not with what they are packed to.
  const book = createBlobBook({ db, bytesMax: 801, onDamaged: assert.fail });
  for (const digest of digests) await book.get(digest);
  assert.deepEqual(await heldOf(db, book, digests), ["", other]);
});
