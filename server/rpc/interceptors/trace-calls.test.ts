import assert from "node:assert/strict";
import { test } from "node:test";

import {
  createClient,
  createContextValues,
  createRouterTransport,
  type Interceptor,
} from "@connectrpc/connect";
import { ClusterService } from "#proto/fleet/v1/cluster";
import type { SpanStart, Traces } from "#traces";

import { accept, refuse, type Outcome } from "../../domain/refusal.ts";
import { callerKey, type Caller } from "../caller.ts";
import { clusterPermissions } from "../cluster-service.ts";
import { traceCalls } from "./trace-calls.ts";

const person = { kind: "operator", tokenId: "at_1", role: "admin" } as unknown as Caller;
const agent = { kind: "agent", agentId: "ag_1" } as unknown as Caller;
const recorded = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/** Traces that remember what was begun. */
function remembering() {
  const begun: { readonly name: string; readonly parent: string | undefined }[] = [];
  let limited = 0;
  const traces: Traces = {
    isOn: true,
    begin: (name: string, { parent }: SpanStart = {}) => {
      begun.push({ name, parent });
      return { context: undefined, note: () => {}, end: () => {} };
    },
    record: () => undefined,
    limited: () => (limited += 1),
    counts: () => ({ exported: 0, failed: 0, dropped: 0, limited }),
    stop: () => Promise.resolve(),
  };
  return { begun, traces };
}

function clientOf(traces: Traces, caller: Outcome<Caller>) {
  const permissions = new Map(
    Object.entries(clusterPermissions).map(([name, permission]) => [
      ClusterService.method[name as keyof typeof clusterPermissions],
      permission,
    ]),
  );
  // In the place of the gate, which knows who calls before anything else runs.
  const known: Interceptor = (next) => (request) => {
    request.contextValues.set(callerKey, caller);
    return next(request);
  };
  const transport = createRouterTransport(
    ({ service }) => service(ClusterService, { listClusters: () => ({}), labelCluster: () => ({}) }),
    { router: { interceptors: [known, traceCalls(traces, permissions)] } },
  );
  return createClient(ClusterService, transport);
}

const calling = (traceparent: string) => ({
  headers: { traceparent },
  contextValues: createContextValues(),
});

test("a person's call goes on with the trace that it names; a read that names none is no span, and a write is", async () => {
  const { begun, traces } = remembering();
  const client = clientOf(traces, accept(person));
  await client.listClusters({}, calling(recorded));
  await client.listClusters({});
  await client.listClusters({}, calling("nonsense"));
  await client.labelCluster({});
  assert.deepEqual(begun, [
    { name: "fleet.v1.ClusterService/ListClusters", parent: recorded },
    { name: "fleet.v1.ClusterService/LabelCluster", parent: undefined },
  ]);
});

test("strangers, agents, and callers that record nothing make no spans, whatever they name", async () => {
  const { begun, traces } = remembering();
  const nobody = refuse({ kind: "unauthenticated", why: "" });
  for (const caller of [nobody, accept(agent)]) {
    await clientOf(traces, caller).listClusters({}, calling(recorded));
  }
  const unrecorded = recorded.replace(/01$/, "00");
  await clientOf(traces, accept(person)).listClusters({}, calling(unrecorded));
  assert.deepEqual(begun, []);
});

test("one token gets so many spans and no flood of them; what was left out is counted", async () => {
  const { begun, traces } = remembering();
  const client = clientOf(traces, accept(person));
  for (let i = 0; i < 150; i += 1) await client.listClusters({}, calling(recorded));
  assert.equal(begun.length + traces.counts().limited, 150);
  assert.ok(begun.length >= 100 && begun.length < 150, `${begun.length} spans`);
});
