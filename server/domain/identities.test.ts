import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import {
  caBundleVersion,
  isTurnToRenew,
  judgeCaGate,
  passCaGate,
  stepCa,
  type CaPhase,
  type CaStep,
  type GatedAgent,
} from "./ca-rotation.ts";
import { freshSuspicions, judgeInstance, noteSuspicion, suspicionKeptMs } from "./instance.ts";
import { isInNetwork, parseNetwork } from "./network.ts";
import { sentence } from "./refusal.ts";

const phases: readonly CaPhase[] = ["spreading", "switched", "finished", "cancelled"];
const steps: readonly CaStep[] = ["switch", "finish", "cancel"];

test("stepCa() goes one way only, and a step that was done is done again", () => {
  const allowed = steps.map((step) =>
    phases.filter((phase) => stepCa({ number: 1, phase }, step).ok).join(" "),
  );
  assert.deepEqual(allowed, ["spreading switched", "switched finished", "spreading cancelled"]);
  assert.ok(steps.every((step) => !stepCa(undefined, step).ok));
});

test("caBundleVersion() grows with every change of the list, so that an old list is never taken again", () => {
  const order = [
    undefined,
    { number: 1, phase: "spreading" },
    { number: 1, phase: "switched" },
    { number: 1, phase: "finished" },
    { number: 2, phase: "spreading" },
    { number: 2, phase: "cancelled" },
    { number: 3, phase: "spreading" },
  ] as const;
  assert.deepEqual(order.map(caBundleVersion), [0, 1, 1, 2, 3, 4, 5]);
});

const agent = (name: string, change: Partial<GatedAgent> = {}): GatedAgent => ({
  cluster: "eu-1",
  agent: name,
  certificateExpiresMs: 10,
  certificateCa: "old",
  trustedCas: ["old"],
  ...change,
});

test("the gate of a rotation waits for every agent that could lose the fleet, and for no other", () => {
  const agents = [
    agent("b"),
    agent("a"),
    agent("trusting", { trustedCas: ["old", "new"] }),
    agent("certified", { trustedCas: ["old", "new"], certificateCa: "new" }),
    agent("expired", { certificateExpiresMs: 9 }),
  ];
  const spreading = judgeCaGate(agents, "spreading", "new", 9);
  assert.deepEqual(spreading, {
    agents: 4,
    trusting: 2,
    certified: 1,
    behind: ["eu-1/a", "eu-1/b"],
    expired: 1,
  });
  assert.deepEqual(judgeCaGate(agents, "switched", "new", 9).behind, ["eu-1/a", "eu-1/b", "eu-1/trusting"]);
  const said = (names: readonly string[]) => {
    const passed = passCaGate(spreading, names);
    return passed.ok ? "passed" : sentence(passed.refusal);
  };
  assert.match(said([]), /2 of 4 agents are ready.*: eu-1\/a, eu-1\/b\./);
  assert.match(said(["eu-1/a"]), /enrol again: eu-1\/b\./);
  assert.match(said(["eu-2"]), /eu-1\/a, eu-1\/b/);
  assert.equal(said(["eu-1/a", "eu-1/b"]), "passed");
  assert.equal(said(["eu-1"]), "passed");
});

test("isTurnToRenew() spreads a fleet over the window, and leaves nobody out", () => {
  const ids = Array.from({ length: 1_000 }, (_, i) => `ag_${i.toString(32).padStart(16, "0")}`);
  const due = (ms: number) => ids.filter((id) => isTurnToRenew(id, 0, ms, 1_000)).length;
  for (const part of [0.25, 0.5, 0.75]) {
    assert.ok(Math.abs(due(part * 1_000) - part * 1_000) < 80, `${due(part)}`);
  }
  assert.equal(due(1_000), 1_000);
});

test("judgeInstance() never finds fault with an agent that starts and connects again on its own disk", () => {
  const lives = fc.array(fc.record({ isRestart: fc.boolean(), isLive: fc.boolean() }), { maxLength: 30 });
  fc.assert(
    fc.property(lives, (turns) => {
      let known = { instanceId: "", earlier: [] as readonly string[], starts: 0n };
      let starts = 1n;
      for (const { isRestart, isLive } of turns) {
        if (isRestart) starts += 1n;
        const judged = judgeInstance({ ...known, isLive }, { instanceId: `process-${starts}`, starts });
        assert.deepEqual([judged.isAdmitted, judged.suspicion], [true, undefined]);
        known = judged.known;
        assert.ok(known.earlier.length <= 8);
      }
    }),
  );
});

test("a suspicion keeps its beginning, is not written with every try, and is over a day after the last", () => {
  const now = (ms: number) => ({ text: `at ${ms}`, ms });
  const first = noteSuspicion([], { code: "identity/copied", message: "a" }, now(0));
  assert.ok(first);
  assert.equal(noteSuspicion(first, { code: "identity/copied", message: "a" }, now(9_999)), undefined);
  const second = noteSuspicion(first, { code: "identity/copied", message: "b" }, now(10_000));
  assert.deepEqual(second, [{ code: "identity/copied", message: "b", since: "at 0", atMs: 10_000 }]);
  assert.equal(freshSuspicions(second, 10_000 + suspicionKeptMs).length, 1);
  assert.equal(freshSuspicions(second, 10_001 + suspicionKeptMs).length, 0);
});

const networks: readonly (readonly [string, string, boolean])[] = [
  ["10.1.0.0/16", "10.1.255.255", true],
  ["10.1.0.0/16", "10.2.0.0", false],
  ["10.1.0.0/16", "::ffff:10.1.2.3", true],
  ["10.1.0.0/16", "", false],
  ["10.1.2.3/32", "10.1.2.3", true],
  ["0.0.0.0/0", "192.0.2.1", true],
  ["0.0.0.0/0", "2001:db8::1", false],
  ["2001:db8::/32", "2001:db8:ffff::1", true],
  ["2001:db8::/32", "2001:db9::1", false],
  ["fe80::/10", "fe80::1%eth0", true],
  ["::/0", "10.1.2.3", false],
  ["::1/128", "::1", true],
];
for (const [network, address, isIn] of networks) {
  test(`"${address}" ${isIn ? "comes" : "does not come"} from ${network}`, () => {
    const parsed = parseNetwork(network);
    assert.ok(parsed);
    assert.equal(isInNetwork(parsed, address), isIn);
  });
}

test("parseNetwork() takes no host for a network, and nothing that is none", () => {
  for (const text of [
    "",
    "10.1.2.3",
    "10.1.2.3/16",
    "10.1.0.0/33",
    "10.1.0/16",
    "256.0.0.0/8",
    "a/8",
    "::1/64",
    "2001:db8::/129",
    "1:2:3/16",
    "::1::/64",
    ":::/0",
    "1::2:3:4:5:6:7:8/128",
  ]) {
    assert.equal(parseNetwork(text), undefined, text);
  }
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      const network = parseNetwork(
        `${address}/${address.includes(":") && !/^::ffff:[\d.]+$/i.test(address) ? 128 : 32}`,
      );
      assert.ok(network !== undefined && isInNetwork(network, address), address);
    }),
  );
});
