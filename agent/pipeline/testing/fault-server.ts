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

/** Starts a server and ends it with the test. */
export async function started<Server extends FaultServer>(t: TestContext, server: Server): Promise<Server> {
  await server.start();
  t.after(() => server.end());
  return server;
}

/** A server that does what `handle` says. */
export function startFaultServer(t: TestContext, handle: (request: Arrived) => Answer): Promise<FaultServer> {
  class Plain extends FaultServer {
    protected handle(request: Arrived): Answer {
      return handle(request);
    }
  }
  return started(t, new Plain());
}

/** A server on loopback, unless a fault comes first. */
export abstract class FaultServer {
  /** What is wrong from now on, asked per request; nothing unless set. */
  fault: (request: { readonly nth: number; readonly url: string }) => Fault | undefined = () => undefined;
  port = 0;
  /** Connections that were made. */
  connections = 0;
  /** All requests that arrived whole, with whatever came of them. */
  readonly requests: Arrived[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #listener = createServer((request, response) => {
    // A client that went away is part of the game.
    this.#onRequest(request, response).catch(() => response.destroy());
  });
  #count = 0;

  constructor() {
    this.#listener.on("connection", (socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
    });
  }

  protected abstract handle(request: Arrived): Answer;

  end(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#listener.close();
  }

  /** Stops listening and drops all connections. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#listener.once("close", resolve));
    this.end();
    await closed;
  }

  /** Listens, again on the same port. */
  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#listener.listen(this.port, "127.0.0.1", resolve));
    this.port = (this.#listener.address() as AddressInfo).port;
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const fault = this.fault({ nth: this.#count++, url: request.url ?? "" });
    if (fault === "reset") {
      request.socket.resetAndDestroy();
      return;
    }
    const isSlow = typeof fault === "object" && "slow" in fault;
    const body = isSlow ? await crawl(request, fault.slow) : await buffer(request);
    const arrived: Arrived = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      body: decoded(body, request.headers["content-encoding"]),
    };
    this.requests.push(arrived);
    if (fault === "hang") return;
    const isAnswered = typeof fault === "object" && "answer" in fault;
    const answer = isAnswered ? fault.answer : this.handle(arrived);
    if (fault === "reset-after") request.socket.resetAndDestroy();
    else send(response, answer, fault === "half");
  }
}

function send(response: ServerResponse, { status, body, headers = {} }: Answer, isHalf: boolean): void {
  response.writeHead(status, { "content-length": Buffer.byteLength(body), ...headers });
  if (isHalf) response.write(body.slice(0, body.length / 2), () => response.destroy());
  else response.end(body);
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
