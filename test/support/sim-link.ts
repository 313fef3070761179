import { createClient, type Client } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport } from "@connectrpc/connect-node";
import { Http2Connection } from "#wire";
import { Agent } from "node:https";
import { AgentService, type SyncRequest, type SyncResponse } from "#proto/agent/v1/agent";

export type SimTransport = "stream" | "long-poll";

/** Where a simulated agent connects to and with what, in PEM. */
export interface SimAddress {
  readonly baseUrl: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/**
 * A connection of its own to the server, by mTLS. Both transports behave the same: a message is answered, and what the
 * server says by itself is heard.
 */
export interface SimLink {
  readonly client: Client<typeof AgentService>;
  /** Says something and gives the answer to it. */
  say(request: SyncRequest): Promise<SyncResponse>;
  /** Says something without waiting for an answer. On a stream only: a long poll is nothing but its answer. */
  tell(request: SyncRequest): void;
  /** What the server says next by itself. `ask` makes the message that a long poll asks with. */
  hear(ask: (waitMs: number) => SyncRequest): Promise<SyncResponse>;
  /** Lets go of the connection without a word, as a process that is killed. */
  close(): Promise<void>;
}

export function openLink(transport: SimTransport, address: SimAddress): SimLink {
  return transport === "stream" ? openStream(address) : openLongPoll(address);
}

function openLongPoll({ baseUrl, ...tls }: SimAddress): SimLink {
  const agent = new Agent({ ...tls, keepAlive: true });
  const nodeOptions = { ...tls, agent };
  const client = createClient(
    AgentService,
    createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions, acceptCompression: [] }),
  );
  const gone = new AbortController();
  const options = { signal: gone.signal };
  return {
    client,
    say: (request) => client.sync(request, options),
    tell: () => {
      throw new Error("A long poll cannot speak without waiting for the answer");
    },
    hear: (ask) => client.sync(ask(60_000), options),
    close: () => {
      gone.abort();
      agent.destroy();
      return Promise.resolve();
    },
  };
}

function openStream({ baseUrl, ...tls }: SimAddress): SimLink {
  const manager = new Http2Connection(baseUrl, undefined, tls);
  const client = createClient(
    AgentService,
    createConnectTransport({
      baseUrl,
      httpVersion: "2",
      sessionManager: manager,
      acceptCompression: [compressionGzip],
    }),
  );
  const gone = new AbortController();
  const outbox = createOutbox();
  let responses: AsyncIterator<SyncResponse> | undefined;
  async function next(): Promise<SyncResponse> {
    const result = await responses?.next();
    if (result === undefined || result.done === true) throw new Error("The server ended the stream");
    return result.value;
  }
  function tell(request: SyncRequest): void {
    outbox.put(request);
    responses ??= client.connect(outbox.messages, { signal: gone.signal })[Symbol.asyncIterator]();
  }
  return {
    client,
    tell,
    say: (request) => {
      tell(request);
      return next();
    },
    hear: next,
    close: () => {
      gone.abort();
      outbox.end();
      manager.abort();
      return Promise.resolve();
    },
  };
}

interface Outbox {
  readonly messages: AsyncIterable<SyncRequest>;
  put(request: SyncRequest): void;
  end(): void;
}

function createOutbox(): Outbox {
  const waiting: SyncRequest[] = [];
  const ended = new AbortController();
  let wake: (() => void) | undefined;
  async function* messages(): AsyncGenerator<SyncRequest> {
    while (!ended.signal.aborted) {
      const request = waiting.shift();
      if (request !== undefined) yield request;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  return {
    messages: messages(),
    put: (request) => {
      waiting.push(request);
      wake?.();
    },
    end: () => {
      ended.abort();
      wake?.();
    },
  };
}
