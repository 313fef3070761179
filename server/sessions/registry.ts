import type { Ending, Mailbox } from "./mailbox.ts";
import { createPace, type Pace } from "./pace.ts";

/** A session that speaks with this server right now. */
export interface LiveSession {
  readonly agentId: string;
  readonly clusterId: string;
  readonly sessionId: string;
  readonly epoch: bigint;
  readonly mailbox: Mailbox;
}

/** A stream that has begun, with who its certificate says it is. */
export interface Arrival {
  readonly agentId: string;
  readonly clusterId: string;
  readonly mailbox: Mailbox;
}

/** Makes sessions look again: some at once, and of many each in its turn. */
export interface Waking {
  readonly wake: (clusterIds: Iterable<string>) => void;
  readonly wakeAll: () => void;
  /** An agent was given an assignment in answer to what it said, which may be before its turn. */
  readonly told: (agentId: string) => void;
  /** An agent has taken what it was woken for, or there was nothing: the next one has its turn. */
  readonly took: (agentId: string) => void;
  /** Sessions whose turn to look has not come. Each is there once, so they are no more than there are sessions. */
  readonly waiting: number;
}

/** The live sessions of this server. Nothing here waits: a broadcast marks mailboxes, some now and some in their turn, and returns. */
export interface Registry extends Waking {
  /** Registers a session and ends the one it replaces. False when a newer session of the agent is here already. */
  add(session: LiveSession): boolean;
  remove(session: LiveSession): void;
  /** Lets a stream hear of a drain and of its end from its first moment, before it has said hello. Call the answer when it ends. */
  arrive(arrival: Arrival): () => void;
  /** Ends the session of an agent that is older than this epoch. */
  supersede(agentId: string, epoch: bigint): void;
  /** Ends the session of an agent if it is still this one. */
  end(agentId: string, sessionId: string, ending: Ending): void;
  /** Ends whatever speaks for an agent, or for any agent of a cluster, with or without a hello. */
  endAgent(agentId: string, ending: Ending): void;
  endCluster(clusterId: string, ending: Ending): void;
  /** Sends everybody away, each after its own part of the window, so that they do not come back all at once. */
  drain(windowMs: number): void;
  readonly isDraining: boolean;
  readonly size: number;
}

/** Sessions by agent and by cluster. */
type Index = ReturnType<typeof createIndex>;

function createIndex() {
  const byAgent = new Map<string, LiveSession>();
  const byCluster = new Map<string, Set<LiveSession>>();
  return {
    byAgent,
    byCluster,
    put: (session: LiveSession) => {
      byAgent.set(session.agentId, session);
      const siblings = byCluster.get(session.clusterId) ?? new Set();
      byCluster.set(session.clusterId, siblings.add(session));
    },
    remove: (session: LiveSession) => {
      if (byAgent.get(session.agentId) === session) byAgent.delete(session.agentId);
      const siblings = byCluster.get(session.clusterId);
      siblings?.delete(session);
      if (siblings?.size === 0) byCluster.delete(session.clusterId);
    },
  };
}

function endReplaced(before: LiveSession, { mailbox, sessionId }: LiveSession): void {
  if (before.mailbox === mailbox) return;
  before.mailbox.end({ kind: before.sessionId === sessionId ? "repeated" : "superseded" });
}

function endThose(all: Iterable<Arrival>, which: (arrival: Arrival) => boolean, ending: Ending): void {
  for (const each of all) {
    if (which(each)) each.mailbox.end(ending);
  }
}

/**
 * Sessions that were woken and have not taken what they were woken for. Enough to keep a server and its database busy, and few enough
 * that what is under way for them is over while it is young: see decision 0086.
 */
const wokenMax = 256;
/** An agent that has more to do than this, or does nothing, no longer holds up those that wait. */
const wokenMsMax = 1_000;

function createWaking({ byAgent, byCluster }: Index): Waking & Pick<Pace<LiveSession>, "forget"> {
  const pace = createPace<LiveSession>({
    most: wokenMax,
    msMax: wokenMsMax,
    tell: ({ mailbox }) => mailbox.mark(),
  });
  return {
    wake: (clusterIds) => {
      pace.add([...clusterIds].flatMap((id) => [...(byCluster.get(id) ?? [])]));
    },
    wakeAll: () => pace.add(byAgent.values()),
    told: (agentId) => {
      const session = byAgent.get(agentId);
      if (session !== undefined) pace.told(session);
    },
    took: (agentId) => {
      const session = byAgent.get(agentId);
      if (session !== undefined) pace.done(session);
    },
    forget: pace.forget,
    get waiting() {
      return pace.waiting;
    },
  };
}

function createEndings(
  { byAgent, byCluster }: Index,
  arrived: Iterable<Arrival>,
): Pick<Registry, "supersede" | "end" | "endAgent" | "endCluster"> {
  return {
    supersede: (agentId, epoch) => {
      const session = byAgent.get(agentId);
      if (session !== undefined && session.epoch < epoch) session.mailbox.end({ kind: "superseded" });
    },
    end: (agentId, sessionId, ending) => {
      const session = byAgent.get(agentId);
      if (session?.sessionId === sessionId) session.mailbox.end(ending);
    },
    endAgent: (agentId, ending) => {
      byAgent.get(agentId)?.mailbox.end(ending);
      endThose(arrived, (arrival) => arrival.agentId === agentId, ending);
    },
    endCluster: (clusterId, ending) => {
      endThose(
        [...(byCluster.get(clusterId) ?? []), ...arrived],
        (each) => each.clusterId === clusterId,
        ending,
      );
    },
  };
}

/** `random` is uniform in [0, 1). */
export function createRegistry(random: () => number = Math.random): Registry {
  const index = createIndex();
  const { byAgent, put } = index;
  const arrived = new Set<Arrival>();
  const waking = createWaking(index);
  let drainMs: number | undefined;

  function endForDrain({ mailbox }: Pick<LiveSession, "mailbox">): void {
    mailbox.end({ kind: "drain", reconnectAfterMs: Math.round(random() * (drainMs ?? 0)) });
  }
  function forget(session: LiveSession): void {
    index.remove(session);
    waking.forget(session);
  }
  function add(session: LiveSession): boolean {
    const before = byAgent.get(session.agentId);
    if (before !== undefined && before.epoch > session.epoch) return false;
    if (before !== undefined) endReplaced(before, session);
    if (before !== undefined) forget(before);
    put(session);
    if (drainMs !== undefined) endForDrain(session);
    return true;
  }
  return {
    wake: waking.wake,
    wakeAll: waking.wakeAll,
    told: waking.told,
    took: waking.took,
    ...createEndings(index, arrived),
    add,
    remove: forget,
    arrive: (arrival) => {
      arrived.add(arrival);
      if (drainMs !== undefined) endForDrain(arrival);
      return () => arrived.delete(arrival);
    },
    drain: (windowMs) => {
      drainMs = windowMs;
      for (const each of [...byAgent.values(), ...arrived]) endForDrain(each);
    },
    get isDraining() {
      return drainMs !== undefined;
    },
    get size() {
      return byAgent.size;
    },
    get waiting() {
      return waking.waiting;
    },
  };
}
