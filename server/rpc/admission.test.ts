import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError, createContextValues, createHandlerContext } from "@connectrpc/connect";
import { AgentService } from "#proto/agent/v1/agent";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import { AlertService } from "#proto/fleet/v1/alert";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { RolloutService } from "#proto/fleet/v1/rollout";

import { defaultLimits } from "../limits.ts";
import { connectionKey, createAdmission, type CallRefusal } from "./admission.ts";
import type { AgentCaller, Operator } from "./caller.ts";
import { orRefuse } from "./refusals.ts";

const list = ClusterService.method.listClusters;
const deliver = AgentService.method.deliverAlerts;
const connect = AgentService.method.connect;
const watch = RolloutService.method.watchRollout;
const tail = AlertService.method.tailAlerts;
const fetch = AgentService.method.fetchBlob;
const enroll = EnrollmentService.method.enroll;

function callOf(
  method:
    | typeof list
    | typeof deliver
    | typeof connect
    | typeof watch
    | typeof tail
    | typeof enroll
    | typeof fetch,
  { address = "10.0.0.1", isProved = false } = {},
) {
  const ignore = () => undefined;
  return createHandlerContext({
    service: method.parent,
    method,
    protocolName: "connect",
    requestMethod: "POST",
    url: "https://localhost/",
    contextValues: createContextValues().set(connectionKey, {
      address,
      isProved,
      proved: ignore,
      strike: ignore,
    }),
  });
}

const ada = { kind: "operator", tokenId: "at_1", name: "ada", role: "admin" } as unknown as Operator;
const bob = { kind: "operator", tokenId: "at_2", name: "bob", role: "admin" } as unknown as Operator;

function agent(i: number): AgentCaller {
  return { kind: "agent", agentId: `ag_${i}`, clusterId: `cl_${i}` } as unknown as AgentCaller;
}

function admissionOf(change: Partial<typeof defaultLimits.call> = {}) {
  const refused: CallRefusal[] = [];
  const linedUp: string[] = [];
  const state = { now: 0, databaseWaiting: 0 };
  const admission = createAdmission({
    limits: { ...defaultLimits.call, ...change },
    databaseWaiting: () => state.databaseWaiting,
    onRefused: (reason) => refused.push(reason),
    onLinedUp: (route) => linedUp.push(route),
    now: () => state.now,
  });
  return { admission, refused, linedUp, state };
}

async function refusalOf(decide: () => unknown): Promise<ConnectError> {
  try {
    await decide();
  } catch (error) {
    if (error instanceof ConnectError) return error;
  }
  throw new Error("it was not refused");
}

test("a caller that calls too often is told when to come back, in words and as a header; others are not touched", async () => {
  const { admission, refused, state } = admissionOf();
  const calls = async (caller: Operator) =>
    orRefuse(await admission.enter(callOf(list), "cluster:read", caller));
  for (let i = 0; i < 300; i += 1) await calls(ada);
  const error = await refusalOf(() => calls(ada));
  assert.equal(error.code, Code.ResourceExhausted);
  assert.match(error.rawMessage, /^The API token "ada" may make 300 such calls at once.*try again in 1 s$/);
  assert.equal(error.metadata.get("retry-after"), "1");
  assert.deepEqual(refused, ["caller-rate"]);
  await calls(bob);
  state.now = 1_000;
  await calls(ada);
});

test("a server with too much to do turns agents away first, so that people can still look", async () => {
  const { admission, refused, state } = admissionOf({ databaseWaitingMax: 10 });
  state.databaseWaiting = 10;
  const error = await refusalOf(() => orRefuse(admission.arrive(callOf(deliver), "agent", true)));
  assert.equal(error.code, Code.Unavailable);
  assert.equal(error.metadata.get("retry-after"), "5");
  orRefuse(admission.arrive(callOf(list, { isProved: true }), "cluster:read", false));
  state.databaseWaiting = 20;
  await refusalOf(() => orRefuse(admission.arrive(callOf(list, { isProved: true }), "cluster:read", false)));
  assert.deepEqual(refused, ["overload", "overload"]);
});

test("calls count as work until they end, and streams that wait for news do not", async () => {
  const { admission } = admissionOf({ inWorkMax: 1 });
  orRefuse(await admission.enter(callOf(connect), "agent", ada));
  orRefuse(await admission.enter(callOf(watch), "rollout:read", ada));
  orRefuse(await admission.enter(callOf(tail), "alert:read", ada));
  assert.equal(admission.inWork, 0);
  const working = callOf(deliver);
  orRefuse(await admission.enter(working, "agent", ada));
  assert.equal(admission.inWork, 1);
  await refusalOf(() => orRefuse(admission.arrive(callOf(deliver), "agent", true)));
  working.abort();
  assert.equal(admission.inWork, 0);
  orRefuse(admission.arrive(callOf(deliver), "agent", true));
});

