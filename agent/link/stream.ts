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
  /** A server that stays silent for longer than this is gone, whatever TCP says. */
  readonly silenceMs: number;
  /** Ends the session at once. */
  readonly signal: AbortSignal;
  /** Ends it with a goodbye: the agent stops. */
  readonly leaving: AbortSignal;
}

/** Whoever stops an agent waits so long for its goodbye at most. */
export const goodbyeMs = 2_000;

/**
 * Speaks over one bidirectional stream until it ends. Resolves when the session was ended on purpose; rejects with what
 * broke it. An agent that leaves says goodbye and takes nothing in any more; the server ends the stream then.
 */
export async function speakOverStream(
  client: Client<typeof AgentService>,
  talk: Conversation,
): Promise<void> {
  const over = new AbortController();
  const signal = AbortSignal.any([talk.signal, over.signal]);
  const gone = () => {
    over.abort(new Error(`The server did not say anything for ${talk.silenceMs / 1000} s`));
  };
  let silence = setTimeout(gone, talk.silenceMs);
  const leave = () => {
    clearTimeout(silence);
    silence = setTimeout(gone, goodbyeMs);
  };
  if (talk.leaving.aborted) leave();
  else talk.leaving.addEventListener("abort", leave, { once: true });
  try {
    for await (const response of client.connect(messages(talk, signal), { signal })) {
      talk.session.acknowledge(response);
      if (talk.leaving.aborted) continue;
      clearTimeout(silence);
      silence = setTimeout(gone, talk.silenceMs);
      if (!(await talk.take(response))) return;
      if (response.needHello) talk.wake.ring();
    }
    if (!talk.leaving.aborted) throw new Error("The server closed the stream");
  } finally {
    clearTimeout(silence);
    talk.leaving.removeEventListener("abort", leave);
    over.abort();
  }
}

async function* messages(talk: Conversation, signal: AbortSignal): AsyncIterable<SyncRequest> {
  yield talk.session.next();
  const ends = AbortSignal.any([signal, talk.leaving]);
  while (!ends.aborted) {
    await talk.wake.wait(talk.heartbeatMs(), ends);
    if (!ends.aborted) yield talk.session.next();
  }
  if (!signal.aborted) yield talk.session.next({ goodbye: true });
}
