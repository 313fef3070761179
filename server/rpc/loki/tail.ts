import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

import type { ConnectError, ContextValues } from "@connectrpc/connect";
import { WebSocketServer, type WebSocket } from "ws";
import { codeName } from "#traces/calls";

import type { LogExpr } from "../../domain/logql/ast.ts";
import { streamLabels } from "../../domain/logql/labels.ts";
import { readTail, type TailParams } from "./params.ts";
import { parseQuery } from "../../domain/logql/parse.ts";
import { compilePipeline } from "../../domain/logql/pipeline.ts";
import type { Outcome } from "../../domain/refusal.ts";
import type { Scope } from "../../domain/scope.ts";
import { createTailPlace, type TailPlace } from "../../domain/tail-place.ts";
import { readLogArrivals } from "../../store/alert-logs.ts";
import { lastArrival } from "../../store/alerts.ts";
import type { GateOptions } from "../gate.ts";
import { toWire } from "../interceptors/refusals.ts";
import { standingKey } from "../interceptors/standing.ts";
import { orRefuse } from "../refusals.ts";
import { bad, orBad, statusOf } from "./answer.ts";
import { choose, type Chosen } from "./choose.ts";
import { lokiService, type LokiDoor } from "./door.ts";
import { createStreams, readLines, type StreamOfLines } from "./lines.ts";
import { lokiPath, splitUrl, type LokiOptions } from "./options.ts";
import { inTurns } from "../../turns.ts";
import { queryLimits, reading, type Reading } from "./reading.ts";

export interface TailsOptions extends LokiOptions, Pick<GateOptions, "observe" | "log"> {
  readonly door: LokiDoor;
}

export interface Tails {
  /** Answers a request to become a web socket, with lines as they arrive or with an error. */
  take(asking: Asking): void;
  /** Those that are open. */
  readonly count: number;
}

const lookMs = 1_000;
/** How long a tail goes on after its caller's token was revoked or expired, at most. */
const judgeMs = 2_000;
/**
 * How long a tail goes on with the clusters and rules that it chose: less than it looks back, so that an alert of a rule that is new
 * is seen at a later look.
 */
const chooseMs = 2_000;
const batch = 200;
const pingMs = 20_000;
/** So much may wait for a reader that is slow; the next lines are read from the database when it is gone. */
const waitingBytesMax = 1024 * 1024;
/** A reader that takes nothing for so long is gone. */
const stallMs = 30_000;
/** Within so long a refusal has to be taken. */
const refusalMs = 5_000;

export function createTails(options: TailsOptions): Tails {
  // Nothing is expected from the reader but answers to pings.
  const server = new WebSocketServer({ noServer: true, maxPayload: 4_096, clientTracking: false });
  let count = 0;
  return {
    take: (asking) => {
      count += 1;
      begin(options, server, asking)
        .catch((error: unknown) => {
          options.log.error({ err: error }, "a tail ended with a bug");
          asking.socket.destroy();
        })
        .finally(() => (count -= 1));
    },
    get count() {
      return count;
    },
  };
}

/** A connection that asks to become a web socket. */
export interface Asking {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly values: ContextValues;
}

async function begin(options: TailsOptions, server: WebSocketServer, asking: Asking): Promise<void> {
  const { request, socket, head, values } = asking;
  const { log, observe, clock } = options;
  const began = performance.now();
  const done = new AbortController();
  // Without a listener a connection that breaks would end the process.
  socket.on("error", () => done.abort());
  socket.once("close", () => done.abort());
  const observed = (code: string) => {
    const seconds = (performance.now() - began) / 1000;
    observe({ service: lokiService, method: "Tail", code, seconds });
  };
  try {
    const scope = await options.door("Tail", request.headers, values, done.signal);
    const { expr, params } = readAsked(request.url ?? "", clock().getTime());
    const web = await new Promise<WebSocket | undefined>((resolve) => {
      // A request that is none for a web socket is answered and closed in there, without a word.
      done.signal.addEventListener("abort", () => resolve(undefined), { once: true });
      server.handleUpgrade(request, socket, head, resolve);
    });
    if (web === undefined) return observed("canceled");
    const judge = values.get(standingKey);
    await follow(options, { web, scope, expr, params, judge, closed: done.signal });
    observed("ok");
  } catch (error) {
    const known = toWire(error, done.signal, "Tail", log);
    observed(codeName(known));
    refuse(socket, known);
  } finally {
    done.abort();
  }
}