test("strangers of one address cannot use up what agents and other addresses may do", async () => {
  const { admission, refused } = admissionOf();
  const stranger = () => orRefuse(admission.arrive(callOf(list), "cluster:read", false));
  for (let i = 0; i < 500; i += 1) stranger();
  assert.equal((await refusalOf(stranger)).code, Code.ResourceExhausted);
  orRefuse(admission.arrive(callOf(list, { address: "10.0.0.2" }), "cluster:read", false));
  orRefuse(admission.arrive(callOf(list, { isProved: true }), "cluster:read", false));
  orRefuse(admission.arrive(callOf(deliver), "agent", true));
  assert.deepEqual(refused, ["newcomer-rate"]);
});

test("no more enrolments are worked on at the same time than the server can bear", async () => {
  const { admission } = admissionOf();
  const begin = async () => orRefuse(await admission.enter(callOf(enroll), "public", undefined));
  for (let i = 0; i < 256; i += 1) await begin();
  const error = await refusalOf(begin);
  assert.equal(error.code, Code.Unavailable);
  assert.match(error.rawMessage, /256 calls of Enroll already/);
});

test("a wave of fetches beyond what is served at once waits in line, in its order, and none is turned away", async () => {
  const { admission, refused, linedUp } = admissionOf();
  const wave = Array.from({ length: 600 }, () => callOf(fetch));
  const served: number[] = [];
  const turns = wave.map(async (call, i) => {
    orRefuse(await admission.enter(call, "agent", agent(i)));
    served.push(i);
  });
  await Promise.all(turns.slice(0, 512));
  assert.equal(served.length, 512);
  assert.deepEqual([admission.inWork, admission.inLine, linedUp.length], [512, 88, 88]);
  for (const call of wave) {
    call.abort();
    // Turns are told in microtasks.
    await Promise.resolve();
  }
  await Promise.all(turns);
  assert.deepEqual(
    served,
    wave.map((_, i) => i),
  );
  assert.deepEqual([admission.inWork, admission.inLine, refused.length], [0, 0, 0]);
});

test("the line of fetches is bounded: who finds it full, or waits too long in it, is told when to come back", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { admission, refused } = admissionOf();
  const calls = Array.from({ length: 5_512 }, () => callOf(fetch));
  const turns = calls.map((call, i) => admission.enter(call, "agent", agent(i)));
  assert.equal(admission.inLine, 5_000);
  const full = await refusalOf(async () =>
    orRefuse(await admission.enter(callOf(fetch), "agent", agent(9_999))),
  );
  assert.equal(full.code, Code.Unavailable);
  assert.match(full.rawMessage, /^The server does 512 calls of FetchBlob already/);
  calls.at(-1)?.abort();
  assert.equal(admission.inLine, 4_999, "who has gone leaves the line");
  t.mock.timers.tick(20_000);
  const late = await refusalOf(async () => orRefuse(await (turns[600] ?? assert.fail())));
  assert.match(late.rawMessage, /waited too long for its turn: try again in 1 s$/);
  assert.equal(late.metadata.get("retry-after"), "1");
  assert.equal(admission.inLine, 0);
  assert.deepEqual(new Set(refused), new Set(["route-busy", "line-late"]));
});

test("one caller that asks without end leaves others their places in line", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { admission, refused } = admissionOf();
  const enter = (i: number) => {
    const { values, signal } = callOf(fetch);
    const query = { service: { typeName: "loki.v1" }, method: { name: "Query" }, values, signal };
    return admission.enter(query, "alert:read", agent(i));
  };
  const many = Array.from({ length: 410 }, () => enter(1));
  assert.equal(admission.inLine, 100);
  const late = many.at(-1) ?? assert.fail();
  assert.equal((await refusalOf(async () => orRefuse(await late))).code, Code.Unavailable);
  assert.deepEqual([refused.length, new Set(refused)], [410 - 3 - 100, new Set(["route-busy"])]);
  orRefuse(await enter(2));
  void enter(2);
  assert.equal(admission.inLine, 101);
});

const fourAtOnce = [
  { typeName: "loki.v1", name: "Query", own: 3 },
  { typeName: "fleet.v1.ClusterService", name: "GetFleetSummary", own: 2 },
];
for (const { typeName, name: method, own } of fourAtOnce) {
  test(`one caller has ${own} of the four calls of ${method} at most, and lets others pass while it waits`, async () => {
    const { admission } = admissionOf();
    const begun: string[] = [];
    const enter = (name: string, i: number) => {
      const call = callOf(fetch);
      const { values, signal } = call;
      const query = { service: { typeName }, method: { name: method }, values, signal };
      void admission.enter(query, "alert:read", agent(i)).then(() => begun.push(name));
      return call;
    };
    const turns = async () => {
      for (let i = 0; i < 5; i += 1) await Promise.resolve();
    };
    const all = Array.from({ length: own }, (_, i) => enter(`a${i}`, 1));
    const further = enter("a further", 1);
    // The others take what is left.
    const others = Array.from({ length: 4 - own }, (_, i) => `b${i}`);
    for (const [i, name] of others.entries()) enter(name, 2 + i);
    await turns();
    assert.deepEqual(begun, [...all.map((_, i) => `a${i}`), ...others]);
    enter("late", 9);
    all[0]?.abort();
    await turns();
    // The caller's own place is free again, and so it is its turn before those who came later.
    assert.equal(begun.at(-1), "a further");
    further.abort();
    await turns();
    assert.equal(begun.at(-1), "late");
  });
}
