import type { SyncRequest, SyncResponse } from "#proto/agent/v1/agent";
import type { Drain } from "#proto/agent/v1/agent";

import { answer, handleSync, retired, superseded, type Synced } from "../../sessions/handle-sync.ts";
import { createMailbox, type Mailbox } from "../../sessions/mailbox.ts";
import { waitMsMax } from "../../sessions/read-request.ts";
import type { Session, SyncCaller } from "../../sessions/session.ts";
import type { SessionPorts } from "../../sessions/sessions.ts";
import { isDatabaseAway } from "../../store/pool.ts";
import { orRefuse } from "../refusals.ts";

/** One call of a session by long poll: takes the message in at once, and holds the answer back until it says something. */
export async function sync(
  ports: SessionPorts,
  caller: SyncCaller,
  request: SyncRequest,
  signal: AbortSignal,
): Promise<SyncResponse> {
  ports.desired.hold(caller.clusterId);
  try {
    // A draining server takes the message and lets go of the caller; the next call finds another one.
    const synced = orRefuse(await handleSync(ports, caller, undefined, request));
    const { session } = synced;
    if (session !== undefined) ports.registry.supersede(caller.agentId, session.epoch);
    if (session === undefined || synced.isNews || request.waitMs === 0 || request.goodbye) {
      return synced.response;
    }
    return await waitForNews(ports, session, synced, Math.min(request.waitMs, waitMsMax), signal);
  } catch (error) {
    // The agent begins another session for it.
    if (isDatabaseAway(error)) ports.run.lost();
    throw error;
  } finally {
    ports.desired.release(caller.clusterId);
  }
}

async function waitForNews(
  ports: SessionPorts,
  session: Session,
  synced: Synced,
  waitMs: number,
  signal: AbortSignal,
): Promise<SyncResponse> {
  const { agentId, clusterId } = session.caller;
  const mailbox = createMailbox();
  const live = { agentId, clusterId, sessionId: session.sessionId, epoch: session.epoch, mailbox };
  if (!ports.registry.add(live)) throw superseded();
  // What changed between reading the desired state and registering is looked at once more.
  mailbox.mark();
  const finish = () => {
    mailbox.end({ kind: "repeated" });
  };
  const timer = setTimeout(finish, waitMs);
  signal.addEventListener("abort", finish, { once: true });
  try {
    return await lookUntilEnded(ports, session, synced, mailbox);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", finish);
    ports.registry.remove(live);
    ports.presence.note({ agentId, sessionId: session.sessionId, epoch: session.epoch });
  }
}

async function lookUntilEnded(
  ports: SessionPorts,
  session: Session,
  synced: Synced,
  mailbox: Mailbox,
): Promise<SyncResponse> {
  for (;;) {
    await mailbox.wait();
    if (mailbox.ending !== undefined) return lastWord(synced.response, mailbox.ending);
    if (!mailbox.take()) continue;
    const now = await answer(ports, session);
    if (now.isNews) return now.response;
    ports.registry.took(session.caller.agentId);
  }
}

function lastWord(response: SyncResponse, ending: NonNullable<Mailbox["ending"]>): SyncResponse {
  switch (ending.kind) {
    case "superseded":
      throw superseded();
    case "revoked":
      throw retired();
    case "silent":
    case "repeated":
      return response;
    case "drain": {
      const drain: Drain = { $typeName: "agent.v1.Drain", reconnectAfterMs: ending.reconnectAfterMs };
      return { ...response, drain };
    }
  }
}
