import type { Client } from "@connectrpc/connect";
import type { AgentService, SyncRequest, SyncResponse } from "#proto/agent/v1/agent";
import type { Session } from "./session.ts";
import type { Wake } from "./wake.ts";

/** What both transports need besides their client. */
export interface Conversation {
  readonly session: Session;
  readonly wake: Wake;
  readonly heartbeatMs: () => number;
  /** Takes an answer in; answers are handed over one after another. Returns false to end the session. */
  take(response: SyncResponse): Promise<boolean>;
  readonly signal: AbortSignal;
}

/** A server that stays silent for longer than this is gone, whatever TCP says. */
export const silenceMs = 45_000;

/**
 * Speaks over one bidirectional stream until it ends. Resolves when the session was ended on purpose; rejects with what
 * broke it.
 */
export async function speakOverStream(
  client: Client<typeof AgentService>,
  talk: Conversation,
): Promise<void> {
  const over = new AbortController();
  const signal = AbortSignal.any([talk.signal, over.signal]);
  let silence = setTimeout(() => over.abort(silent()), silenceMs);
  try {
    for await (const response of client.connect(messages(talk, signal), { signal })) {
      clearTimeout(silence);
      silence = setTimeout(() => over.abort(silent()), silenceMs);
      talk.session.acknowledge(response);
      if (!(await talk.take(response))) return;
      if (response.needHello) talk.wake.ring();
    }
    throw new Error("The server closed the stream");
  } finally {
    clearTimeout(silence);
    over.abort();
  }
}

async function* messages(talk: Conversation, signal: AbortSignal): AsyncIterable<SyncRequest> {
  yield talk.session.next();
  while (!signal.aborted) {
    await talk.wake.wait(talk.heartbeatMs(), signal);
    if (signal.aborted) return;
    yield talk.session.next();
  }
}

function silent(): Error {
  return new Error(`The server did not say anything for ${silenceMs / 1000} s`);
}
