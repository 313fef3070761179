import assert from "node:assert/strict";
import { test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { SyncRequestSchema } from "#proto/agent/v1/agent";

import { createServerRun } from "../../sessions/server-run.ts";
import type { SyncCaller } from "../../sessions/session.ts";
import type { SessionPorts } from "../../sessions/sessions.ts";
import { sync } from "./sync.ts";

test("a call by long poll that fails because the database is away is not the agent's doing: the server counts as another run", async () => {
  const run = createServerRun();
  const failing = (error: Error) =>
    ({
      run,
      desired: { hold: () => {}, release: () => {} },
      claims: async () => {
        throw error;
      },
    }) as unknown as SessionPorts;
  const hello = {
    clusterUid: "uid-1",
    agentVersion: "1",
    instanceId: "first",
    starts: 1n,
    transport: "long-poll",
    protocolMin: 1,
    protocolMax: 1,
  };
  const request = create(SyncRequestSchema, { sessionId: "a".repeat(32), sequence: 1n, hello });
  const caller = { agentId: "ag_1", clusterId: "cl_1" } as SyncCaller;
  const call = async (error: Error) => {
    const { signal } = new AbortController();
    await assert.rejects(sync(failing(error), caller, request, signal), error);
    return run.id;
  };
  const first = run.id;
  assert.equal(await call(new Error("a bug")), first);
  const second = await call(Object.assign(new Error("refused"), { code: "ECONNREFUSED" }));
  assert.notEqual(second, first);
  assert.notEqual(createServerRun().id, createServerRun().id);
});
