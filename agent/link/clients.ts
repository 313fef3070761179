import { Agent } from "node:https";
import { createClient } from "@connectrpc/connect";
import type { Client } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport } from "@connectrpc/connect-node";
import { Http2Connection } from "#wire";
import { AgentService } from "#proto/agent/v1/agent";
import { EnrollmentService } from "#proto/agent/v1/enrollment";

/** What a connection to the server needs; without `cert` and `key` only Enroll is answered. */
export interface Endpoint {
  /** https://host:port */
  readonly url: string;
  readonly ca: readonly string[];
  readonly cert?: string;
  readonly key?: string;
}

/** The largest answer that an agent reads, also when it comes compressed; metadata is bounded to 1 MiB by its verifier, blobs come in chunks. */
const readMaxBytes = 8 * 1024 * 1024;

/** A client and the one connection (or, on HTTP/1.1, the small pool) behind it. */
export interface AgentConnection {
  readonly client: Client<typeof AgentService>;
  readonly close: () => void;
}

export function connectAgent(endpoint: Endpoint, httpVersion: "2" | "1.1"): AgentConnection {
  const common = { baseUrl: endpoint.url, readMaxBytes };
  if (httpVersion === "2") {
    // HTTP/2 pings find a dead hop; the heartbeats of the protocol find a dead server behind a live proxy.
    const pings = { pingIntervalMs: 20_000, pingTimeoutMs: 10_000 };
    const sessionManager = new Http2Connection(endpoint.url, pings, tlsOf(endpoint));
    // Bundles are kept packed for these calls, so that their way costs a fifth of the bytes and nobody the packing.
    const acceptCompression = [compressionGzip];
    const transport = createConnectTransport({ ...common, httpVersion, sessionManager, acceptCompression });
    return { client: createClient(AgentService, transport), close: () => sessionManager.abort() };
  }
  const pool = new Agent({ keepAlive: true, maxSockets: 4, ...tlsOf(endpoint) });
  // Over HTTP/1.1 the server would pack each answer anew.
  const own = { httpVersion, nodeOptions: { agent: pool }, acceptCompression: [] };
  const transport = createConnectTransport({ ...common, ...own });
  return { client: createClient(AgentService, transport), close: () => pool.destroy() };
}

/** Runs one enrolment call and closes its connection. */
export async function withEnrollmentClient<T>(
  endpoint: Endpoint,
  call: (client: Client<typeof EnrollmentService>) => Promise<T>,
): Promise<T> {
  const pool = new Agent({ keepAlive: false, ...tlsOf(endpoint) });
  const transport = createConnectTransport({
    baseUrl: endpoint.url,
    readMaxBytes,
    acceptCompression: [],
    httpVersion: "1.1",
    nodeOptions: { agent: pool },
  });
  try {
    return await call(createClient(EnrollmentService, transport));
  } finally {
    pool.destroy();
  }
}

function tlsOf(endpoint: Endpoint) {
  return {
    ca: [...endpoint.ca],
    minVersion: "TLSv1.2" as const,
    ...(endpoint.cert === undefined ? {} : { cert: endpoint.cert }),
    ...(endpoint.key === undefined ? {} : { key: endpoint.key }),
  };
}
