import * as http from "node:http";
import type { Duplex } from "node:stream";
import { promisify } from "node:util";
import { constants, gzip, zstdCompress } from "node:zlib";
import type { HttpAuth, HttpEndpoint } from "#shipper";
import { codeOf, reasonOf } from "./files.ts";
import { ConnectError, authority, connect, proxyHeaders } from "./http-connect.ts";
import { readSecret } from "./secret.ts";
import type { MayUseSecret } from "./secret.ts";

/** One request. The body has to stay as it is until the reply is there. */
export interface HttpRequest {
  readonly method: "POST" | "PUT";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: readonly Buffer[];
  /** Most bytes of an answer that are kept. */
  readonly answerBytesMax: number;
}

export interface HttpAnswer {
  readonly kind: "answer";
  readonly status: number;
  /** How long the destination wants to be left alone. */
  readonly afterMs: number | undefined;
  readonly body: Buffer;
  /** False when the answer is longer than what is kept. */
  readonly isWhole: boolean;
}

/**
 * `unreachable` and `unusable`: nothing was sent, because nobody answers, or because the proxy or TLS failed. `late`: no
 * answer in time. `broken`: the connection went in the middle, or what came back was no HTTP. `local`: the request could
 * not even be made.
 */
export interface NoAnswer {
  readonly kind: "none";
  readonly cause: "unreachable" | "unusable" | "late" | "broken" | "local";
  readonly why: string;
}

class LateError extends Error {}

const gzipped = promisify(gzip);
const zstded = promisify(zstdCompress);
/** The fast ends of both: what they save in bytes beyond it costs several times the time. */
const gzipLevel = 1;
const zstdLevel = 1;

/** One kept-alive connection to a destination, for one request at a time. Never throws, and never waits without a limit. */
export class HttpClient {
  readonly #endpoint: HttpEndpoint;
  readonly #mayUse: MayUseSecret;
  readonly #agent: http.Agent;
  readonly #headers: http.OutgoingHttpHeaders;

  constructor(endpoint: HttpEndpoint, mayUse: MayUseSecret) {
    this.#endpoint = endpoint;
    this.#mayUse = mayUse;
    this.#agent = new ConnectingAgent(endpoint, mayUse);
    this.#headers = fixedHeaders(endpoint);
  }

  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer | NoAnswer> {
    try {
      const body = await this.#compress(request.body);
      const headers = this.#headersFor(request, body);
      const first = await this.#exchange(request, headers, body, signal);
      if (first.kind === "answer" || !first.isStale) return first;
      // The destination closed a connection that had been idle: that says nothing about it.
      return await this.#exchange(request, headers, body, signal);
    } catch (error) {
      return { kind: "none", cause: "local", why: reasonOf(error) };
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #compress(body: readonly Buffer[]): Promise<readonly Buffer[]> {
    const [only] = body;
    const whole = () => (body.length === 1 && only !== undefined ? only : Buffer.concat(body));
    switch (this.#endpoint.compress) {
      case "none":
        return body;
      case "gzip":
        return [await gzipped(whole(), { level: gzipLevel })];
      case "zstd":
        return [await zstded(whole(), { params: { [constants.ZSTD_c_compressionLevel]: zstdLevel } })];
    }
  }

  #headersFor(request: HttpRequest, body: readonly Buffer[]): http.OutgoingHttpHeaders {
    const { auth } = this.#endpoint;
    return {
      ...request.headers,
      ...(auth === undefined ? {} : { authorization: authorization(auth, this.#mayUse) }),
      ...this.#headers,
      "content-length": body.reduce((sum, part) => sum + part.length, 0),
    };
  }

  #exchange(
    { method, path, answerBytesMax }: HttpRequest,
    headers: http.OutgoingHttpHeaders,
    body: readonly Buffer[],
    signal: AbortSignal,
  ): Promise<HttpAnswer | (NoAnswer & { readonly isStale: boolean })> {
    const { responseTimeoutMs } = this.#endpoint;
    return new Promise((resolve) => {
      const request = http.request({ method, path: this.#target(path), headers, agent: this.#agent });
      const timer = setTimeout(() => {
        request.destroy(new LateError(`no answer within ${responseTimeoutMs} ms`));
      }, responseTimeoutMs);
      const abort = () => request.destroy(new Error("the output is closing"));
      const settle = (reply: HttpAnswer | NoAnswer) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        resolve("status" in reply ? reply : { ...reply, isStale: false });
      };
      const fail = (error: Error) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        const isStale = request.reusedSocket && ["ECONNRESET", "EPIPE"].includes(codeOf(error) ?? "");
        resolve({ kind: "none", cause: causeOf(error), why: reasonOf(error), isStale });
      };
      signal.addEventListener("abort", abort);
      if (signal.aborted) abort();
      request.on("error", fail);
      request.on("response", (response) => collect(request, response, answerBytesMax, settle, fail));
      for (const part of body) request.write(part);
      request.end();
    });
  }

  /** Without TLS a proxy is told the whole address; within a tunnel it is not asked. */
  #target(path: string): string {
    const { host, port, proxy, tls } = this.#endpoint;
    return proxy === undefined || tls !== undefined ? path : `http://${authority(host, port)}${path}`;
  }
}

/** Makes connections as the endpoint says; `http.Agent` keeps them and hands them out one at a time. */
class ConnectingAgent extends http.Agent {
  readonly #endpoint: HttpEndpoint;
  readonly #mayUse: MayUseSecret;

