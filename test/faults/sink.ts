import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { once } from "node:events";
import { freePort } from "../support/free-ports.ts";

/** What the destination does with a request. */
export type Behaviour =
  /** Takes it. */
  | { readonly kind: "take" }
  /** Answers with a status and takes nothing. */
  | { readonly kind: "answer"; readonly status: number }
  /** Refuses requests that hold one of these records, whole, as a proxy that dislikes a record does. */
  | { readonly kind: "refuse-records"; readonly status: number; readonly isRefused: (id: string) => boolean }
  /** Reads everything and never answers; what it read counts as taken, which is the worst case. */
  | { readonly kind: "hang" }
  /** Closes the connection in the middle. */
  | { readonly kind: "reset" }
  /** Takes everything at so many bytes a second. */
  | { readonly kind: "slow"; readonly bytesPerSecond: number }
  /** For `_bulk`: single records get a status of their own. */
  | { readonly kind: "items"; readonly status: (id: string) => number };

const idMark = '"auditID":"';

/** A destination over HTTP whose behaviour can change at any time, and which counts what it took by record id. */
export class Sink {
  behaviour: Behaviour = { kind: "take" };
  /** How often each record was taken. */
  readonly taken = new Map<string, number>();
  /** Records of the largest request. */
  largest = 0;
  requests = 0;
  readonly #server: Server;
  readonly #isBulk: boolean;
  #port = 0;

  constructor(kind: "http" | "es") {
    this.#isBulk = kind === "es";
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  get port(): number {
    return this.#port;
  }

  /** Opens the port, the same one each time: while it is closed, the system gives it to nobody else. */
  async listen(): Promise<void> {
    if (this.#port === 0) this.#port = await freePort();
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** Closes the port: connections are refused until `listen`. */
  async refuse(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async close(): Promise<void> {
    if (this.#server.listening) await this.refuse();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { behaviour } = this;
    // What an end in the middle of a request does to its streams is the point of it.
    request.on("error", () => {});
    response.on("error", () => {});
    if (behaviour.kind === "reset") {
      request.once("data", () => request.socket.resetAndDestroy());
      return;
    }
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => {
      pieces.push(piece);
      if (behaviour.kind !== "slow") return;
      request.pause();
      setTimeout(() => request.resume(), (piece.length / behaviour.bytesPerSecond) * 1000);
    });
    await once(request, "end").catch(() => undefined);
    if (!request.complete) return;
    this.requests += 1;
    this.#answer(idsIn(Buffer.concat(pieces).toString("latin1")), behaviour, response);
  }

  #answer(ids: readonly string[], behaviour: Behaviour, response: ServerResponse): void {
    this.largest = Math.max(this.largest, ids.length);
    switch (behaviour.kind) {
      case "answer":
        response.writeHead(behaviour.status).end("not now");
        return;
      case "refuse-records":
        if (ids.some(behaviour.isRefused)) {
          response.writeHead(behaviour.status).end("a record is refused");
          return;
        }
        break;
      case "items":
        return this.#answerItems(ids, behaviour.status, response);
      case "hang":
        this.#take(ids);
        return;
      case "take":
      case "slow":
      case "reset":
        break;
    }
    if (this.#isBulk) return this.#answerItems(ids, () => 201, response);
    this.#take(ids);
    response.end("{}");
  }

  #answerItems(ids: readonly string[], statusOf: (id: string) => number, response: ServerResponse): void {
    const items = ids.map((id) => {
      const status = statusOf(id);
      if (status < 300) return { create: { _index: "audit", status } };
      const error = { type: "document_parsing_exception", reason: `record ${id} does not fit the mapping` };
      return { create: { _index: "audit", status, error } };
    });
    this.#take(ids.filter((id) => statusOf(id) < 300));
    const errors = items.some(({ create }) => create.status >= 300);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ took: 1, errors, items }));
  }

  #take(ids: readonly string[]): void {
    for (const id of ids) this.taken.set(id, (this.taken.get(id) ?? 0) + 1);
  }
}

export function idsIn(text: string): string[] {
  const ids: string[] = [];
  for (let at = text.indexOf(idMark); at !== -1; at = text.indexOf(idMark, at + 1)) {
    const start = at + idMark.length;
    ids.push(text.slice(start, text.indexOf('"', start)));
  }
  return ids;
}
