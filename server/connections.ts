import { constants, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { TLSSocket } from "node:tls";

import { addressKey } from "./domain/network.ts";
import { createOffences, type Offences } from "./domain/offences.ts";
import { createNewcomers, type Newcomers } from "./domain/newcomers.ts";
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
  /** Whether another connection from this address is let in. To be asked once for each. */
  admits(address: string): boolean;
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
/**
 * How often newcomers are looked at while there are any: in a second, one of them could send a hundred megabytes of frames that
 * cost most.
 */
const watchMs = 20;

/** What the functions below work on. */
interface Book {
  readonly limits: Pick<Limits, "connection" | "http">;
  readonly entries: Map<string, Entry>;
  readonly newcomers: Newcomers;
  /** The entries of the newcomers. */
  readonly unproved: Map<string, Entry>;
  readonly watch: { timer: NodeJS.Timeout | undefined };
  readonly openings: TokenBuckets;
  readonly offences: Offences;
  /** How many connections of an address have proved who they are. */
  readonly provedOf: Map<string, number>;
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
  const book: Book = {
    limits,
    entries,
    newcomers,
    unproved: new Map(),
    watch: { timer: undefined },
    openings: createBuckets(addressesMax),
    offences: createOffences(addressesMax),
    provedOf: new Map(),
    onCut,
    now,
  };
  return {
    admits: (address) => admits(book, addressKey(address)),
    opened: (raw) => takeIn(book, raw),
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

function admits({ limits, openings, now, onCut }: Book, address: string): boolean {
  if (openings.take(address, limits.connection.opening, now()) === 0) return true;
  onCut("opened-too-fast", address);
  return false;
}

function takeIn(book: Book, raw: Socket): void {
  const { limits, entries, newcomers, now } = book;
  const address = addressKey(raw.remoteAddress ?? "");
  const key = keyOf(raw);
  const entry = newEntry(key, raw, address, now());
  const leave = () => {
    newcomers.leave(key);
    book.unproved.delete(key);
  };
  entry.proved = () => {
    if (!entry.isProved) countProved(book, address, 1);
    entry.isProved = true;
    leave();
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
  book.unproved.set(key, entry);
  watchNewcomers(book);
  raw.once("close", () => {
    entries.delete(key);
    if (entry.isProved) countProved(book, address, -1);
    leave();
  });
  for (const gone of newcomers.arrive(key, address)) {
    const old = entries.get(gone);
    if (old !== undefined) cut(book, old, "newcomer-made-room");
  }
}

function countProved({ provedOf }: Book, address: string, by: 1 | -1): void {
  const count = (provedOf.get(address) ?? 0) + by;
  if (count > 0) provedOf.set(address, count);
  else provedOf.delete(address);
}

/** The platform reads frames without asking us, so what newcomers send is looked at from outside. */
function watchNewcomers(book: Book): void {
  book.watch.timer ??= setInterval(() => {
    for (const entry of book.unproved.values()) judgeBytes(book, entry);
    if (book.unproved.size > 0) return;
    clearInterval(book.watch.timer);
    book.watch.timer = undefined;
  }, watchMs).unref();
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
  keepAlive(entry.raw, session, limits.connection.pingMs, () =>
    cut(book, entry, "no-pong", constants.NGHTTP2_NO_ERROR),
  );
}

const mayBeInnocent: ReadonlySet<Cut> = new Set(["newcomer-made-room", "newcomer-late", "no-pong", "idle"]);

/**
 * A peer that is cut for what it did comes again at once; its address may do so less often than others. Each time costs more, but not
 * where somebody who proved who they are is behind the same address: an attacker must not keep those away.
 */
function charge({ openings, offences, provedOf, limits, now }: Book, address: string): void {
  const { opening, cutCost } = limits.connection;
  const times = provedOf.has(address) ? 1 : offences.note(address, now());
  openings.charge(address, opening, now(), cutCost * times);
}

function judge(book: Book, entry: Entry): void {
  const { connection: bounds } = book.limits;
  const at = book.now();
  if (entry.isProved) {
    if (entry.session !== undefined && !entry.session.closed && isIdle(entry, at, bounds.idleMs)) {
      book.onCut("idle", entry.address);
      entry.session.close();
    }
  } else if (isIdle(entry, at, bounds.proveMs)) cut(book, entry, "newcomer-late");
}

function judgeBytes(book: Book, entry: Entry): void {
  if (entry.raw.bytesRead > book.limits.connection.newcomerBytesMax) cut(book, entry, "newcomer-bytes");
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

/**
 * A peer that vanished without a word is noticed by its silence; nothing below does that for us. Who sends something anyway, as agents
 * do, is never asked: a ping to each of thousands, and its answer, is what they cost most at rest.
 */
function keepAlive(raw: Socket, session: ServerHttp2Session, everyMs: number, onSilence: () => void): void {
  let seen = -1;
  let quietLooks = 0;
  const timer = setInterval(() => {
    if (session.destroyed || session.closed) return;
    quietLooks = raw.bytesRead === seen ? quietLooks + 1 : 0;
    seen = raw.bytesRead;
    if (quietLooks !== 1 && quietLooks <= looksPerPing) return;
    // What came while this process had other work is read first.
    setImmediate(() => {
      if (raw.bytesRead !== seen || session.destroyed || session.closed) return;
      if (quietLooks === 1) session.ping(() => undefined);
      else onSilence();
    });
  }, everyMs / looksPerPing).unref();
  session.once("close", () => {
    clearInterval(timer);
  });
}

/** How often a peer is looked at in the time that it has to answer a ping. */
const looksPerPing = 2;
