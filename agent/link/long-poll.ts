import { Code, ConnectError } from "@connectrpc/connect";
import type { Client } from "@connectrpc/connect";
import type { AgentService } from "#proto/agent/v1/agent";
import type { Conversation } from "./stream.ts";

/**
 * Speaks by long polls until the session ends. News of the agent cut a waiting poll short: what it would have answered
 * is desired state, so the next poll answers it again.
 */
export async function speakByLongPoll(
  client: Client<typeof AgentService>,
  talk: Conversation,
): Promise<void> {
  let hellosAsked = 0;
  const ends = AbortSignal.any([talk.signal, talk.leaving]);
  while (!ends.aborted) {
    const waitMs = talk.session.hasNews() ? 0 : talk.heartbeatMs();
    const request = talk.session.next({ waitMs });
    const cut = new AbortController();
    const signal = AbortSignal.any([ends, cut.signal, AbortSignal.timeout(waitMs + talk.silenceMs)]);
    const answered = new AbortController();
    const news = waitMs === 0 ? undefined : cutOnNews(talk, cut, AbortSignal.any([ends, answered.signal]));
    try {
      const response = await client.sync(request, { signal });
      if (response.needHello && (hellosAsked += 1) > hellosAskedMax) throw forgotten();
      talk.session.acknowledge(response);
      if (!(await talk.take(response))) return;
    } catch (error) {
      if (!cut.signal.aborted || ends.aborted) throw error;
    } finally {
      answered.abort();
      await news;
    }
  }
}

const hellosAskedMax = 3;

/** Two agents with one identity would say hello in turns for ever, each as fast as the server answers. */
function forgotten(): ConnectError {
  const why = "The server asked for a hello again and again: another agent may use this identity";
  return new ConnectError(why, Code.Aborted);
}

async function cutOnNews(talk: Conversation, cut: AbortController, over: AbortSignal): Promise<void> {
  await talk.wake.wait(talk.heartbeatMs(), over);
  if (!over.aborted && talk.session.hasNews()) cut.abort();
}
