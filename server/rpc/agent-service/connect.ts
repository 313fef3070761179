import { setTimeout as delay } from "node:timers/promises";

import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { SyncResponseSchema, type SyncRequest, type SyncResponse } from "#proto/agent/v1/agent";

import { answer, handleSync, retired, superseded } from "../../sessions/handle-sync.ts";
import { createMailbox, type Ending, type Mailbox } from "../../sessions/mailbox.ts";
import type { LiveSession } from "../../sessions/registry.ts";
import type { Session, SyncCaller } from "../../sessions/session.ts";
import type { SessionPorts } from "../../sessions/sessions.ts";
import { endSession } from "../../store/sessions.ts";
import { isDatabaseAway } from "../../store/pool.ts";
import { orRefuse } from "../refusals.ts";

/** How the call stands with the connection it came over. */
export interface Line {
  /** Aborted when the other end has gone. */
  readonly signal: AbortSignal;
  readonly cut: () => void;
}

/** While the database is away, an answer is held back this long, so that agents do not ask in circles. */
const databaseAwayMs = 2_000;

/**
 * Speaks with one agent over a stream until one of them ends it. Answers each message, and speaks by itself when the
 * mailbox is marked; what is said is read when it is said.
 */
export async function* connect(
  ports: SessionPorts,
  caller: SyncCaller,
  requests: AsyncIterable<SyncRequest>,
  line: Line,
): AsyncGenerator<SyncResponse> {
  const stream = openStream(ports, caller, line);
  try {
    const inbox = hear(requests, stream.mailbox);
    for (;;) {
      if (!inbox.isThere) await stream.mailbox.wait();
      const { ending } = stream.mailbox;
      if (ending?.kind === "drain") {
        stream.clocks.handing();
        yield stream.farewell(ending.reconnectAfterMs);
      }
      if (ending !== undefined) throw endingError(ending);
      const came = inbox.take();
      if (came?.done === true) return;
      const response = came === undefined ? await stream.look() : await stream.take(came.value);
      if (response !== undefined) {
        stream.clocks.handing();
        yield response;
        stream.clocks.handed();
      }
      if (came?.value.goodbye === true) return;
    }
  } finally {
    stream.close();
  }
}

/** The messages of an agent, of which one at a time is read ahead. */
interface Inbox {
  readonly isThere: boolean;
  /** What has come, if anything. Throws what broke the messages off. */
  take(): IteratorResult<SyncRequest, undefined> | undefined;
}

/**
 * Stirs the mailbox when a message has come. Nothing here may wait for the next message and the mailbox with `Promise.race`: what is raced
 * against a mailbox that rests for hours keeps every message until then.
 */
function hear(requests: AsyncIterable<SyncRequest>, mailbox: Mailbox): Inbox {
  const messages = requests[Symbol.asyncIterator]();
  let came: IteratorResult<SyncRequest, undefined> | undefined;
  let failure: { readonly error: unknown } | undefined;

  function ask(): void {
    came = undefined;
    messages.next().then(
      (result) => {
        came = result;
        mailbox.stir();
      },
      (error: unknown) => {
        failure = { error };
        mailbox.stir();
      },
    );
  }
  ask();
  return {
    get isThere() {
      return came !== undefined || failure !== undefined;
    },
    take: () => {
      if (failure !== undefined) throw failure.error;
      const taken = came;
      if (taken !== undefined && taken.done !== true) ask();
      return taken;
    },
  };
}

interface Stream {
  readonly mailbox: Mailbox;
  take(request: SyncRequest): Promise<SyncResponse | undefined>;
  /** What changed since the agent was last told, if anything. */
  look(): Promise<SyncResponse | undefined>;
  farewell(reconnectAfterMs: number): SyncResponse;
  readonly clocks: Pick<Clocks, "handing" | "handed">;
  close(): void;
}

