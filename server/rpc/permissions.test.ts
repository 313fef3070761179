import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { TokenService } from "#proto/fleet/v1/token";

import { isAllowed, isFleetWide, roles, type Permission, type Role } from "../domain/permission.ts";
import { enrollAgent, publishRoot, startTestServer, type TestServer } from "../testing.ts";

const golden = join(import.meta.dirname, "..", "..", "test", "golden", "rpcs.txt");

interface Rpc {
  readonly method: DescMethod;
  readonly permission: Permission;
}

/** Logging out comes last: nothing works with the token after it. */
function rpcsOf(at: TestServer): readonly Rpc[] {
  const rpcs = at.server.services.flatMap(({ permissions }) =>
    [...permissions].map(([method, permission]) => ({ method, permission })),
  );
  const isLast = ({ method }: Rpc) => Number(method.name === "Logout");
  return rpcs.toSorted((a, b) => isLast(a) - isLast(b));
}

function audience(permission: Permission): string {
  if (permission === "public") return "anybody";
  if (permission === "agent") return "agents";
  const above = `${roles.find((role) => isAllowed(role, permission)) ?? "nobody"}s and above`;
  return isFleetWide(permission) ? `${above}, of the whole fleet` : above;
}

test("test/golden/rpcs.txt lists every RPC with the permission it takes and who has it", async (t) => {
  const at = await startTestServer(t);
  for (const { service, permissions } of at.server.services) {
    assert.deepEqual(
      [...permissions.keys()],
      service.methods,
      `${service.typeName} has a method without permission`,
    );
  }
  const lines = rpcsOf(at).map(({ method, permission }) =>
    [
      `${method.parent.typeName}/${method.name}`.padEnd(44),
      method.methodKind.padEnd(18),
      permission.padEnd(18),
      audience(permission),
    ].join(" "),
  );
  t.assert.fileSnapshot(`${lines.toSorted().join("\n")}\n`, golden, { serializers: [String] });
});

/** Calls a method with an empty request and answers with the name of the code. */
async function codeOf(transport: Transport, method: DescMethod): Promise<string> {
  const client = createClient(method.parent, transport) as unknown as Readonly<
    Record<string, (request: unknown) => Promise<unknown> | AsyncIterable<unknown>>
  >;
  const call = client[method.localName];
  assert.ok(call);
  const isStreamed = method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming";
  try {
    const answer = call(isStreamed ? nothing() : {});
    if (answer instanceof Promise) await answer;
    else for await (const _ of answer) break;
    return "ok";
  } catch (error) {
    return Code[ConnectError.from(error).code] ?? "";
  }
}

async function* nothing(): AsyncGenerator<object> {}

function transportTo(
  at: TestServer,
  credentials: { bearer?: string; cert?: string; key?: string },
): Transport {
  const { bearer, ...identity } = credentials;
  return createConnectTransport({
    baseUrl: at.baseUrl,
    httpVersion: "2",
    nodeOptions: { ca: at.ca, ...identity },
    idleConnectionTimeoutMs: 500,
    defaultTimeoutMs: 2_000,
    interceptors: [
      (next) => (request) => {
        if (bearer !== undefined) request.header.set("Authorization", `Bearer ${bearer}`);
        return next(request);
      },
    ],
  });
}

async function matrix(
  t: TestContext,
  check: (rpc: Rpc, code: string) => void,
  at: TestServer,
  connect: () => Transport,
) {
  const rpcs = rpcsOf(at);
  assert.ok(rpcs.length > 30, "the matrix must not pass because it saw nothing");
  for (const rpc of rpcs) check(rpc, await codeOf(connect(), rpc.method));
}

test("a stranger gets Unauthenticated from every RPC but the public ones", async (t) => {
  const at = await startTestServer(t);
  await matrix(
    t,
    ({ method, permission }, code) => {
      if (permission === "public") assert.notEqual(code, "ok", method.name);
      else assert.equal(code, "Unauthenticated", `${method.name} let a stranger in`);
    },
    at,
    // A connection of its own for each, because one with many bad calls is cut.
    () => transportTo(at, {}),
  );
});

for (const role of roles) {
  test(`a token with role ${role} is refused exactly where its role ends`, async (t) => {
    const at = await startTestServer(t);
    const transport = transportTo(at, { bearer: await at.token(role) });
    await matrix(
      t,
      ({ method, permission }, code) => {
        if (permission === "public") return;
        const isRefused = code === "PermissionDenied";
        assert.equal(!isRefused, isAllowed(role satisfies Role, permission), `${method.name}: ${code}`);
        assert.notEqual(code, "Unauthenticated", method.name);
        assert.notEqual(code, "Internal", `${method.name} answers Internal to an empty request`);
      },
      at,
      () => transport,
    );
  });
}

test("an agent's certificate opens nothing but the agents' RPCs", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const tokens = await at.client(TokenService);
  const { joinString } = await tokens.createJoinToken({ labels: { region: "eu" } });
  const { identity } = await enrollAgent(at, joinString);
  const transport = transportTo(at, identity);
  await matrix(
    t,
    ({ method, permission }, code) => {
      if (permission === "public") return;
      if (permission === "agent") {
        assert.ok(
          !["Unauthenticated", "PermissionDenied", "Internal"].includes(code),
          `${method.name}: ${code}`,
        );
      } else assert.equal(code, "PermissionDenied", `${method.name} let an agent in`);
    },
    at,
    () => transport,
  );
});
