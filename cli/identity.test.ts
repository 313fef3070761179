import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test, type TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { CaGateSchema, CaRotationSchema, CaSchema, GetCaResponseSchema } from "#proto/fleet/v1/ca";
import { AgentSchema } from "#proto/fleet/v1/cluster";
import { certificateToPem, createCa, spkiPin } from "#trust";
import { serveFleet } from "../test/support/fake-fleet.ts";
import { runCli, setEnv, useContext } from "../test/support/run-cli.ts";

async function midRotation(t: TestContext) {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  const next = (await createCa({ org: "default", now: new Date() })).certificate;
  const pin = spkiPin(next);
  fleet.ca = create(GetCaResponseSchema, {
    authorities: [
      create(CaSchema, { pin: "sha256:old", certificate: context.ca, isPresented: true }),
      create(CaSchema, { pin, certificate: certificateToPem(next) }),
    ],
    rotation: create(CaRotationSchema, { number: 1, phase: "spreading", toPin: pin, startedBy: "ada" }),
    gate: create(CaGateSchema, { agents: 2, trusting: 1, behind: ["eu-1/node-1"], oldTokenIds: ["jt_1"] }),
  });
  return { fleet, next: certificateToPem(next), pin };
}

test("trust ca status names who is not ready, and the context trusts both CAs from then on", async (t) => {
  const { next, pin } = await midRotation(t);
  const { code, out, talk } = await runCli(["trust", "ca", "status"]);
  assert.equal(code, 0);
  assert.match(out, /CA, presented: +sha256:old/);
  assert.match(out, new RegExp(`CA, trusted: +${pin}`));
  assert.match(out, /trust the new CA: +1 of 2 agents/);
  assert.match(out, /not ready: +eu-1\/node-1/);
  assert.match(out, /tokens of the old CA: +jt_1: make new ones/);
  assert.match(talk, /Context \S+ trusts 2 CAs now/);
  const path = process.env["FLEETCTL_CONFIG"] ?? "";
  const kept = JSON.parse(await readFile(path, "utf8")) as { contexts: Record<string, { ca: string }> };
  assert.ok(Object.values(kept.contexts)[0]?.ca.includes(next.trim()));
  const again = await runCli(["trust", "ca", "status", "-o", "json"]);
  assert.equal(JSON.parse(again.out).authorities[1].pin, pin);
  assert.doesNotMatch(again.talk, /trusts 2 CAs/, "said once");
});

test("trust ca switch takes those to leave behind by name, also from the environment", async (t) => {
  const { fleet } = await midRotation(t);
  await runCli(["trust", "ca", "switch", "--leave-behind", "eu-1/node-1,us-2", "--leave-behind", "eu-3"]);
  assert.deepEqual(fleet.leftBehind, ["eu-1/node-1", "us-2", "eu-3"]);
  setEnv(t, "FLEETCTL_LEAVE_BEHIND", "eu-4,eu-5");
  await runCli(["trust", "ca", "switch"]);
  assert.deepEqual(fleet.leftBehind, ["eu-4", "eu-5"]);
});

test("agent revoke says which tokens let others in still, and refuses an agent that is not there", async (t) => {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  const cluster = fleet.addCluster("eu-1", { region: "eu" });
  cluster.agents.push(create(AgentSchema, { id: "ag_1", name: "node-1" }));
  const bound = ["--cluster-uid", "u-1", "--cidr", "10.0.0.0/8"];
  await runCli(["token", "create", "--region", "eu", ...bound]);
  assert.deepEqual([fleet.joinTokens[0]?.clusterUid, fleet.joinTokens[0]?.cidr], ["u-1", "10.0.0.0/8"]);
  const revoked = await runCli(["agent", "revoke", "eu-1", "node-1"]);
  assert.match(revoked.out, /^Revoked agent node-1 \(ag_1\) of eu-1\.$/m);
  assert.match(revoked.talk, /admits others still\. To end that: fleetctl token revoke jt_0/);
  const again = await runCli(["agent", "revoke", "eu-1", "node-1"]);
  assert.deepEqual([again.code, again.out], [1, ""]);
});
