import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { SyncResponse, Tuning } from "#proto/agent/v1/agent";
import { askedMsMax, reconnectDelayMs, saysAway } from "../domain/backoff.ts";
import { chooseTransport, firstChoice } from "../domain/transport-choice.ts";
import type { SessionEnd, TransportChoice, TransportName } from "../domain/transport-choice.ts";
import { connectAgent } from "./clients.ts";
import type { AgentConnection, Endpoint } from "./clients.ts";
import { speakByLongPoll } from "./long-poll.ts";
import { isIdentityRefused } from "./refused.ts";
import { retryAfterOf } from "./retry-after.ts";
import { createSession } from "./session.ts";
import type { Session, Speaker } from "./session.ts";
import { goodbyeMs, speakOverStream } from "./stream.ts";
import { createWake } from "./wake.ts";
import type { Wake } from "./wake.ts";

/** What the link needs from the rest of the agent. */
export interface LinkOptions {
  readonly speaker: Speaker;
  /** Read anew for each connection, so that a renewed certificate is used by the next one. */
  readonly endpoint: () => Endpoint;
  readonly transport: "auto" | TransportName;
  /** In place of 1, 5 and 30 minutes and 6 hours before the stream is tried again. */
  readonly streamRetriesMs?: readonly number[];
  /** In place of 45 s without a word of the server, after which it is given up. */
  readonly silenceMs?: number;
  readonly log: Logger;
  /** Takes metadata, assignment, labels and flags in. Never throws for what the server sent. */
  take(response: SyncResponse): Promise<void>;
  /** Told whenever the link comes and goes, with the reason in words. */
  onState(state: LinkState): void;
}

export interface LinkState {
  readonly connected: boolean;
  readonly transport: TransportName;
  readonly because: string;
  /** One end does not take the other for what it says it is. */
  readonly isRefused: boolean;
}

/** The link to the server: connects, speaks, and comes back after every loss, for as long as the agent runs. */
export interface Link {
  /** There is news to tell. */
  wake(): void;
  /** Ends the present session and begins another, for example with a new certificate. */
  reconnect(): void;
  /** For other calls over the same connection; undefined while there is none. */
  client(): AgentConnection["client"] | undefined;
  /** Says goodbye, bounded to two seconds, and ends. */
  stop(): Promise<void>;
}

export function startLink(options: LinkOptions): Link {
  const own: Own = {
    options,
    stopping: new AbortController(),
    wake: createWake(),
    again: new AbortController(),
    windowMs: 5_000,
    beatMs: 10_000,
    connection: undefined,
  };
  const done = keepConnected(own);
  return {
    wake: () => own.wake.ring(),
    reconnect: () => own.again.abort(),
    client: () => own.connection?.client,
    async stop() {
      own.stopping.abort();
      await done;
    },
  };
}

/** What the link knows between two messages. */
interface Own {
  readonly options: LinkOptions;
  readonly stopping: AbortController;
  readonly wake: Wake;
  /** Aborted to end the present session and begin another. */
  again: AbortController;
  windowMs: number;
  beatMs: number;
  connection: AgentConnection | undefined;
}

async function keepConnected(own: Own): Promise<void> {
  const { options, stopping } = own;
  let choice: TransportChoice = firstChoice;
  let failures = 0;
  while (!stopping.signal.aborted) {
    const name = options.transport === "auto" ? choice.current : options.transport;
    const streamDue = options.transport === "auto" ? dueIn(choice) : undefined;
    const { end, error, drainMs } = await holdSession(own, name, streamDue);
    if (stopping.signal.aborted) return;
    const isOnPurpose = own.again.signal.aborted;
    // A session that was ended here before a word was said says nothing about its transport.
    const said = isOnPurpose && end === "broken" ? "away" : end;
    choice = chooseTransport(choice, said, Date.now(), options.streamRetriesMs);
    if (isOnPurpose) continue;
    // Two agents with one identity take over from each other: without a pause that grows they would for ever.
    failures = end === "spoke" && !isSuperseded(error) ? 0 : failures + 1;
    // The other transport has not failed yet.
    if (options.transport === "auto" && choice.current !== name) failures = 1;
    const loss = { failures, windowMs: own.windowMs, isAway: isAway(error), askedMs: retryAfterOf(error) };
    const delayMs = drainMs ?? reconnectDelayMs(loss, [Math.random(), Math.random()]);
    const because = error === undefined ? "the server drains" : ConnectError.from(error).rawMessage;
    options.onState({ connected: false, transport: name, because, isRefused: isIdentityRefused(error) });
    options.log.info(
      { transport: name, because, delayMs },
      "link lost, detection goes on; will connect again",
    );
    // A new certificate is a reason to try at once.
    await sleep(delayMs, AbortSignal.any([stopping.signal, own.again.signal]));
  }
}