/** Answers with an error and closes, whether or not the other end reads or closes itself. */
function refuse(socket: Duplex, error: ConnectError): void {
  const text = error.rawMessage;
  const timer = setTimeout(() => socket.destroy(), refusalMs);
  socket.once("close", () => clearTimeout(timer));
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(
    `HTTP/1.1 ${statusOf(error)} Refused\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    () => socket.destroy(),
  );
}

function readAsked(url: string, nowMs: number): { readonly expr: LogExpr; readonly params: TailParams } {
  const [path, query] = splitUrl(url);
  if (path !== `${lokiPath}tail`) throw bad("Only tail is a web socket");
  const search = new URLSearchParams(query);
  const expr = orBad(parseQuery(search.get("query") ?? ""));
  if (expr.kind !== "log") throw bad("only a log query can be tailed");
  return { expr, params: orBad(readTail((name) => search.get(name), nowMs)) };
}

interface Following {
  readonly web: WebSocket;
  readonly scope: Scope;
  readonly expr: LogExpr;
  readonly params: TailParams;
  /** Judges the caller's credentials again. */
  readonly judge: () => Promise<Outcome<true>>;
  readonly closed: AbortSignal;
}

/** Sends what is there, then what arrives, until the reader or the server goes. */
async function follow(options: TailsOptions, following: Following): Promise<void> {
  const { web, closed } = following;
  const ended = AbortSignal.any([closed, options.leaving]);
  const stopPings = keepAlive(web);
  try {
    const place = createTailPlace(await lastArrival(options.db));
    const earlier = await look(options, following, (from) =>
      earlierLines(from, following, options.clock(), place.after),
    );
    await send(web, earlier, ended);
    let judgedMs = options.clock().getTime();
    const chosen = keepChosen(following.expr);
    while (!ended.aborted) {
      const rung = options.arrivals.wait(lookMs, ended);
      const nowMs = options.clock().getTime();
      if (nowMs - judgedMs > judgeMs) {
        orRefuse(await following.judge());
        judgedMs = nowMs;
      }
      const found = await look(options, following, (from) =>
        arrivedLines(from, following.expr, chosen, place, nowMs),
      );
      await send(web, found.streams, ended);
      if (found.isAll) await rung;
    }
    web.close(1001, "The server is going away");
  } catch (error) {
    const known = toWire(error, closed, "Tail", options.log);
    web.close(1011, firstBytes(known.rawMessage, closeBytesMax));
  } finally {
    stopPings();
  }
}

function look<T>(options: TailsOptions, { scope, closed }: Following, work: (from: Reading) => Promise<T>) {
  return reading({ db: options.db, scope, signal: closed, limits: queryLimits }, work);
}

/** The newest lines since the start that was asked for, oldest first. */
async function earlierLines(from: Reading, { expr, params }: Following, now: Date, arrivalMax: bigint) {
  const endNs = BigInt(now.getTime()) * 1_000_000n;
  const span = {
    startNs: params.startNs,
    endNs,
    limit: params.limit,
    direction: "backward",
    arrivalMax,
  } as const;
  if (endNs <= params.startNs) return [];
  const streams = await readLines(from, expr, span);
  return streams.toReversed().map(({ stream, values }) => ({ stream, values: values.toReversed() }));
}

type ChooseAt = (from: Reading, nowMs: number) => Promise<Chosen | undefined>;

/** Chooses streams anew only now and then: there is a look for each arrival, and the fleet may be large. */
function keepChosen({ matchers, stages }: LogExpr): ChooseAt {
  let last: { readonly chosen: Chosen | undefined; readonly atMs: number } | undefined;
  return async (from, nowMs) => {
    if (last === undefined || nowMs - last.atMs > chooseMs) {
      last = { chosen: await choose(from, matchers, stages), atMs: nowMs };
    }
    return last.chosen;
  };
}

async function arrivedLines(
  from: Reading,
  { stages }: LogExpr,
  choose: ChooseAt,
  place: TailPlace,
  nowMs: number,
): Promise<{ readonly streams: readonly StreamOfLines[]; readonly isAll: boolean }> {
  // Asked for before the lines, so that everything up to it is among them.
  const last = await lastArrival(from.tx);
  const chosen = await choose(from, nowMs);
  // What was told already is skipped here and not in the query, so a look has to be able to see past it.
  const size = batch + place.toldCount;
  const found = chosen === undefined ? [] : await readLogArrivals(from.tx, chosen.choice, place.after, size);
  const fresh = found.filter(({ arrival }) => !place.isTold(arrival));
  const pipeline = compilePipeline(stages);
  const streams = createStreams(queryLimits.answerBytesMax);
  for await (const line of inTurns(fresh, from.check)) {
    const cluster = chosen?.clusters.get(line.clusterId);
    const labels = cluster && pipeline(line.body, streamLabels({ ...line, cluster }));
    if (labels !== undefined) streams.add(line, labels);
  }
  const isAll = found.length < size;
  place.advance(
    fresh.map(({ arrival }) => arrival),
    { upTo: isAll ? last : (found.at(-1)?.arrival ?? place.after), last },
    nowMs,
  );
  return { streams: streams.all(), isAll };
}

/** What a web socket's close may say: more is an error of who closes. */
const closeBytesMax = 123;

/** As many whole letters as fit into so many bytes. */
export function firstBytes(text: string, max: number): string {
  return new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, max), { stream: true });
}

/** Resolves when the reader has room for more. */
async function send(web: WebSocket, streams: readonly StreamOfLines[], ended: AbortSignal): Promise<void> {
  if (streams.length === 0 || ended.aborted) return;
  web.send(JSON.stringify({ streams }), () => undefined);
  const since = performance.now();
  while (web.bufferedAmount > waitingBytesMax && !ended.aborted) {
    if (performance.now() - since > stallMs) return web.terminate();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Asks the reader now and then whether it is there, and cuts the connection when it does not answer. */
function keepAlive(web: WebSocket): () => void {
  let isThere = true;
  web.on("error", () => undefined);
  web.on("pong", () => (isThere = true));
  const timer = setInterval(() => {
    if (!isThere) return web.terminate();
    isThere = false;
    web.ping();
  }, pingMs);
  return () => clearInterval(timer);
}
