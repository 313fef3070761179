import type { ServerResponse } from "node:http";
import {
  createSecureServer,
  type Http2SecureServer,
  type SecureServerOptions,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";

import { createContextValues, type ContextValues } from "@connectrpc/connect";
import type { Logger } from "pino";

import { createConnections, type Connection, type Connections } from "./connections.ts";
import type { Outcome } from "./domain/refusal.ts";
import { createBuckets } from "./domain/token-bucket.ts";
import { createExchanges, cutRequest, type Exchanges } from "./exchanges.ts";
import { Failure } from "./failure.ts";
import type { Limits } from "./limits.ts";
import { createThrottle, type Throttle } from "./log-throttle.ts";
import type { Metrics } from "./metrics.ts";
import { createAdapter, type Request, type Response } from "./rpc/adapter.ts";
import { connectionKey, createAdmission } from "./rpc/admission.ts";
import { addressKey } from "./rpc/address.ts";
import { cutKey } from "./rpc/cut.ts";
import { gate, type GateOptions } from "./rpc/gate.ts";
import { auditRefusals } from "./rpc/interceptors/audit-refusals.ts";
import { peerKey, readPeer, type Peer } from "./rpc/interceptors/authenticate.ts";
import { refusals } from "./rpc/interceptors/refusals.ts";
import { requestLog } from "./rpc/interceptors/request-log.ts";
import { standing } from "./rpc/interceptors/standing.ts";

/** The server's own identity in PEM. The chain ends with the CA, because agents pin the CA's key. */
export interface ServerIdentity {
  readonly chain: string;
  readonly key: string;
  /** The CAs whose client certificates are taken: two while the CA is being replaced. */
  readonly ca: readonly string[];
}

export interface HttpOptions extends Omit<GateOptions, "observe" | "admission" | "throttle"> {
  readonly host: string;
  readonly port: number;
  readonly identity: ServerIdentity;
  /** The pin of the CA that issued a client certificate, if it is trusted now. */
  readonly issuerOf: (certificate: Uint8Array) => string | undefined;
  readonly limits: Limits;
  /** Queries that wait for a connection of the database. */
  readonly databaseWaiting: () => number;
  readonly metrics: Metrics;
  /** Empty when this server may get calls; otherwise what is missing, in words. */
  readonly unready: () => Promise<readonly string[]>;
  readonly log: Logger;
}

export interface HttpServer {
  /** The port listened on. */
  readonly port: number;
  connectionCount(): number;
  /** Of these, the ones on which nobody has proved who they are. */
  newcomerCount(): number;
  /** Uses another certificate for new connections; those that are open keep theirs. */
  replaceIdentity(identity: ServerIdentity): void;
  /** Takes no new connections, lets running calls end, and cuts what is left after the deadline. */
  close(deadlineMs: number): Promise<void>;
}

/** A Connect client may ask for a deadline no further away than this. */
const timeoutMsMax = 3_600_000;
const sweepMs = 1_000;

/** One TLS port for Connect, gRPC and gRPC-Web over HTTP/2 and HTTP/1.1, and for health and metrics. */
export async function listen(options: HttpOptions): Promise<HttpServer> {
  const { limits, metrics, log } = options;
  const throttle = createThrottle(limits.call.logLines);
  const note = (what: "connection" | "request", reason: string, more: object = {}) => {
    metrics.countRefused(what, reason);
    throttle(`cut ${reason}`, (leftOut) => log.info({ reason, leftOut, ...more }, `${what} cut`));
  };
  const connections = createConnections(limits, (cut, address) => note("connection", cut, { address }));
  const exchanges = createExchanges(limits.http, (cut) => note("request", cut));
  const server = createSecureServer({ ...tlsOptions(options.identity), ...serverOptions(limits) });
  server.maxConnections = limits.connection.max;
  server.on("drop", () => note("connection", "too-many"));
  server.on("connection", (socket: Socket) => connections.opened(socket));
  server.on("secureConnection", (socket: TLSSocket) => connections.secured(socket));
  server.on("session", (session) => connections.session(session));
  server.on("request", requestHandler(options, { connections, exchanges, throttle }));
  observeFailures(server, connections, note, log);
  const port = await bind(server, options.host, options.port);
  const sweep = setInterval(() => {
    connections.sweep();
    exchanges.sweep();
  }, sweepMs);
  return {
    port,
    connectionCount: () => connections.size,
    newcomerCount: () => connections.newcomers,
    replaceIdentity: (identity) => {
      server.setSecureContext(tlsOptions(identity));
    },
    close: async (deadlineMs) => {
      await close(server, connections, deadlineMs);
      clearInterval(sweep);
    },
  };
}

function tlsOptions({ chain, key, ca }: ServerIdentity) {
  return { cert: chain, key, ca: [...ca] };
}

/** What the platform bounds by itself, so that nothing of ours has to. */
function serverOptions({ connection, http }: Limits): SecureServerOptions {
  const { headerBytesMax, headersMs, requestMs } = http;
  const http1 = { maxHeaderSize: headerBytesMax, headersTimeout: headersMs, requestTimeout: requestMs };
  return {
    allowHTTP1: true,
    // Optional on purpose: people come with tokens. What a certificate is worth is decided per call.
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
    handshakeTimeout: connection.handshakeMs,
    unknownProtocolTimeout: connection.handshakeMs,
    maxSessionInvalidFrames: http.invalidFramesMax,
    maxSessionRejectedStreams: http.rejectedStreamsMax,
    maxSessionMemory: http.sessionMemoryMiB,
    maxHeaderListPairs: http.headersMax,
    maxSettings: http.settingsEntriesMax,
    streamResetBurst: http.resets.burst,
    streamResetRate: http.resets.perSecond,
    settings: { maxConcurrentStreams: http.streamsMax, maxHeaderListSize: headerBytesMax, enablePush: false },
    // The types of HTTP/1.1's options under an HTTP/2 server name only some of those that it takes.
    http1Options: { ...http1, connectionsCheckingInterval: Math.min(5_000, headersMs) } as object,
  };
}

type Note = (what: "connection" | "request", reason: string, more?: object) => void;

/** What the platform cut by itself is counted, too. */
function observeFailures(server: Http2SecureServer, connections: Connections, note: Note, log: Logger): void {
  server.on("tlsClientError", (error: NodeJS.ErrnoException) => {
    log.debug({ err: error }, "TLS handshake failed");
    note("connection", error.code === "ERR_TLS_HANDSHAKE_TIMEOUT" ? "handshake-late" : "handshake-failed");
  });
  server.on("sessionError", (error: NodeJS.ErrnoException, session: ServerHttp2Session) => {
    log.debug({ err: error }, "HTTP/2 session failed");
    connections.ofSession(session)?.violated();
    note("connection", "http2-violation");
  });
  server.on("unknownProtocol", (socket: TLSSocket) => {
    note("connection", "unknown-protocol");
    socket.destroy();
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const [reason, answer] = http1Failure(error.code);
    if (error.code !== "ECONNRESET") {
      note("connection", reason);
      connections.of(socket as TLSSocket)?.violated();
    }
    if (socket.writable) socket.write(`HTTP/1.1 ${answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    socket.destroy();
  });
}

function http1Failure(code: string | undefined): readonly [reason: string, answer: string] {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return ["http1-late", "408 Request Timeout"];
  if (code === "HPE_HEADER_OVERFLOW") return ["http1-headers", "431 Request Header Fields Too Large"];
  return ["http1-violation", "400 Bad Request"];
}

interface Books {
  readonly connections: Connections;
  readonly exchanges: Exchanges;
  readonly throttle: Throttle;
}

function requestHandler(
  options: HttpOptions,
  { connections, exchanges, throttle }: Books,
): (request: Request, response: Response) => void {
  const { log, metrics, services, limits } = options;
  const onRefused = (reason: string) => metrics.countRefused("call", reason);
  const admission = createAdmission({
    limits: limits.call,
    databaseWaiting: options.databaseWaiting,
    onRefused,
  });
  metrics.gauge(
    "falconry_calls_in_work",
    "Calls in work, without those that wait for news.",
    () => admission.inWork,
  );
  const routeOf = createAdapter({
    services,
    router: {
      requestGate: gate({ ...options, admission, throttle, observe: metrics.observeCall }),
      interceptors: [
        requestLog(log, metrics.observeCall),
        auditRefusals(options.writeRefusal, new Map(services.flatMap(({ permissions }) => [...permissions]))),
        refusals(log),
        standing,
      ],
      maxTimeoutMs: timeoutMsMax,
    },
    partsMax: limits.call.partsMax,
    onRefused,
    log,
  });
  const plain = plainHandler(options, onRefused);
  return (request, response) => {
    // Connect listens for errors only while it reads. One that comes later would end the process: whoever waits for the
    // request or the response hears of its end by "close".
    request.on("error", ignore);
    response.on("error", ignore);
    const path = request.url?.split("?", 1)[0] ?? "";
    const route = routeOf(path);
    const connection = connections.of(socketOf(request));
    exchanges.begin(request, response, connection, route?.isOpenEnded ?? false);
    // One write may hold hundreds of requests; the parser goes on with them although their connection was cut.
    if (connection?.isCut === true) return;
    if (route === undefined) plain(path, response, connection);
    else route.serve(request, response, contextOf(request, connection, options.issuerOf));
  };
}

/** What is answered without credentials: health, readiness and metrics. */
function plainHandler(
  { metrics, unready, limits }: HttpOptions,
  onRefused: (reason: string) => void,
): (path: string, response: Response, connection: Connection | undefined) => void {
  const buckets = createBuckets(limits.call.keysMax);
  let scrape: Promise<string> | undefined;
  // Many scrapes at once make one text.
  const text = () => (scrape ??= metrics.text().finally(() => (scrape = undefined)));
  return (path, response, connection) => {
    const waitMs = buckets.take(connection?.address ?? "", limits.call.probes, performance.now());
    if (waitMs > 0) {
      onRefused("probe-rate");
      response.setHeader("retry-after", String(Math.ceil(waitMs / 1000)));
      answer(
        response,
        429,
        `Too many requests of your address: try again in ${Math.ceil(waitMs / 1000)} s\n`,
      );
    } else if (path === "/healthz") answer(response, 200, "ok\n");
    else if (path === "/readyz") void unready().then((missing) => ready(response, missing));
    else if (path === "/metrics") void text().then((all) => answer(response, 200, all, metrics.contentType));
    else answer(response, 404, "There is no such call\n");
  };
}

function ignore(): void {}

function contextOf(
  request: Request,
  connection: Connection | undefined,
  issuerOf: HttpOptions["issuerOf"],
): ContextValues {
  const values = createContextValues()
    .set(peerKey, peerOf(request, issuerOf))
    .set(addressKey, socketOf(request)?.remoteAddress ?? "")
    .set(cutKey, () => cutRequest(request));
  return connection === undefined ? values : values.set(connectionKey, connection);
}

function ready(response: Response, missing: readonly string[]): void {
  if (missing.length === 0) answer(response, 200, "ready\n");
  else answer(response, 503, `${missing.join("\n")}\n`);
}

function answer(
  response: Response,
  status: number,
  text: string,
  type: string = "text/plain; charset=utf-8",
): void {
  const head = { "content-type": type, "cache-control": "no-store" };
  // The two kinds of response share these methods, but not a signature that TypeScript can call.
  (response as ServerResponse).writeHead(status, head).end(text);
}

const peers = new WeakMap<TLSSocket, Outcome<Peer>>();

/** A certificate is parsed once per connection. HTTP/2 hides its socket behind a proxy, HTTP/1.1 does not. */
function peerOf(request: Request, issuerOf: HttpOptions["issuerOf"]): Outcome<Peer> {
  const socket = socketOf(request);
  const known = peers.get(socket);
  if (known !== undefined) return known;
  const peer = readPeer(socket, issuerOf);
  peers.set(socket, peer);
  return peer;
}

function socketOf(request: Request): TLSSocket {
  const socket: unknown = "stream" in request ? request.stream.session?.socket : request.socket;
  return socket as TLSSocket;
}

function bind(server: Http2SecureServer, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(bindFailure(error, host, port));
    });
    server.listen(port, host, () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function bindFailure(error: NodeJS.ErrnoException, host: string, port: number): Failure {
  const place = `${host}:${port}`;
  const why =
    error.code === "EADDRINUSE"
      ? `Port ${place} is taken by another process: stop it, or set FALCONRY_LISTEN to another port`
      : error.code === "EACCES"
        ? `Listening on ${place} is not allowed: take a port above 1023, or run with the right to use lower ones`
        : `Cannot listen on ${place}: ${error.message}. Check FALCONRY_LISTEN`;
  return new Failure(why, error.code === "EADDRINUSE" ? 3 : 2, { cause: error });
}

async function close(server: Http2SecureServer, connections: Connections, deadlineMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  connections.closeSessions();
  const cut = setTimeout(() => connections.destroyAll(), deadlineMs);
  await closed;
  clearTimeout(cut);
}