function openStream(ports: SessionPorts, caller: SyncCaller, line: Line): Stream {
  const mailbox = createMailbox();
  const clocks = startClocks(ports, mailbox, line);
  let session: Session | undefined;
  let live: LiveSession | undefined;
  let isClosed = false;
  ports.desired.hold(caller.clusterId);
  const depart = ports.registry.arrive({ agentId: caller.agentId, clusterId: caller.clusterId, mailbox });
  // The generator may hang in a write that never ends, so closing does not depend on it.
  line.signal.addEventListener("abort", close, { once: true });

  function leave(): void {
    if (live !== undefined) ports.registry.remove(live);
    live = undefined;
  }
  function close(): void {
    if (isClosed) return;
    isClosed = true;
    clocks.stop();
    depart();
    leave();
    ports.desired.release(caller.clusterId);
    if (session !== undefined) noteEnd(ports, session);
  }
  /** Enters the registry with a session that has just said hello. */
  function enter({ sessionId, epoch }: Session): void {
    leave();
    live = { agentId: caller.agentId, clusterId: caller.clusterId, sessionId, epoch, mailbox };
    if (!ports.registry.add(live)) throw superseded();
    // What changed between reading the desired state and registering is looked at once more.
    mailbox.mark();
  }
  async function takeIn(request: SyncRequest): Promise<SyncResponse> {
    const { hello, goodbye } = request;
    if (session === undefined && hello === undefined && !goodbye) return askHello(ports, 0n);
    const synced = orRefuse(await handleSync(ports, caller, session, request));
    const begun = synced.session === session ? undefined : synced.session;
    session = synced.session;
    if (begun !== undefined && !isClosed && !goodbye) enter(begun);
    notePace(ports, caller, request, synced.response);
    return synced.response;
  }
  return {
    mailbox,
    close,
    clocks,
    take: async (request) => {
      clocks.heard();
      try {
        return await takeIn(request);
      } catch (error) {
        if (!isDatabaseAway(error)) throw error;
        // The stream stays: when the database is back, the agent says everything again.
        ports.log.warn({ err: error }, "database away, an agent has to repeat its message");
        await delay(databaseAwayMs * (0.5 + ports.random()), undefined, { signal: line.signal });
        return askHello(ports, session?.sequence ?? 0n);
      }
    },
    look: () =>
      mailbox.take() && session !== undefined ? lookAgain(ports, session) : Promise.resolve(undefined),
    farewell: (reconnectAfterMs) => sendAway(ports, session?.sequence ?? 0n, reconnectAfterMs),
  };
}

/** Whether an agent has something to take still, or has taken it. */
function notePace(
  { registry }: Pick<SessionPorts, "registry">,
  { agentId }: SyncCaller,
  { report }: SyncRequest,
  { assignment }: SyncResponse,
): void {
  if (assignment !== undefined) registry.told(agentId);
  else if (report.length > 0) registry.took(agentId);
}

interface Clocks {
  heard(): void;
  /** A message is handed over: the connection is cut when it is not taken in time. */
  handing(): void;
  handed(): void;
  stop(): void;
}

/** Ends the mailbox when nothing is heard for too long, and when the stream has grown old; cuts who takes no message. */
function startClocks(ports: SessionPorts, mailbox: Mailbox, line: Line): Clocks {
  const { silentMs, stallMs, streamAgeMs, reconnectWindowMs } = ports.tuning;
  const endAged = () => {
    mailbox.end({ kind: "drain", reconnectAfterMs: Math.round(ports.random() * reconnectWindowMs) });
  };
  const cutStalled = () => {
    ports.log.info("closed a stream that took no message for too long");
    line.cut();
  };
  const silence = setTimeout(() => mailbox.end({ kind: "silent" }), silentMs);
  const age = setTimeout(endAged, streamAgeMs * (1 + ports.random() / 2));
  let stall: NodeJS.Timeout | undefined;
  let isStopped = false;
  return {
    heard: () => {
      if (!isStopped) silence.refresh();
    },
    handing: () => {
      if (!isStopped) stall = setTimeout(cutStalled, stallMs);
    },
    handed: () => clearTimeout(stall),
    stop: () => {
      isStopped = true;
      for (const timer of [silence, age, stall]) clearTimeout(timer);
    },
  };
}

function noteEnd(ports: SessionPorts, session: Session): void {
  const { sessionId, epoch, caller } = session;
  const ended = { sessionId, epoch, agentId: caller.agentId };
  endSession(ports.db, ended, ports.clock()).catch((error: unknown) => {
    ports.log.debug({ err: error }, "could not note the end of a session");
  });
}

async function lookAgain(ports: SessionPorts, session: Session): Promise<SyncResponse | undefined> {
  try {
    const { isNews, response } = await answer(ports, session);
    // Who has something to fetch, to check and to prove is waited for.
    if (response.assignment === undefined) ports.registry.took(session.caller.agentId);
    return isNews ? response : undefined;
  } catch (error) {
    if (!isDatabaseAway(error)) throw error;
    ports.log.warn({ err: error }, "database away, an agent hears of a change with its next message");
    return undefined;
  }
}

function askHello(ports: SessionPorts, ackSequence: bigint): SyncResponse {
  const serverTime = timestampFromDate(ports.clock());
  return create(SyncResponseSchema, { ackSequence, needHello: true, serverTime });
}

function sendAway(ports: SessionPorts, ackSequence: bigint, reconnectAfterMs: number): SyncResponse {
  const serverTime = timestampFromDate(ports.clock());
  return create(SyncResponseSchema, { ackSequence, drain: { reconnectAfterMs }, serverTime });
}

/** What a stream ends with when this side ends it. */
function endingError(ending: Ending): ConnectError {
  switch (ending.kind) {
    case "superseded":
    case "repeated":
      return superseded();
    case "revoked":
      return retired();
    case "silent":
      return new ConnectError("Nothing was heard for three heartbeats: connect again", Code.Unavailable);
    case "drain":
      return new ConnectError(
        "The server lets go of this stream: come back after the time it said",
        Code.Unavailable,
      );
  }
}
