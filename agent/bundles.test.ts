/** The store of bundles against a server of which transfers break off. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createClient, createRouterTransport, Code, ConnectError } from "@connectrpc/connect";
import { AgentService } from "#proto/agent/v1/agent";
import { openBundleStore } from "./bundles.ts";
import type { AgentError } from "./agent-error.ts";

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
    await assert.rejects(openBundleStore(dir).stage(target, client, never), /connection lost/);
  }
  const path = await openBundleStore(dir).stage(target, client, never);
  assert.deepEqual(asked, [0n, 2_500n, 6_500n]);
  assert.deepEqual(readFileSync(path), bytes);
  await openBundleStore(dir).stage(target, undefined, never);
  assert.equal(asked.length, 3, "what is whole is not asked for again");
});

test("what lies there of other bytes, or of too many, is thrown away, and the next try begins anew", async (t) => {
  const { dir, bytes, target, part } = setUp(t);
  const { asked, client } = startBreaking(bytes, []);
  writeFileSync(part, randomBytes(4_000));
  const refused = await openBundleStore(dir)
    .stage(target, client, never)
    .then(
      () => assert.fail("it was taken"),
      (error: unknown) => error as AgentError,
    );
  assert.equal(refused.code, "trust/hash-mismatch");
  writeFileSync(part, randomBytes(20_000));
  assert.deepEqual(readFileSync(await openBundleStore(dir).stage(target, client, never)), bytes);
  assert.deepEqual(asked, [4_000n, 0n]);
});