  constructor(endpoint: HttpEndpoint, mayUse: MayUseSecret) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#endpoint = endpoint;
    this.#mayUse = mayUse;
  }

  override createConnection(
    _options: http.ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    // With an error there is no stream, which the type does not know.
    void this.#connect(callback as (error: Error | null, stream?: Duplex) => void);
  }

  async #connect(done: (error: Error | null, stream?: Duplex) => void): Promise<void> {
    const socket = await connect(this.#endpoint, this.#mayUse).catch((error: ConnectError) => error);
    if (socket instanceof ConnectError) done(socket);
    else done(null, socket);
  }
}

/**
 * Reads an answer up to a limit. When it is there before the body was sent, or is too long, the connection goes: it could
 * not be used again, and the body must not be needed any more.
 */
function collect(
  request: http.ClientRequest,
  response: http.IncomingMessage,
  bytesMax: number,
  settle: (answer: HttpAnswer) => void,
  fail: (error: Error) => void,
): void {
  const pieces: Buffer[] = [];
  let bytes = 0;
  const answer = (isWhole: boolean): HttpAnswer => ({
    kind: "answer",
    status: response.statusCode ?? 0,
    afterMs: retryAfterMs(response),
    body: Buffer.concat(pieces),
    isWhole,
  });
  response.on("data", (piece: Buffer) => {
    bytes += piece.length;
    if (bytes <= bytesMax) pieces.push(piece);
    else {
      settle(answer(false));
      request.destroy();
    }
  });
  response.on("end", () => {
    settle(answer(true));
    if (!request.writableFinished) request.destroy();
  });
  response.on("error", fail);
}

/** Seconds, or a date; what is neither counts for nothing. */
function retryAfterMs({ headers }: http.IncomingMessage): number | undefined {
  const text = headers["retry-after"];
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}

function causeOf(error: Error): NoAnswer["cause"] {
  if (error instanceof ConnectError) return error.isReached ? "unusable" : "unreachable";
  return error instanceof LateError ? "late" : "broken";
}

function authorization(auth: HttpAuth, mayUse: MayUseSecret): string {
  if (auth.kind === "basic") {
    const both = `${auth.user}:${readSecret(auth.password, mayUse)}`;
    return `Basic ${Buffer.from(both).toString("base64")}`;
  }
  return `${auth.kind === "bearer" ? "Bearer" : "ApiKey"} ${readSecret(auth.token, mayUse)}`;
}

function fixedHeaders({ host, port, tls, proxy, compress, headers }: HttpEndpoint): http.OutgoingHttpHeaders {
  const isUsualPort = port === (tls === undefined ? 80 : 443);
  const own = new Map<string, string[]>();
  for (const [name, value] of headers) {
    own.set(name.toLowerCase(), [...(own.get(name.toLowerCase()) ?? []), value]);
  }
  return {
    host: isUsualPort ? authority(host, port).replace(/:\d+$/, "") : authority(host, port),
    "user-agent": "falconry-agent",
    ...(compress === "none" ? {} : { "content-encoding": compress }),
    ...(proxy === undefined || tls !== undefined ? {} : proxyHeaders(proxy)),
    ...Object.fromEntries([...own].map(([name, values]) => [name, values.length === 1 ? values[0] : values])),
  };
}
