import { constants } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream, SecureClientSessionOptions } from "node:http2";
import { PassThrough } from "node:stream";
import { Http2SessionManager } from "@connectrpc/connect-node";

/** How a dead connection is noticed; all in milliseconds. */
export interface KeepAlive {
  readonly pingIntervalMs: number;
  /** A ping that is not answered within this time ends the connection, and with it every call on it. */
  readonly pingTimeoutMs: number;
}

/**
 * A connection for Connect clients that always reads a response to its end, and notices when the other side is gone.
 *
 * Node 24.20 to 24.22 refuse to iterate an HTTP/2 response that is complete and still buffered: iteration that begins
 * after the stream was closed ends in "Premature close" (nodejs/node#65677). Connect begins to iterate late when the
 * process is busy, so single calls fail at random. Here the body is taken up as soon as its headers are there.
 *
 * Connect's own pings throw from a timer when the session was destroyed in between, which ends the process. Ours look
 * first.
 */
export class Http2Connection extends Http2SessionManager {
  readonly #keepAlive: KeepAlive | undefined;
  readonly #begun = new WeakSet<ClientHttp2Session>();

  constructor(url: string, keepAlive?: KeepAlive, options?: SecureClientSessionOptions) {
    // Until the server has said how many calls it takes at the same time, no more than this wait for no answer: what is
    // over its bound by then would be refused.
    const settings = { initialWindowSize: windowBytes };
    super(url, {}, { peerMaxConcurrentStreams: callsUnasked, settings, ...options });
    this.#keepAlive = keepAlive;
  }

  override async request(...args: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...args);
    if (stream.session !== undefined) this.#begin(stream.session as ClientHttp2Session);
    takeUp(stream);
    return stream;
  }

  #begin(session: ClientHttp2Session): void {
    if (this.#begun.has(session)) return;
    this.#begun.add(session);
    if (!session.destroyed) session.setLocalWindowSize(windowBytes);
    if (this.#keepAlive !== undefined) keepAlive(session, this.#keepAlive);
  }
}

const callsUnasked = 8;

/**
 * What the other side may send before it hears that something was taken, on a call and in all: a bundle of most sizes, or one message of a
 * larger one. By itself the protocol allows 64 KiB, each of which would take as long as the way to the server and back.
 */
export const windowBytes: number = 256 * 1024;

function takeUp(stream: ClientHttp2Stream): void {
  const body = new PassThrough();
  // Whoever reads the body hears of errors from it; without a reader nobody has to.
  body.on("error", () => undefined);
  stream.once("response", () => stream.pipe(body, { end: false }));
  // A reset ends the stream, too: only the code tells a whole response from one that breaks off.
  stream.once("end", () =>
    stream.rstCode === constants.NGHTTP2_NO_ERROR ? body.end() : body.destroy(brokenOff(stream)),
  );
  stream.once("error", (error) => body.destroy(error));
  stream.once("close", () => {
    if (!stream.readableEnded) body.destroy(brokenOff(stream));
  });
  Object.defineProperty(stream, Symbol.asyncIterator, { value: () => body[Symbol.asyncIterator]() });
}

function brokenOff(stream: ClientHttp2Stream): Error {
  return new Error(`The server broke the response off (HTTP/2 code ${stream.rstCode})`);
}

function keepAlive(session: ClientHttp2Session, { pingIntervalMs, pingTimeoutMs }: KeepAlive): void {
  let answered: NodeJS.Timeout | undefined;
  const interval = setInterval(() => {
    if (session.destroyed || session.closed) return;
    answered ??= setTimeout(() => {
      session.destroy(new Error(`The server did not answer a ping within ${pingTimeoutMs / 1000} s`));
    }, pingTimeoutMs).unref();
    session.ping(() => {
      clearTimeout(answered);
      answered = undefined;
    });
  }, pingIntervalMs).unref();
  // The calls on it hear of the error from their streams. Connect stops listening once it has given a connection up.
  session.on("error", () => undefined);
  session.once("close", () => {
    clearInterval(interval);
    clearTimeout(answered);
  });
}
