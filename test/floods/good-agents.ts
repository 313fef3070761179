import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { TokenService } from "#proto/fleet/v1/token";

import { wholeFleet } from "../../server/domain/scope.ts";
import { createApiToken } from "../../server/rpc/token-service.ts";
import { openPool } from "../../server/store/pool.ts";
import { enrollAgent, publishRoot, type TestServer } from "../../server/testing.ts";
import type { SimIdentity } from "../support/sim-agent.ts";
import type { ServerProcess } from "./server-process.ts";

/** A person with an admin token, over a connection of their own, from an address if one is given. */
export async function adminOf(
  server: ServerProcess,
  from?: string,
): Promise<Pick<TestServer, "client" | "bare"> & { readonly token: string }> {
  const db = openPool({ url: server.databaseUrl, connectionsMax: 2, onIdleError: () => undefined });
  const { secret } = await createApiToken(
    db,
    { name: "floods", role: "admin", scope: wholeFleet, ttlMs: 3_600_000 },
    "test",
    new Date(),
  );
  await db.$client.end();
  const transport = (headers: Readonly<Record<string, string>>) =>
    createConnectTransport({
      baseUrl: server.baseUrl,
      httpVersion: "2",
      nodeOptions: { ca: server.ca, ...(from === undefined ? {} : { localAddress: from }) },
      idleConnectionTimeoutMs: 1_000,
      interceptors: [
        (next) => (request) => {
          for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
          return next(request);
        },
      ],
    });
  const known = transport({ authorization: `Bearer ${secret}` });
  const stranger = transport({});
  return {
    token: secret,
    client: (service) => Promise.resolve(createClient(service, known)),
    bare: (service) => createClient(service, stranger),
  };
}

/** Enrols agents, each in a cluster of its own, and gives what they connect with. */
export async function enrolMany(
  server: ServerProcess,
  admin: Pick<TestServer, "client" | "bare">,
  count: number,
): Promise<readonly SimIdentity[]> {
  await publishRoot(admin);
  const identities: SimIdentity[] = [];
  for (let i = 0; i < count; i += 1) identities.push(await enrolOne(server, admin, `eu-${i}`));
  return identities;
}

export async function enrolOne(
  server: ServerProcess,
  admin: Pick<TestServer, "client" | "bare">,
  clusterName: string,
): Promise<SimIdentity> {
  const tokens = await admin.client(TokenService);
  const { joinString } = await tokens.createJoinToken({ labels: { region: "eu" } });
  const wish = { clusterName, clusterUid: `uid-${clusterName}`, agentName: "node-1" };
  const { response, identity } = await enrollAgent(admin, joinString, wish);
  const { org, clusterId, agentId, labels, root } = response;
  const { baseUrl, ca } = server;
  return { baseUrl, ca, ...identity, org, clusterId, agentId, clusterUid: wish.clusterUid, labels, root };
}
