import { readFileSync } from "node:fs";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";

import { percentile } from "../figures.ts";

/**
 * The baseline: `bare-process FILE`, a server by mTLS that does nothing but send every stream some bytes when it is told
 * to, and count when they have come back. FILE holds the identity as JSON: cert, key and ca in PEM.
 */
const [file = ""] = process.argv.slice(2);
const identity = JSON.parse(readFileSync(file, "utf8")) as { cert: string; key: string; ca: string };
const server = createSecureServer({ ...identity, requestCert: true, rejectUnauthorized: true });
const streams = new Set<ServerHttp2Stream>();
let back: (() => void) | undefined;

server.on("stream", (stream) => {
  streams.add(stream);
  stream.respond({ ":status": 200 });
  stream.on("data", () => back?.());
  stream.on("error", () => undefined);
  stream.once("close", () => streams.delete(stream));
});
server.on("sessionError", () => undefined);

async function pushToAll(bytes: number): Promise<object> {
  const message = Buffer.alloc(bytes, "x");
  const startedAt = performance.now();
  const before = process.cpuUsage();
  const times: number[] = [];
  const all = Promise.withResolvers<void>();
  back = () => {
    times.push(performance.now() - startedAt);
    if (times.length >= streams.size) all.resolve();
  };
  for (const stream of streams) stream.write(message);
  await all.promise;
  const { user, system } = process.cpuUsage(before);
  return {
    streams: streams.size,
    p99: percentile(times, 0.99),
    last: Math.max(...times),
    cpuMsEach: (user + system) / 1000 / streams.size,
  };
}

process.on("message", (order: { readonly id: number; readonly bytes: number }) => {
  pushToAll(order.bytes).then(
    (said) => process.send?.({ id: order.id, said }),
    (error: unknown) => process.send?.({ id: order.id, error: String(error) }),
  );
});
process.once("disconnect", () => process.exit());
server.listen(0, "127.0.0.1", () => {
  process.send?.({ id: 0, said: { port: (server.address() as AddressInfo).port } });
});
