import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TLSSocket } from "node:tls";

import { createContextValues } from "@connectrpc/connect";
import { compressionGzip, connectNodeAdapter } from "@connectrpc/connect-node";
import type { Logger } from "pino";

import type { Outcome } from "./domain/refusal.ts";
import { Failure } from "./failure.ts";
import type { Metrics } from "./metrics.ts";
import { addressKey } from "./rpc/address.ts";
import { cutKey } from "./rpc/cut.ts";
import { gate, type GateOptions } from "./rpc/gate.ts";
import { peerKey, readPeer, type Peer } from "./rpc/interceptors/authenticate.ts";
import { refusals } from "./rpc/interceptors/refusals.ts";
import { requestLog } from "./rpc/interceptors/request-log.ts";

/** The server's own identity in PEM. The chain ends with the CA, because agents pin the CA's key. */
export interface ServerIdentity {
  readonly chain: string;
  readonly key: string;
  /** The CAs whose client certificates are taken: two while the CA is being replaced. */
  readonly ca: readonly string[];
}

export interface HttpOptions extends Omit<GateOptions, "observe"> {
  readonly host: string;
  readonly port: number;
  readonly identity: ServerIdentity;
  /** The pin of the CA that issued a client certificate, if it is trusted now. */
  readonly issuerOf: (certificate: Uint8Array) => string | undefined;
  readonly metrics: Metrics;
  /** Empty when this server may get calls; otherwise what is missing, in words. */
  readonly unready: () => Promise<readonly string[]>;
  readonly log: Logger;
}

export interface HttpServer {
  /** The port listened on. */
  readonly port: number;
  connectionCount(): number;
  /** Uses another certificate for new connections; those that are open keep theirs. */
  replaceIdentity(identity: ServerIdentity): void;
  /** Takes no new connections, lets running calls end, and cuts what is left after the deadline. */
  close(deadlineMs: number): Promise<void>;
}

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** Larger messages are refused before they are parsed; services that need more say so where they are mounted. */
export const readBytesMax = 1024 * 1024;
const sessionPingMs = 30_000;
/** A Connect client may ask for a deadline no further away than this. */
const timeoutMsMax = 3_600_000;

/** One TLS port for Connect, gRPC and gRPC-Web over HTTP/2 and HTTP/1.1, and for health and metrics. */
export async function listen(options: HttpOptions): Promise<HttpServer> {
  const server = createSecureServer({
    ...tlsOptions(options.identity),
    allowHTTP1: true,
    // Optional on purpose: people come with tokens. What a certificate is worth is decided per call.
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
    handshakeTimeout: 10_000,
    unknownProtocolTimeout: 5_000,
    maxSessionInvalidFrames: 100,
    maxSessionMemory: 32,
    maxSettings: 16,
    settings: { maxConcurrentStreams: 100, maxHeaderListSize: 16 * 1024 },
  });
  server.on("request", requestHandler(options));
  server.on("tlsClientError", (error: Error) => options.log.debug({ err: error }, "TLS handshake failed"));
  server.on("sessionError", (error: Error) => options.log.debug({ err: error }, "HTTP/2 session failed"));
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    const stopPinging = keepAlive(session);
    session.once("close", () => {
      stopPinging();
      sessions.delete(session);
    });
  });
  const sockets = new Set<TLSSocket>();
  server.on("secureConnection", (socket: TLSSocket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const port = await bind(server, options.host, options.port);
  return {
    port,
    connectionCount: () => sockets.size,
    replaceIdentity: (identity) => {
      server.setSecureContext(tlsOptions(identity));
    },
    close: (deadlineMs) => close(server, sessions, sockets, deadlineMs),
  };
}

function tlsOptions({ chain, key, ca }: ServerIdentity) {
  return { cert: chain, key, ca: [...ca] };
}

function requestHandler(options: HttpOptions): (request: Request, response: Response) => void {
  const { log, metrics, services } = options;
  const rpc = connectNodeAdapter({
    routes: (router) => {
      for (const mounted of services) mounted.route(router);
    },
    requestGate: gate({ ...options, observe: metrics.observeCall }),
    interceptors: [requestLog(log, metrics.observeCall), refusals(log)],
    contextValues: (request) =>
      createContextValues()
        .set(peerKey, peerOf(request, options.issuerOf))
        .set(addressKey, addressOf(request))
        .set(cutKey, () => cut(request)),
    acceptCompression: [compressionGzip],
    readMaxBytes: readBytesMax,
    maxTimeoutMs: timeoutMsMax,
  });
  return (request, response) => {
    const path = request.url?.split("?", 1)[0];
    if (path === "/healthz") answer(response, 200, "ok\n");
    else if (path === "/readyz") void options.unready().then((missing) => ready(response, missing));
    else if (path === "/metrics") {
      void metrics.text().then((text) => answer(response, 200, text, metrics.contentType));
    } else rpc(request, response);
  };
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

/** Ends a call below everything that waits for the other end to read. */
function cut(request: Request): void {
  if ("stream" in request) request.stream.close(constants.NGHTTP2_CANCEL);
  else request.socket.destroy();
}

function addressOf(request: Request): string {
  const socket = "stream" in request ? request.stream.session?.socket : request.socket;
  return socket?.remoteAddress ?? "";
}

const peers = new WeakMap<TLSSocket, Outcome<Peer>>();

/** A certificate is parsed once per connection. HTTP/2 hides its socket behind a proxy, HTTP/1.1 does not. */
function peerOf(request: Request, issuerOf: HttpOptions["issuerOf"]): Outcome<Peer> {
  const outer: unknown = "stream" in request ? request.stream.session?.socket : request.socket;
  const socket = outer as TLSSocket;
  const known = peers.get(socket);
  if (known !== undefined) return known;
  const peer = readPeer(socket, issuerOf);
  peers.set(socket, peer);
  return peer;
}

/** A peer that vanished without a word is noticed by its silence; nothing below does that for us. */
function keepAlive(session: ServerHttp2Session): () => void {
  let isAnswered = true;
  const timer = setInterval(() => {
    if (!isAnswered) {
      session.destroy();
      return;
    }
    isAnswered = false;
    session.ping(() => {
      isAnswered = true;
    });
  }, sessionPingMs);
  timer.unref();
  return () => {
    clearInterval(timer);
  };
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

async function close(
  server: Http2SecureServer,
  sessions: ReadonlySet<ServerHttp2Session>,
  sockets: ReadonlySet<TLSSocket>,
  deadlineMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  for (const session of sessions) session.close();
  const cut = setTimeout(() => {
    for (const session of sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
  }, deadlineMs);
  await closed;
  clearTimeout(cut);
}
