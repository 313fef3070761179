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
import type { Operator } from "./caller.ts";
import { orRefuse } from "./refusals.ts";

const list = ClusterService.method.listClusters;
const deliver = AgentService.method.deliverAlerts;
const connect = AgentService.method.connect;
const watch = RolloutService.method.watchRollout;
const tail = AlertService.method.tailAlerts;
const enroll = EnrollmentService.method.enroll;

function callOf(
  method: typeof list | typeof deliver | typeof connect | typeof watch | typeof tail | typeof enroll,
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

function admissionOf(change: Partial<typeof defaultLimits.call> = {}) {
  const refused: CallRefusal[] = [];
  const state = { now: 0, databaseWaiting: 0 };
  const admission = createAdmission({
    limits: { ...defaultLimits.call, ...change },
    databaseWaiting: () => state.databaseWaiting,
    onRefused: (reason) => refused.push(reason),
    now: () => state.now,
  });
  return { admission, refused, state };
}

function refusalOf(decide: () => unknown): ConnectError {
  try {
    decide();
  } catch (error) {
    if (error instanceof ConnectError) return error;
  }
  throw new Error("it was not refused");
}

test("a caller that calls too often is told when to come back, in words and as a header; others are not touched", () => {
  const { admission, refused, state } = admissionOf();
  const calls = (caller: Operator) => orRefuse(admission.enter(callOf(list), "cluster:read", caller));
  for (let i = 0; i < 300; i += 1) calls(ada);
  const error = refusalOf(() => calls(ada));
  assert.equal(error.code, Code.ResourceExhausted);
  assert.match(error.rawMessage, /^The API token "ada" may make 300 such calls at once.*try again in 1 s$/);
  assert.equal(error.metadata.get("retry-after"), "1");
  assert.deepEqual(refused, ["caller-rate"]);
  calls(bob);
  state.now = 1_000;
  calls(ada);
});

test("a server with too much to do turns agents away first, so that people can still look", () => {
  const { admission, refused, state } = admissionOf({ databaseWaitingMax: 10 });
  state.databaseWaiting = 10;
  const error = refusalOf(() => orRefuse(admission.arrive(callOf(deliver), "agent", true)));
  assert.equal(error.code, Code.Unavailable);
  assert.equal(error.metadata.get("retry-after"), "5");
  orRefuse(admission.arrive(callOf(list, { isProved: true }), "cluster:read", false));
  state.databaseWaiting = 20;
  refusalOf(() => orRefuse(admission.arrive(callOf(list, { isProved: true }), "cluster:read", false)));
  assert.deepEqual(refused, ["overload", "overload"]);
});

test("calls count as work until they end, and streams that wait for news do not", () => {
  const { admission } = admissionOf({ inWorkMax: 1 });
  orRefuse(admission.enter(callOf(connect), "agent", ada));
  orRefuse(admission.enter(callOf(watch), "rollout:read", ada));
  orRefuse(admission.enter(callOf(tail), "alert:read", ada));
  assert.equal(admission.inWork, 0);
  const working = callOf(deliver);
  orRefuse(admission.enter(working, "agent", ada));
  assert.equal(admission.inWork, 1);
  refusalOf(() => orRefuse(admission.arrive(callOf(deliver), "agent", true)));
  working.abort();
  assert.equal(admission.inWork, 0);
  orRefuse(admission.arrive(callOf(deliver), "agent", true));
});

test("strangers of one address cannot use up what agents and other addresses may do", () => {
  const { admission, refused } = admissionOf();
  const stranger = () => orRefuse(admission.arrive(callOf(list), "cluster:read", false));
  for (let i = 0; i < 500; i += 1) stranger();
  assert.equal(refusalOf(stranger).code, Code.ResourceExhausted);
  orRefuse(admission.arrive(callOf(list, { address: "10.0.0.2" }), "cluster:read", false));
  orRefuse(admission.arrive(callOf(list, { isProved: true }), "cluster:read", false));
  orRefuse(admission.arrive(callOf(deliver), "agent", true));
  assert.deepEqual(refused, ["newcomer-rate"]);
});

test("no more enrolments are worked on at the same time than the server can bear", () => {
  const { admission } = admissionOf();
  const begin = () => orRefuse(admission.enter(callOf(enroll), "public", undefined));
  for (let i = 0; i < 256; i += 1) begin();
  const error = refusalOf(begin);
  assert.equal(error.code, Code.Unavailable);
  assert.match(error.rawMessage, /256 calls of Enroll already/);
});
