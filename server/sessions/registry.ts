import type { Ending, Mailbox } from "./mailbox.ts";

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

/** The live sessions of this server. Nothing here waits: a broadcast marks mailboxes and returns. */
export interface Registry {
  /** Registers a session and ends the one it replaces. False when a newer session of the agent is here already. */
  add(session: LiveSession): boolean;
  remove(session: LiveSession): void;
  /** Lets a stream hear of a drain and of its end from its first moment, before it has said hello. Call the answer when it ends. */
  arrive(arrival: Arrival): () => void;
  /** Ends the session of an agent that is older than this epoch. */
  supersede(agentId: string, epoch: bigint): void;
  /** Makes the sessions of these clusters look again. */
  wake(clusterIds: Iterable<string>): void;
  wakeAll(): void;
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

/** `random` is uniform in [0, 1). */
export function createRegistry(random: () => number = Math.random): Registry {
  const { byAgent, byCluster, put, remove } = createIndex();
  const arrived = new Set<Arrival>();
  let drainMs: number | undefined;

  function endForDrain({ mailbox }: Pick<LiveSession, "mailbox">): void {
    mailbox.end({ kind: "drain", reconnectAfterMs: Math.round(random() * (drainMs ?? 0)) });
  }
  function add(session: LiveSession): boolean {
    const before = byAgent.get(session.agentId);
    if (before !== undefined && before.epoch > session.epoch) return false;
    if (before !== undefined) endReplaced(before, session);
    if (before !== undefined) remove(before);
    put(session);
    if (drainMs !== undefined) endForDrain(session);
    return true;
  }
  return {
    add,
    remove,
    arrive: (arrival) => {
      arrived.add(arrival);
      if (drainMs !== undefined) endForDrain(arrival);
      return () => arrived.delete(arrival);
    },
    supersede: (agentId, epoch) => {
      const session = byAgent.get(agentId);
      if (session !== undefined && session.epoch < epoch) session.mailbox.end({ kind: "superseded" });
    },
    wake: (clusterIds) => {
      for (const id of clusterIds) for (const session of byCluster.get(id) ?? []) session.mailbox.mark();
    },
    wakeAll: () => byAgent.forEach((session) => session.mailbox.mark()),
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
  };
}
