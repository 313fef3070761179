import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";

/**
 * The destinations of the pipeline benchmarks, in a process of their own: one that takes any POST, and one that answers
 * `_bulk` as Elasticsearch does. They count records and keep none. Prints its ports; `GET /` gives the counts.
 */
const id = Buffer.from('"auditID":"');
const counts = { http: 0, es: 0 };

function countOf(body: Buffer): number {
  let found = 0;
  for (let at = body.indexOf(id); at !== -1; at = body.indexOf(id, at + id.length)) found += 1;
  return found;
}

const item = '{"create":{"_index":"audit","_id":"0123456789abcdef0123456789abcdef","status":201}}';

async function listen(name: keyof typeof counts): Promise<number> {
  const server = createServer((request, response) => {
    if (request.method === "GET") {
      response.end(JSON.stringify(counts));
      return;
    }
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      const records = countOf(Buffer.concat(pieces));
      counts[name] += records;
      response.setHeader("content-type", "application/json");
      if (name === "http") response.end("{}");
      else response.end(`{"took":3,"errors":false,"items":[${Array(records).fill(item).join(",")}]}`);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const ports = { http: await listen("http"), es: await listen("es") };
process.stdout.write(`${JSON.stringify(ports)}\n`);
