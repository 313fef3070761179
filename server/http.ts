import type { IncomingMessage } from "node:http";
import {
  createSecureServer,
  type Http2SecureServer,
  type SecureServerOptions,
  type ServerHttp2Session,
} from "node:http2";
import { BlockList, type AddressInfo, type Socket, type SocketAddress } from "node:net";
import type { TLSSocket } from "node:tls";

import type { Logger } from "pino";
import type { Traces } from "#traces";

import type { Console } from "./console.ts";
import { contextOf, socketOf, type IssuerOf } from "./call-context.ts";
import { createConnections, type Connections } from "./connections.ts";
import { createExchanges, type Exchanges } from "./exchanges.ts";
import { Failure } from "./failure.ts";
import type { Limits } from "./limits.ts";
import { createThrottle, type Throttle } from "./log-throttle.ts";
import type { Metrics } from "./metrics.ts";
import { plainHandler, type PlainOptions } from "./plain.ts";
import { createAdapter, type Request, type Response } from "./rpc/adapter.ts";
import { createAdmission, type Admission } from "./rpc/admission.ts";
import { gate, type GateOptions } from "./rpc/gate.ts";
import { interceptorsOf } from "./rpc/interceptors/all.ts";
import { lokiApi } from "./rpc/loki/api.ts";
import { lokiPath, type LokiOptions } from "./rpc/loki/options.ts";

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
  readonly issuerOf: IssuerOf;
  readonly limits: Limits;
  /** Queries that wait for a connection of the database. */
  readonly databaseWaiting: () => number;
  readonly metrics: Metrics;
  /** What its alerts are read with as Loki's. */
  readonly loki: LokiOptions;
  readonly console: Console;
  readonly unready: PlainOptions["unready"];
  readonly traces: Traces;
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
  const blockList = new Door(connections);
  const server = createSecureServer({ ...tlsOptions(options.identity), ...serverOptions(limits), blockList });
  server.maxConnections = limits.connection.max;
  server.on("drop", () => note("connection", "too-many"));
  // Before the platform begins TLS in a listener of its own.
  server.prependListener("connection", (socket: Socket) => connections.opened(socket));
  server.on("secureConnection", (socket: TLSSocket) => connections.secured(socket));
  server.on("session", (session) => connections.session(session));
  const handlers = requestHandlers(options, { connections, exchanges, throttle });
  server.on("request", handlers.request);
  // Emitted for HTTP/1.1 alone, which the types of an HTTP/2 server do not know of.
  server.on("upgrade", handlers.upgrade as () => void);
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

/**
 * Asked by the platform with the address of each connection before it makes a socket of it: who is not let in must not cost what a socket
 * takes, or TLS.
 */
class Door extends BlockList {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    super();
    this.#connections = connections;
  }

  /** Whether the connection is closed at once. */
  override check(address: SocketAddress | string): boolean {
    return !this.#connections.admits(typeof address === "string" ? address : address.address);
  }
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
    if (!isViolation(error.code)) return;
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

/**
 * What the platform ends a session for. A peer that goes with a word of its own, as a client that is interrupted does, or
 * without one, has broken nothing; and what is cut here is counted where it is cut.
 */
function isViolation(code: string = ""): boolean {
  return code.startsWith("ERR_HTTP2_") && code !== "ERR_HTTP2_SESSION_ERROR";
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

interface Handlers {
  readonly request: (request: Request, response: Response) => void;
  /** A connection of HTTP/1.1 that asks to become a web socket. */
  readonly upgrade: (request: IncomingMessage, socket: TLSSocket, head: Buffer) => void;
}

function requestHandlers(options: HttpOptions, { connections, exchanges, throttle }: Books): Handlers {
  const { log, metrics, services, limits, issuerOf } = options;
  const onRefused = (reason: string) => metrics.countRefused("call", reason);
  const admission = openAdmission(options, onRefused);
  const gateOptions = { ...options, admission, throttle, observe: metrics.observeCall };
  const permissions = new Map(services.flatMap((mounted) => [...mounted.permissions]));
  const routeOf = createAdapter({
    services,
    router: {
      requestGate: gate(gateOptions),
      interceptors: interceptorsOf(options, permissions),
      maxTimeoutMs: timeoutMsMax,
    },
    partsMax: limits.call.partsMax,
    onRefused,
    log,
  });
  const plain = plainHandler({ ...options, limits: limits.call, onRefused, throttle });
  const loki = lokiApi(options.loki, gateOptions);
  metrics.gauge("falconry_loki_tails", "Web sockets that are sent alerts as they arrive.", () =>
    loki.tails(),
  );
  return {
    request: (request, response) => {
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
      if (route !== undefined) route.serve(request, response, contextOf(request, connection, issuerOf));
      else if (path.startsWith(lokiPath)) {
        loki.serve(request, response, contextOf(request, connection, issuerOf));
      } else plain(path, request, response, connection);
    },
    upgrade: (request, socket, head) => {
      const connection = connections.of(socket);
      const finish = connection?.begin() ?? ignore;
      socket.once("close", finish);
      loki.upgrade({ request, socket, head, values: contextOf(request, connection, issuerOf) });
    },
  };
}

function openAdmission(
  { limits, metrics, databaseWaiting }: HttpOptions,
  onRefused: (reason: string) => void,
): Admission {
  const admission = createAdmission({
    limits: limits.call,
    databaseWaiting,
    onRefused,
    onLinedUp: (route) => metrics.countLinedUp(route),
  });
  metrics.gauge("falconry_calls_in_line", "Calls that wait for their turn.", () => admission.inLine);
  metrics.gauge(
    "falconry_calls_in_work",
    "Calls in work, without those that wait for news.",
    () => admission.inWork,
  );
  return admission;
}

function ignore(): void {}

/**
 * Connections that the system holds until this process takes them, one in each turn of its event loop: what a fleet that comes back is ahead
 * of it. Beyond it the system drops what clients send first, which they repeat later and later. The system may have a lower bound
 * (net.core.somaxconn, 4,096 where nobody changed it).
 */
const backlogMax = 4_096;

function bind(server: Http2SecureServer, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(bindFailure(error, host, port));
    });
    server.listen({ port, host, backlog: backlogMax }, () => {
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
