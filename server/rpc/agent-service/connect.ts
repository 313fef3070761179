import { setTimeout as delay } from "node:timers/promises";

import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { SyncResponseSchema, type SyncRequest, type SyncResponse } from "#proto/agent/v1/agent";

import {
  answer,
  handleSync,
  retired,
  superseded,
  type Session,
  type SyncCaller,
} from "../../sessions/handle-sync.ts";
import { createMailbox, type Ending, type Mailbox } from "../../sessions/mailbox.ts";
import type { LiveSession } from "../../sessions/registry.ts";
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
  const messages = requests[Symbol.asyncIterator]();
  try {
    let next = nextOf(messages);
    for (;;) {
      const came = await Promise.race([next, stream.mailbox.wait()]);
      const { ending } = stream.mailbox;
      if (ending !== undefined) {
        if (ending.kind === "drain") yield* deliver(ports, line, stream.farewell(ending.reconnectAfterMs));
        throw endingError(ending);
      }
      if (came !== undefined && came.done === true) return;
      if (came !== undefined) next = nextOf(messages);
      const response = came === undefined ? await stream.look() : await stream.take(came.value);
      if (response !== undefined) yield* deliver(ports, line, response);
      if (came?.value.goodbye === true) return;
    }
  } finally {
    stream.close();
  }
}

function nextOf(messages: AsyncIterator<SyncRequest>): Promise<IteratorResult<SyncRequest, undefined>> {
  const next = messages.next();
  // Whoever awaits it hears of a failure; when the stream ends first, nobody does, and that is right.
  next.catch(() => {});
  return next;
}

/** Hands a message over, and cuts the connection when the other end does not take it in time. */
async function* deliver(
  ports: SessionPorts,
  line: Line,
  response: SyncResponse,
): AsyncGenerator<SyncResponse> {
  const timer = setTimeout(() => {
    ports.log.info("closed a stream that took no message for too long");
    line.cut();
  }, ports.tuning.stallMs);
  const stop = () => {
    clearTimeout(timer);
  };
  line.signal.addEventListener("abort", stop, { once: true });
  try {
    yield response;
  } finally {
    stop();
    line.signal.removeEventListener("abort", stop);
  }
}

interface Stream {
  readonly mailbox: Mailbox;
  take(request: SyncRequest): Promise<SyncResponse | undefined>;
  /** What changed since the agent was last told, if anything. */
  look(): Promise<SyncResponse | undefined>;
  farewell(reconnectAfterMs: number): SyncResponse;
  close(): void;
}

function openStream(ports: SessionPorts, caller: SyncCaller, line: Line): Stream {
  const mailbox = createMailbox();
  const clocks = startClocks(ports, mailbox);
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
    if (session === undefined && request.hello === undefined) return askHello(ports, 0n);
    const synced = orRefuse(await handleSync(ports, caller, session, request));
    const begun = synced.session === session ? undefined : synced.session;
    session = synced.session;
    if (begun !== undefined && !isClosed) enter(begun);
    return synced.response;
  }
  return {
    mailbox,
    close,
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
    farewell: (reconnectAfterMs) =>
      create(SyncResponseSchema, {
        ackSequence: session?.sequence ?? 0n,
        drain: { reconnectAfterMs },
        serverTime: timestampFromDate(ports.clock()),
      }),
  };
}

/** Ends the mailbox when nothing is heard for too long, and when the stream has grown old. */
function startClocks(ports: SessionPorts, mailbox: Mailbox): { heard(): void; stop(): void } {
  const { silentMs, streamAgeMs, reconnectWindowMs } = ports.tuning;
  const endSilent = () => {
    mailbox.end({ kind: "silent" });
  };
  const endAged = () => {
    mailbox.end({ kind: "drain", reconnectAfterMs: Math.round(ports.random() * reconnectWindowMs) });
  };
  let silence = setTimeout(endSilent, silentMs);
  const age = setTimeout(endAged, streamAgeMs * (1 + ports.random() / 2));
  return {
    heard: () => {
      clearTimeout(silence);
      silence = setTimeout(endSilent, silentMs);
    },
    stop: () => {
      clearTimeout(silence);
      clearTimeout(age);
    },
  };
}

function noteEnd(ports: SessionPorts, session: Session): void {
  const { sessionId, epoch, caller } = session;
  endSession(ports.db, { sessionId, epoch, agentId: caller.agentId }, ports.clock()).catch(
    (error: unknown) => {
      ports.log.debug({ err: error }, "could not note the end of a session");
    },
  );
}

async function lookAgain(ports: SessionPorts, session: Session): Promise<SyncResponse | undefined> {
  try {
    const synced = await answer(ports, session);
    return synced.isNews ? synced.response : undefined;
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
