import assert from "node:assert/strict";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { readIdentity, writeIdentity } from "../../agent/identity/identity.ts";
import type { Identity } from "../../agent/identity/identity.ts";
import { temporaryDirectory } from "../../test/support/run-cli.ts";
import { metBefore } from "./met-before.ts";

const identity: Identity = {
  org: "default",
  clusterId: "cl_1",
  clusterName: "eu-1",
  clusterUid: "uid-1",
  agentId: "ag_1",
  agentName: "control-plane-1",
  server: "https://127.0.0.1:8443",
  privateKey: "a key",
  certificateChain: "a chain",
  ca: ["a CA"],
  caVersion: 3,
  caAssigners: ["k1"],
  notBeforeMs: 1_000,
  notAfterMs: 2_000,
};

test("an agent of an earlier start is led to the port of this one and stays who it was; after its certificate it needs a token", async (t) => {
  const file = join(await temporaryDirectory(t), "identity", "identity.json");
  assert.equal(metBefore(file, identity.server, 1_500), "new");
  mkdirSync(dirname(file));
  writeIdentity(file, identity);
  assert.equal(metBefore(file, identity.server, 1_500), "known");
  assert.deepEqual(readIdentity(file), identity);
  const server = "https://127.0.0.1:9443";
  assert.equal(metBefore(file, server, 1_500), "known");
  assert.deepEqual(readIdentity(file), { ...identity, server });
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(metBefore(file, server, 2_000), "expired");
});

test("a damaged identity of a local agent is named with its file, and not waited for", async (t) => {
  const file = join(await temporaryDirectory(t), "identity.json");
  for (const damaged of ["", "null", "[]", '{"server":1}', '{"server":"https://127.0.0.1:1"}']) {
    writeFileSync(file, damaged);
    assert.throws(() => metBefore(file, identity.server, 0), {
      message: `The identity of a local agent is damaged: ${file}`,
    });
  }
});
