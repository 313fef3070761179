import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { part, type Fleet } from "../../cli/local/fleet.ts";
import { runCli } from "./run-cli.ts";

const shipper = `
pipeline:
  inputs:
    - name: tail
      tag: kube_audit
      path: \${AUDIT_LOG}
      parser: json
      read_from_head: on
  outputs:
    - name: detect
      match: kube_audit
    - name: fleet
      match: alerts
`;

/** Which cluster a story is about. */
export interface Onboarded {
  readonly name: string;
  /** Of the kubeconfig. */
  readonly context: string;
}

/** Runs fleetctl and holds it to its exit code. */
export async function fleetctl(
  t: TestContext,
  ...argv: readonly string[]
): Promise<{ out: string; talk: string }> {
  const result = await runCli(argv);
  t.diagnostic(`$ fleetctl ${argv.join(" ")}\n${result.talk}${result.out}`);
  assert.equal(result.code, 0, `fleetctl ${argv.join(" ")}\n${result.out}${result.talk}`);
  return result;
}

/**
 * A cluster comes into a fleet by a token, gets rules and a shipper config, is seen to work, vouches for its agents from
 * then on, and a canary comes through. The same against the fake kube-apiserver and against a real one.
 */
export async function bringIn(t: TestContext, fleet: Fleet, { name, context }: Onboarded): Promise<void> {
  const onboard = ["cluster", "onboard", name, "--context", context, "--region", "eu", "--team", "payments"];
  const first = await fleetctl(t, ...onboard, "--wait", "3m");
  assert.match(first.talk, /ok {3}agents enrolled .*connected: /);
  assert.match(first.talk, /nothing is assigned yet/);

  const dir = join(fleet.layout.root, "audit-shipper");
  mkdirSync(dir);
  writeFileSync(join(dir, "shipper.yaml"), shipper);
  const made = ["--kind", "shipper", "--name", "audit", "--version", "1.0.0"];
  await fleetctl(t, "bundle", "push", dir, ...made, "--sign", "--dir", fleet.layout.trust);
  const rules = part(fleet, "bundles").names.rulesBefore;
  await fleetctl(t, "rollout", "rules", "--cluster", name, "--bundle", rules, "--watch");
  await fleetctl(t, "rollout", "shipper", "--cluster", name, "--bundle", "audit", "--watch");

  const again = await fleetctl(t, ...onboard, "--wait", "3m");
  assert.match(again.talk, /ok {3}place in the fleet .*all agents are connected/);
  assert.doesNotMatch(again.talk, /join token/);
  assert.match(again.talk, /ok {3}assigned bundles proved .*rules starter@.*shipper audit@1\.0\.0/);
  assert.match(again.talk, /ok {3}first audit event .*seen/);

  // Agents that are enrolled stay who they are; from now on the cluster's word lets others in.
  const vouching = await fleetctl(t, ...onboard, "--join", "kubernetes", "--wait", "3m");
  assert.match(vouching.talk, /ok {3}issuer trusted .*/);
  assert.doesNotMatch(vouching.talk, /join token /);

  const examined = await fleetctl(t, "cluster", "doctor", name, "--context", context);
  assert.match(examined.talk, /ok {3}alert with the server .*"Canary Request"/);
  // The agent runs the rules itself here, and so says when what happened. By two clocks a hop may be negative.
  for (const hop of ["agent read it", "rule matched", "agent sent the alert", "server stored it"]) {
    assert.match(examined.talk, new RegExp(`${hop} +-?\\d+ ms later, by `));
  }
}
