/** The store of bundles against a server of which transfers break off. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport, Code, ConnectError } from "@connectrpc/connect";
import { AgentService, EnclosedBundleSchema } from "#proto/agent/v1/agent";
import { openBundleStore } from "./bundles.ts";
import type { AgentError } from "./agent-error.ts";
import { log } from "./testing.ts";

/** A server that hands out these bytes, and breaks off after so many of each call. */
function startBreaking(bytes: Uint8Array, breaksAfter: readonly number[]) {
  const asked: bigint[] = [];
  const transport = createRouterTransport(({ service }) =>
    service(AgentService, {
      async *fetchBlob({ offset }) {
        const from = Number(offset);
        const most = breaksAfter[asked.length] ?? bytes.length;
        asked.push(offset);
        for (let at = from; at < Math.min(bytes.length, from + most); at += 1_000) {
          yield { chunk: Uint8Array.from(bytes.subarray(at, Math.min(at + 1_000, from + most))) };
        }
        if (from + most < bytes.length) throw new ConnectError("connection lost", Code.Unavailable);
      },
    }),
  );
  return { asked, client: createClient(AgentService, transport) };
}

function setUp(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "falconry-bundles-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const bytes = randomBytes(10_000);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const target = { kind: "rules", path: "rules/a/1.0.0.json", sha256, length: bytes.length } as const;
  return { dir, bytes, target, part: join(dir, `${sha256}.part`) };
}

const never = new AbortController().signal;

test("a transfer that breaks off again and again is gone on with where it broke, and ends with the very bytes", async (t) => {
  const { dir, bytes, target } = setUp(t);
  const { asked, client } = startBreaking(bytes, [2_500, 4_000]);
  for (const _ of [1, 2]) {
    await assert.rejects(openBundleStore(dir, log).stage(target, client, never), /connection lost/);
  }
  const path = await openBundleStore(dir, log).stage(target, client, never);
  assert.deepEqual(asked, [0n, 2_500n, 6_500n]);
  assert.deepEqual(readFileSync(path), bytes);
  await openBundleStore(dir, log).stage(target, undefined, never);
  assert.equal(asked.length, 3, "what is whole is not asked for again");
});

test("what lies there of other bytes, or of too many, is thrown away, and the next try begins anew", async (t) => {
  const { dir, bytes, target, part } = setUp(t);
  const { asked, client } = startBreaking(bytes, []);
  writeFileSync(part, randomBytes(4_000));
  const refused = await openBundleStore(dir, log)
    .stage(target, client, never)
    .then(
      () => assert.fail("it was taken"),
      (error: unknown) => error as AgentError,
    );
  assert.equal(refused.code, "trust/hash-mismatch");
  writeFileSync(part, randomBytes(20_000));
  assert.deepEqual(readFileSync(await openBundleStore(dir, log).stage(target, client, never)), bytes);
  assert.deepEqual(asked, [4_000n, 0n]);
});

function enclosed(sha256: string, packed: Uint8Array) {
  return create(EnclosedBundleSchema, { digest: `sha256:${sha256}`, gzip: Uint8Array.from(packed) });
}

test("a bundle that came with its assignment is taken from there, also when the server has gone or the disk was full", async (t) => {
  const { dir, bytes, target } = setUp(t);
  const store = openBundleStore(dir, log);
  store.enclose([enclosed(target.sha256, gzipSync(bytes))]);
  // Another assignment of the same bundle, before this one was looked at.
  store.enclose([]);
  const part = join(dir, `${target.sha256}.part`);
  mkdirSync(part);
  await assert.rejects(store.stage(target, undefined, never), /EISDIR/);
  rmSync(part, { recursive: true });
  assert.deepEqual(readFileSync(await store.stage(target, undefined, never)), bytes);
});

test("what came with an assignment is fetched when it is another bundle, longer than signed, or nothing that unpacks, and says so", async (t) => {
  const { dir, bytes, target } = setUp(t);
  const wrong: readonly (readonly [Uint8Array, RegExp])[] = [
    [gzipSync(randomBytes(bytes.length)), /is another/],
    [gzipSync(bytes.subarray(1)), /is another/],
    [gzipSync(Buffer.concat([bytes, Buffer.alloc(50_000_000)])), /cannot be unpacked.*ERR_BUFFER_TOO_LARGE/],
    [gzipSync(bytes).subarray(0, 500), /cannot be unpacked/],
    [bytes, /cannot be unpacked/],
  ];
  for (const [packed, why] of wrong) {
    const { asked, client } = startBreaking(bytes, []);
    const said: string[] = [];
    const warn = (what: { readonly err?: NodeJS.ErrnoException }, text: string) =>
      void said.push(`${text} ${what.err?.code}`);
    const store = openBundleStore(dir, { ...log, warn } as unknown as typeof log);
    store.enclose([enclosed(target.sha256, packed)]);
    await assert.rejects(store.stage(target, undefined, never), /not on disk yet and the server is away/);
    const path = await store.stage(target, client, never);
    assert.deepEqual([asked, readFileSync(path).equals(bytes)], [[0n], true]);
    assert.match(said.join(), why);
    rmSync(path);
  }
});

test("bundles that came with an assignment and are too many to be kept are fetched, and hold no memory", async (t) => {
  const { dir, bytes, target } = setUp(t);
  const store = openBundleStore(dir, log);
  const other = enclosed("other", randomBytes(64 * 1024));
  store.enclose([enclosed(target.sha256, gzipSync(bytes)), other]);
  await assert.rejects(store.stage(target, undefined, never), /not on disk yet and the server is away/);
});
