import assert from "node:assert/strict";
import { test } from "node:test";

import { codeOf, valueOf } from "./fixture.ts";
import { parseSpiffeId, spiffeId } from "./identity.ts";

const identity = { org: "default", clusterId: "cl_1", agentId: "ag_1" };
const uri = "spiffe://falconry/default/cluster/cl_1/agent/ag_1";

test("an agent's name in a certificate is read back as it was written", () => {
  assert.equal(spiffeId(identity), uri);
  assert.deepEqual(valueOf(parseSpiffeId(uri)), identity);
});

test("no part of an identity can hold what would make it another one", () => {
  for (const part of ["", "a/b", "a/cluster/x", "../x", "a b", "a?x", "a#x", "x".repeat(200), "é"]) {
    for (const key of ["org", "clusterId", "agentId"] as const) {
      const changed = { ...identity, [key]: part };
      assert.throws(() => spiffeId(changed), RangeError, `${key} ${part}`);
      const { org, clusterId, agentId } = changed;
      const written = `spiffe://falconry/${org}/cluster/${clusterId}/agent/${agentId}`;
      assert.equal(codeOf(parseSpiffeId(written)), "trust/malformed", written);
    }
  }
});

test("a name of another shape is no agent's", () => {
  for (const odd of [
    "",
    `x${uri}`,
    `${uri}/`,
    `${uri}/x`,
    `${uri}?x`,
    `${uri}\n`,
    uri.replace("spiffe", "https"),
    uri.replace("falconry", "other"),
    uri.replace("cluster", "node"),
    uri.replace("/agent/ag_1", ""),
    uri.toUpperCase(),
  ]) {
    assert.equal(codeOf(parseSpiffeId(odd)), "trust/malformed", odd);
  }
});
