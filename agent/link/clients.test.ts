import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { FetchBlobResponseSchema } from "#proto/agent/v1/agent";
import { fakeTls } from "../../test/support/fake-tls.ts";
import { connectAgent } from "./clients.ts";

test("an answer that unpacks to more than an agent reads is refused before it is there", async (t) => {
  const tls = await fakeTls();
  const zeros = create(FetchBlobResponseSchema, { chunk: new Uint8Array(64 * 1024 * 1024), length: 1n });
  const bomb = encodeEnvelope(1, gzipSync(toBinary(FetchBlobResponseSchema, zeros)));
  assert.ok(bomb.length < 100_000);
  const server = createSecureServer({ cert: tls.chain, key: tls.key });
  server.on("stream", (stream) => {
    stream.respond({ "content-type": "application/connect+proto", "connect-content-encoding": "gzip" });
    stream.end(bomb);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { client, close } = connectAgent({ url: `https://127.0.0.1:${port}`, ca: [tls.ca] }, "2");
  t.after(close);
  const before = process.memoryUsage.rss();
  const fetched = async () => {
    for await (const _ of client.fetchBlob({ digest: "sha256:00", offset: 0n })) assert.fail("nothing fits");
  };
  await assert.rejects(fetched, (error) => ConnectError.from(error).code === Code.ResourceExhausted);
  assert.ok(process.memoryUsage.rss() - before < 48 * 1024 * 1024, "it was not unpacked as a whole");
});
