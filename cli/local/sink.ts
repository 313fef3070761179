import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { misused } from "../failure.ts";

const bodyBytesMax = 32 * 1024 * 1024;

/**
 * Stands where Elasticsearch or Loki stand in production: takes the http output of the local agents and counts records
 * per cluster. It keeps nothing, because the fleet on this machine also writes every record to a file.
 */
export interface Sink {
  readonly port: number;
  /** Records received since it started, per value of `x_cluster`. */
  counts(): ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export async function startSink(port: number): Promise<Sink> {
  const counts = new Map<string, number>();
  const server = createServer((request, response) => void take(request, response, counts));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") return reject(error);
      reject(
        misused(
          `Port ${port} on 127.0.0.1, for the local log store, is taken by another program`,
          "npm start -- --port PORT   uses PORT for the server and PORT + 1 for the log store",
        ),
      );
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  return { port, counts: () => counts, close: () => closeServer(server) };
}

async function take(
  request: IncomingMessage,
  response: ServerResponse,
  counts: Map<string, number>,
): Promise<void> {
  if (request.method !== "POST") {
    response.writeHead(405).end();
    return;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > bodyBytesMax) {
        response.writeHead(413).end();
        return;
      }
      chunks.push(chunk);
    }
    for (const line of Buffer.concat(chunks).toString("utf8").split("\n")) {
      if (line === "") continue;
      const record = JSON.parse(line) as { x_cluster?: string };
      const cluster = record.x_cluster ?? "unknown";
      counts.set(cluster, (counts.get(cluster) ?? 0) + 1);
    }
    response.writeHead(204).end();
  } catch {
    response.writeHead(400).end();
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
