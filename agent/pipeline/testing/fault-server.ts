import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync, zstdDecompressSync } from "node:zlib";

/** A request as it arrived, its body decompressed. */
export interface Arrived {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * What goes wrong with a request. `hang`: it is taken, and no answer comes. `reset`: the connection goes before anything
 * was done with it. `reset-after`: it goes when all was done. `half`: the answer is cut off in the middle. `slow`: the
 * body is read at so many bytes a second.
 */
export type Fault =
  | "hang"
  | "reset"
  | "reset-after"
  | "half"
  | { readonly slow: number }
  | { readonly answer: Answer };

export interface FaultServer {
  readonly port: number;
  /** All requests that arrived whole, with whatever came of them. */
  readonly requests: Arrived[];
  /** Connections that were made. */
  readonly connections: number;
  /** What is wrong from now on, asked per request; nothing unless set. */
  fault: (request: { readonly nth: number; readonly url: string }) => Fault | undefined;
  /** Stops listening and drops all connections. */
  stop(): Promise<void>;
  /** Listens again on the same port. */
  start(): Promise<void>;
}

/** A server on loopback that does what `handle` says, unless a fault comes first. It ends with the test. */
export async function startFaultServer(
  t: TestContext,
  handle: (request: Arrived) => Answer,
): Promise<FaultServer> {
  const sockets = new Set<Socket>();
  const requests: Arrived[] = [];
  let connections = 0;
  let port = 0;
  let count = 0;
  const answer = (response: ServerResponse, { status, body, headers = {} }: Answer, isHalf: boolean) => {
    response.writeHead(status, { "content-length": Buffer.byteLength(body), ...headers });
    if (!isHalf) response.end(body);
    else response.write(body.slice(0, body.length / 2), () => response.destroy());
  };
  const onRequest = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const nth = count++;
    const fault = server.fault({ nth, url: request.url ?? "" });
    if (fault === "reset") return void request.socket.resetAndDestroy();
    const body =
      typeof fault === "object" && "slow" in fault ? await crawl(request, fault.slow) : await buffer(request);
    const arrived: Arrived = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      body: decoded(body, request.headers["content-encoding"]),
    };
    requests.push(arrived);
    if (fault === "hang") return;
    if (typeof fault === "object" && "answer" in fault) return answer(response, fault.answer, false);
    const result = handle(arrived);
    if (fault === "reset-after") return void request.socket.resetAndDestroy();
    answer(response, result, fault === "half");
  };
  const listener = createServer((request, response) => {
    // A client that went away is part of the game.
    onRequest(request, response).catch(() => response.destroy());
  });
  listener.on("connection", (socket) => {
    connections++;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  const server: FaultServer = {
    get port() {
      return port;
    },
    get connections() {
      return connections;
    },
    requests,
    fault: () => undefined,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
    async start() {
      await new Promise<void>((resolve) => listener.listen(port, "127.0.0.1", resolve));
      port = (listener.address() as AddressInfo).port;
    },
  };
  await server.start();
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  return server;
}

/** Reads a body no faster than so many bytes a second, so that the other side has to wait. */
async function crawl(request: IncomingMessage, bytesPerSecond: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  // Small buffers all the way, or the kernel would take the whole body at once.
  for await (const piece of request as AsyncIterable<Buffer>) {
    pieces.push(piece);
    await sleep((piece.length / bytesPerSecond) * 1000);
  }
  return Buffer.concat(pieces);
}

function decoded(body: Buffer, encoding: string | undefined): Buffer {
  if (encoding === undefined) return body;
  if (encoding === "gzip") return gunzipSync(body);
  if (encoding === "zstd") return zstdDecompressSync(body);
  throw new Error(`No such content-encoding: ${encoding}`);
}