/** Two heartbeats of the server, and what a busy network may add. */
const usualSilenceMs = 45_000;

interface Held {
  readonly end: SessionEnd;
  readonly error: unknown;
  readonly drainMs: number | undefined;
}

/** One session from its first message to its end. */
async function holdSession(own: Own, name: TransportName, streamDueMs?: number): Promise<Held> {
  const { options, stopping } = own;
  const session = createSession(options.speaker, name);
  own.connection = connectAgent(options.endpoint(), name === "stream" ? "2" : "1.1");
  const { client, close } = own.connection;
  const again = new AbortController();
  own.again = again;
  const streamDue = streamDueMs === undefined ? undefined : setTimeout(() => again.abort(), streamDueMs);
  let spoke = false;
  let drainMs: number | undefined;
  const take = async (response: SyncResponse): Promise<boolean> => {
    if (!spoke) options.onState({ connected: true, transport: name, because: "", isRefused: false });
    spoke = true;
    if (response.tuning !== undefined) {
      own.beatMs = beatOf(response.tuning);
      own.windowMs = response.tuning.reconnectWindowMs || own.windowMs;
    }
    await options.take(response);
    if (response.drain !== undefined) drainMs = Math.min(response.drain.reconnectAfterMs, askedMsMax);
    return drainMs === undefined;
  };
  const { silenceMs = usualSilenceMs } = options;
  const ends = { signal: again.signal, leaving: stopping.signal };
  const talk = { session, wake: own.wake, heartbeatMs: () => own.beatMs, take, silenceMs, ...ends };
  try {
    await (name === "stream" ? speakOverStream(client, talk) : speakByLongPoll(client, talk));
    return { end: "spoke", error: undefined, drainMs };
  } catch (error) {
    return { end: endOf(error, spoke), error, drainMs };
  } finally {
    clearTimeout(streamDue);
    // A poll that was cut short may not have arrived, so the goodbye is a call of its own.
    if (stopping.signal.aborted && name === "long-poll") await sayGoodbye(client, session);
    own.connection = undefined;
    close();
  }
}

/** How long from now the stream is to be tried again; undefined while it is in use. */
function dueIn({ current, retryStreamAtMs }: TransportChoice): number | undefined {
  return current === "stream" ? undefined : Math.max(0, retryStreamAtMs - Date.now());
}

function isSuperseded(error: unknown): boolean {
  return error !== undefined && ConnectError.from(error).code === Code.Aborted;
}

const beatMsMin = 1_000;
const beatMsMax = 20_000;

/** Rates go with the heartbeats, so whichever is due first sets the beat. */
function beatOf({ heartbeatMs, reportMs }: Tuning): number {
  return Math.max(beatMsMin, Math.min(heartbeatMs || beatMsMax, reportMs || beatMsMax, beatMsMax));
}

const awayErrnos = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
]);

/** Whether the server, or what it cannot do without, is away. Ends of sessions that it chose itself are none of that. */
function isAway(error: unknown): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code === "string" && saysAway(code)) return true;
  }
  return error !== undefined && ConnectError.from(error).code === Code.Unavailable;
}

function endOf(error: unknown, spoke: boolean): SessionEnd {
  if (spoke) return "spoke";
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code !== "string") continue;
    // The system's own word counts before the one that Connect makes of it: a TLS alert comes as "aborted".
    return awayErrnos.has(code) ? "away" : "broken";
  }
  // A refusal in words came through the transport, so the transport works. So did one that says when to come back.
  if (retryAfterOf(error) !== undefined) return "away";
  const code = ConnectError.from(error).code;
  const refused = [
    Code.Unauthenticated,
    Code.PermissionDenied,
    Code.ResourceExhausted,
    Code.Aborted,
    Code.FailedPrecondition,
  ];
  return refused.includes(code) ? "away" : "broken";
}

async function sayGoodbye(client: AgentConnection["client"], session: Session): Promise<void> {
  try {
    await client.sync(session.next({ goodbye: true }), { signal: AbortSignal.timeout(goodbyeMs) });
  } catch {
    // The server learns it from the silence instead.
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
