import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";

import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ReportResponsesRequestSchema, ResponseRecordSchema } from "#proto/agent/v1/response";
import { signResponse } from "#trust";

import type { AgentId, ClusterId } from "../../domain/ids.ts";
import { readResponses } from "./report-responses.ts";

const newKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" });
const own = newKey();
const caller = {
  clusterId: "cl_1" as ClusterId,
  agentId: "ag_1" as AgentId,
  publicKey: own.publicKey,
};
const now = new Date(1_790_000_000_000);

function signed(more: MessageInitShape<typeof ResponseRecordSchema> = {}, key = own.privateKey) {
  const record = toBinary(
    ResponseRecordSchema,
    create(ResponseRecordSchema, {
      clusterId: "cl_1",
      agentId: "ag_1",
      alertId: "a".repeat(64),
      rule: "Exec",
      response: "isolate-exec",
      action: "isolate",
      namespace: "shop",
      pod: "web-1",
      outcome: "done",
      decidedAt: timestampFromMs(now.getTime()),
      rulesDigest: new Uint8Array(32),
      ...more,
    }),
  );
  const pem = key.export({ type: "pkcs8", format: "pem" }) as string;
  return { record, signature: signResponse(pem, record) };
}

function read(...responses: readonly ReturnType<typeof signed>[]): string {
  const request = create(ReportResponsesRequestSchema, { responses: [...responses] });
  const outcome = readResponses(request, caller, now);
  if (outcome.ok) return outcome.value.map((row) => `${row.action} ${row.pod} ${row.outcome}`).join();
  const { refusal } = outcome;
  return refusal.kind === "invalid" ? refusal.problems.map(({ why }) => why).join() : refusal.kind;
}

test("what an agent did is taken as its key signed it", () => {
  assert.equal(read(signed()), "isolate web-1 done");
});

const refused: [string, ReturnType<typeof signed>, RegExp][] = [
  ["signed by another key", signed({}, newKey().privateKey), /not signed by the key/],
  [
    "changed after it was signed",
    { ...signed(), record: signed({ pod: "web-2" }).record },
    /not signed by the key/,
  ],
  ["signed for another use", { ...signed(), signature: new Uint8Array(64) }, /not signed by the key/],
  ["without a whole signature", { ...signed(), signature: new Uint8Array(3) }, /not signed by the key/],
  ["of another agent of the cluster", signed({ agentId: "ag_2" }), /of another agent/],
  ["of another cluster", signed({ clusterId: "cl_2" }), /of another agent/],
  ["about an alert that cannot be one", signed({ alertId: "../x" }), /64 hex digits/],
  ["of an action that nobody knows", signed({ action: "reboot" }), /action is none/],
  ["of an outcome that nobody knows", signed({ outcome: "begun" }), /outcome is none/],
  ["longer than a record is", signed({ why: "x".repeat(5_000) }), /more than 4096 bytes/],
  ["without a time", signed({ decidedAt: undefined as never }), /decided_at/],
];
for (const [what, record, message] of refused) {
  test(`a record that is ${what} is refused`, () => assert.match(read(record), message));
}

test("a call with more records than one may hold is refused before any is read", () => {
  assert.match(read(...Array.from({ length: 101 }, () => signed())), /at most 100/);
});
