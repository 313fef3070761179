import { constants, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { TLSSocket } from "node:tls";

import { addressKey, createNewcomers, type Newcomers } from "./domain/newcomers.ts";
import { createBucket, createBuckets, type Rate, type TokenBuckets } from "./domain/token-bucket.ts";
import type { Limits } from "./limits.ts";

/** Why a connection was not let in or was cut; the label of the metric. */
export type Cut =
  | "opened-too-fast"
  | "newcomer-made-room"
  | "newcomer-late"
  | "newcomer-bytes"
  | "strikes"
  | "pipelining"
  | "ping-flood"
  | "settings-flood"
  | "no-pong"
  | "idle";

/** One connection, as those see it who serve calls on it. */
export interface Connection {
  /** Who stands behind its address. */
  readonly address: string;
  readonly isProved: boolean;
  /** What still comes over it is not worth an answer. */
  readonly isCut: boolean;
  /** Somebody proved on it who they are. */
  proved(): void;
  /** A call without valid credentials came. */
  strike(): void;
  /** The platform cut it for what its peer did: its address pays for it, as for what is cut here. */
  violated(): void;
  /** A call begins; the function that is given back ends it, once. */
  begin(): () => void;
  /** Bytes that the system has taken for the peer. */
  bytesWritten(): number;
}

/** The connections of the server, each with its book: what no protocol library looks at. */
export interface Connections {
  opened(raw: Socket): void;
  secured(socket: TLSSocket): void;
  session(session: ServerHttp2Session): void;
  of(socket: TLSSocket): Connection | undefined;
  /** Also when the session has let go of its socket. */
  ofSession(session: ServerHttp2Session): Connection | undefined;
  /** To be called about once a second. */
  sweep(): void;
  destroyAll(): void;
  closeSessions(): void;
  readonly size: number;
  readonly newcomers: number;
}

interface Entry extends Connection {
  readonly key: string;
  readonly raw: Socket;
  session: ServerHttp2Session | undefined;
  isProved: boolean;
  isCut: boolean;
  strikes: number;
  calls: number;
  quietSinceMs: number;
}

const addressesMax = 20_000;

/** What the functions below work on. */
interface Book {
  readonly limits: Pick<Limits, "connection" | "http">;
  readonly entries: Map<string, Entry>;
  readonly newcomers: Newcomers;
  readonly openings: TokenBuckets;
  readonly onCut: (cut: Cut, address: string) => void;
  readonly now: () => number;
}

export function createConnections(
  limits: Pick<Limits, "connection" | "http">,
  onCut: (cut: Cut, address: string) => void,
  now: () => number = () => performance.now(),
): Connections {
  const { newcomersMax, newcomersPerAddressMax } = limits.connection;
  const entries = new Map<string, Entry>();
  const newcomers = createNewcomers(newcomersMax, newcomersPerAddressMax);
  const book: Book = { limits, entries, newcomers, openings: createBuckets(addressesMax), onCut, now };
  return {
    opened: (raw) => {
      takeIn(book, raw);
    },
    secured: (socket) => {
      const entry = entries.get(keyOf(socket));
      if (entry !== undefined) bySocket.set(socket, entry);
    },
    session: (session) => {
      const entry = entries.get(keyOf(session.socket));
      if (entry !== undefined) guardSession(book, entry, session);
    },
    of: (socket) => bySocket.get(socket),
    ofSession: (session) => bySession.get(session),
    sweep: () => {
      for (const entry of entries.values()) judge(book, entry);
    },
    destroyAll: () => {
      for (const { session, raw } of entries.values()) {
        session?.destroy();
        raw.destroy();
      }
    },
    closeSessions: () => {
      for (const { session } of entries.values()) session?.close();
    },
    get size() {
      return entries.size;
    },
    get newcomers() {
      return newcomers.size;
    },
  };
}

function takeIn(book: Book, raw: Socket): void {
  const { limits, entries, newcomers, openings, now } = book;
  const address = addressKey(raw.remoteAddress ?? "");
  const key = keyOf(raw);
  if (openings.take(address, limits.connection.opening, now()) > 0) {
    book.onCut("opened-too-fast", address);
    raw.destroy();
    return;
  }
  const entry = newEntry(key, raw, address, now());
  entry.proved = () => {
    entry.isProved = true;
    newcomers.leave(key);
  };
  entry.strike = () => {
    if ((entry.strikes += 1) > limits.connection.strikesMax) cut(book, entry, "strikes");
  };
  entry.violated = () => charge(book, address);
  entry.begin = () => {
    const end = beginCall(entry, now);
    // HTTP/2 bounds its streams itself; requests of HTTP/1.1 come as fast as they are written.
    if (entry.session === undefined && entry.calls > limits.http.streamsMax) cut(book, entry, "pipelining");
    return end;
  };
  entries.set(key, entry);
  raw.once("close", () => {
    entries.delete(key);
    newcomers.leave(key);
  });
  for (const gone of newcomers.arrive(key, address)) {
    const old = entries.get(gone);
    if (old !== undefined) cut(book, old, "newcomer-made-room");
  }
}

function guardSession(book: Book, entry: Entry, session: ServerHttp2Session): void {
  const { now, limits } = book;
  entry.session = session;
  bySession.set(session, entry);
  bySocket.set(session.socket as TLSSocket, entry);
  const guard = (rate: Rate, why: Cut) => {
    const bucket = createBucket(rate, now());
    return () => {
      if (bucket.take(now()) > 0) cut(book, entry, why);
    };
  };
  session.on("ping", guard(limits.http.pings, "ping-flood"));
  session.on("remoteSettings", guard(limits.http.settings, "settings-flood"));
  keepAlive(session, limits.connection.pingMs, () => cut(book, entry, "no-pong", constants.NGHTTP2_NO_ERROR));
}

const mayBeInnocent: ReadonlySet<Cut> = new Set(["newcomer-made-room", "newcomer-late", "no-pong", "idle"]);

/** A peer that is cut for what it did comes again at once; its address may do so less often than others. */
function charge({ openings, limits, now }: Book, address: string): void {
  openings.take(address, limits.connection.opening, now(), limits.connection.cutCost);
}

function judge(book: Book, entry: Entry): void {
  const { connection: bounds } = book.limits;
  const at = book.now();
  if (entry.isProved) {
    if (entry.session !== undefined && !entry.session.closed && isIdle(entry, at, bounds.idleMs)) {
      book.onCut("idle", entry.address);
      entry.session.close();
    }
  } else if (entry.raw.bytesRead > bounds.newcomerBytesMax) cut(book, entry, "newcomer-bytes");
  else if (isIdle(entry, at, bounds.proveMs)) cut(book, entry, "newcomer-late");
}

function cut(book: Book, entry: Entry, why: Cut, code: number = constants.NGHTTP2_ENHANCE_YOUR_CALM): void {
  if (entry.isCut || entry.raw.destroyed) return;
  entry.isCut = true;
  if (!mayBeInnocent.has(why)) charge(book, entry.address);
  book.onCut(why, entry.address);
  // The session writes its reason before the socket goes; without a session there is nobody to tell.
  if (entry.session !== undefined && !entry.session.destroyed) entry.session.destroy(undefined, code);
  else entry.raw.destroy();
}

const bySocket = new WeakMap<TLSSocket, Entry>();
const bySession = new WeakMap<ServerHttp2Session, Entry>();

/** Address and port of the other end name a connection while it lives, on the raw socket and all that wrap it. */
function keyOf(socket: Pick<Socket, "remoteAddress" | "remotePort">): string {
  return `${socket.remoteAddress ?? ""}|${socket.remotePort ?? 0}`;
}

function newEntry(key: string, raw: Socket, address: string, nowMs: number): Entry {
  return {
    key,
    raw,
    address,
    session: undefined,
    isProved: false,
    isCut: false,
    strikes: 0,
    calls: 0,
    quietSinceMs: nowMs,
    proved: () => undefined,
    strike: () => undefined,
    violated: () => undefined,
    begin: () => () => undefined,
    bytesWritten: () => raw.bytesWritten,
  };
}

function beginCall(entry: Entry, now: () => number): () => void {
  let isOpen = true;
  entry.calls += 1;
  return () => {
    if (!isOpen) return;
    isOpen = false;
    entry.calls -= 1;
    entry.quietSinceMs = now();
  };
}

function isIdle({ calls, quietSinceMs }: Entry, nowMs: number, ms: number): boolean {
  return calls === 0 && nowMs - quietSinceMs > ms;
}

/** A peer that vanished without a word is noticed by its silence; nothing below does that for us. */
function keepAlive(session: ServerHttp2Session, everyMs: number, onSilence: () => void): void {
  let isAnswered = true;
  const timer = setInterval(() => {
    if (session.destroyed || session.closed) return;
    if (!isAnswered) {
      onSilence();
      return;
    }
    isAnswered = false;
    session.ping(() => {
      isAnswered = true;
    });
  }, everyMs).unref();
  session.once("close", () => {
    clearInterval(timer);
  });
}
