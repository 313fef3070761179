import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { ResponsePolicy } from "#layers";
import { responseActions } from "#trust";
import { ageMaxMs, decideResponses, toldMax } from "./response.ts";
import type { AlertView, Decided, Decision, ResponseGrant } from "./response.ts";

const nowMs = Date.UTC(2026, 10, 1);
const hourMs = 3_600_000;
const fields = {
  "ka.target.namespace": "shop",
  "ka.target.name": "web-1",
  "ka.target.resource": "pods",
  "ka.response.code": "101",
};
const alert: AlertView = { id: "a", rule: "Exec", timeMs: nowMs, fields, rulesDigest: "sha256:aa" };
const policy: ResponsePolicy = {
  name: "isolate-exec",
  rules: ["Exec"],
  action: "isolate",
  enforce: true,
  perHour: 5,
};
const grant: ResponseGrant = { actions: ["isolate"], namespaces: ["shop"], perHour: 10 };

const one = (more: Partial<AlertView>, of: Partial<ResponsePolicy> = {}, by: Partial<ResponseGrant> = {}) => {
  const policies = [{ ...policy, ...of }];
  const { decisions } = decideResponses({ ...alert, ...more }, policies, [], { ...grant, ...by }, nowMs);
  const [decision] = decisions;
  return decision === undefined ? "nothing" : `${decision.kind} ${decision.why}`.trim();
};

const cases: [string, string | RegExp, string][] = [
  ["a pod that was got into", "act", one({})],
  ["a policy that does not enforce", "dry-run", one({}, { enforce: false })],
  ["another rule", "nothing", one({ rule: "Other" })],
  [
    "an action that is not permitted",
    /allow-list does not permit isolate/,
    one({}, {}, { actions: ["label"] }),
  ],
  ["a namespace that is not permitted", /does not name namespace shop/, one({}, {}, { namespaces: ["web"] })],
  [
    "kube-system, although the allow-list names it",
    /kube-system is protected/,
    one({ fields: { ...fields, "ka.target.namespace": "kube-system" } }, {}, { namespaces: ["kube-system"] }),
  ],
  ["a request that was refused", /was refused/, one({ fields: { ...fields, "ka.response.code": "403" } })],
  ["a request without an answer", /was refused/, one({ fields: { ...fields, "ka.response.code": null } })],
  ["no pod", /names no pod/, one({ fields: { ...fields, "ka.target.resource": "secrets" } })],
  [
    "a name that is a path",
    /names no pod/,
    one({ fields: { ...fields, "ka.target.name": "../../nodes/n" } }),
  ],
  ["an event of long ago", "nothing", one({ timeMs: nowMs - ageMaxMs })],
  ["an event of tomorrow", "nothing", one({ timeMs: nowMs + 2 * 60_000 })],
  [
    "a webhook about what is no pod",
    "act",
    one({ fields: {} }, { action: "webhook" }, { actions: ["webhook"] }),
  ],
];
for (const [what, want, got] of cases) {
  test(`decideResponses() of ${what}`, () => {
    if (typeof want === "string") assert.equal(got, want);
    else assert.match(got, want);
  });
}

const names = ["one", "two", "three"] as const;
const namespaces = ["shop", "web", "kube-system", "kube-public", "falconry"] as const;
const somePolicy = fc.record({
  name: fc.constantFrom(...names),
  rules: fc.subarray(["Exec", "Shell", "Miner"], { minLength: 1 }),
  action: fc.constantFrom(...responseActions),
  enforce: fc.boolean(),
  perHour: fc.integer({ min: 1, max: 6 }),
});
const somePolicies = fc.uniqueArray(somePolicy, { maxLength: 3, selector: ({ name }) => name });
const someGrant: fc.Arbitrary<ResponseGrant> = fc.record({
  actions: fc.subarray([...responseActions]),
  namespaces: fc.subarray([...namespaces]),
  perHour: fc.integer({ min: 1, max: 8 }),
});
const someAlert = fc.record({
  id: fc.integer({ min: 0, max: 40 }).map(String),
  rule: fc.constantFrom("Exec", "Shell", "Miner", "Other"),
  lateMs: fc.integer({ min: 0, max: 2 * ageMaxMs }),
  pod: fc.constantFrom("a", "b", "c", "d", "e", "f", "g"),
  namespace: fc.constantFrom(...namespaces),
  code: fc.constantFrom("200", "101", "403", ""),
  /** Until the next one. */
  stepMs: fc.integer({ min: 0, max: 20 * 60_000 }),
});

type SomeAlert = typeof someAlert extends fc.Arbitrary<infer T> ? T : never;
type Run = { readonly decision: Decision; readonly atMs: number; readonly code: string };

/** Alerts one after the other, each twice, with a restart in between: the ledger goes through JSON as on disk. */
function walk(
  alerts: readonly SomeAlert[],
  decideOf: (view: AlertView, ledger: readonly Decided[], clock: number, code: string) => readonly Decided[],
): void {
  let ledger: readonly Decided[] = [];
  let clock = nowMs;
  const times = new Map<string, number>();
  for (const { id, rule, lateMs, pod, namespace, code, stepMs } of alerts) {
    clock += stepMs;
    // One id is one event: its time does not change.
    const timeMs = times.get(id) ?? clock - lateMs;
    times.set(id, timeMs);
    const shown = {
      "ka.target.namespace": namespace,
      "ka.target.name": pod,
      "ka.target.resource": "pods",
      "ka.response.code": code,
    };
    for (let again = 0; again < 2; again++) {
      const view = { id, rule, timeMs, fields: shown, rulesDigest: "" };
      ledger = JSON.parse(JSON.stringify(decideOf(view, ledger, clock, code))) as readonly Decided[];
    }
  }
}

function run(
  policies: readonly ResponsePolicy[],
  by: ResponseGrant,
  alerts: readonly SomeAlert[],
): { readonly runs: readonly Run[]; readonly sizeMax: number } {
  let sizeMax = 0;
  const runs: Run[] = [];
  walk(alerts, (view, known, atMs, code) => {
    const { decisions, ledger } = decideResponses(view, policies, known, by, atMs);
    sizeMax = Math.max(sizeMax, ledger.length);
    runs.push(...decisions.map((decision) => ({ decision, atMs, code })));
    return ledger;
  });
  return { runs, sizeMax };
}

const worlds = fc.tuple(somePolicies, someGrant, fc.array(someAlert, { maxLength: 120 }));

function always(
  law: (world: ReturnType<typeof run>, policies: readonly ResponsePolicy[], by: ResponseGrant) => void,
) {
  fc.assert(
    fc.property(worlds, ([policies, by, alerts]) => law(run(policies, by, alerts), policies, by)),
    { numRuns: 200 },
  );
}

const acts = (runs: readonly Run[]) => runs.filter(({ decision }) => decision.kind === "act");

test("decideResponses() never acts on pods, nor sends webhooks, more often within an hour than the node permits, nor than the response says for a rule", () => {
  always(({ runs }, policies, by) => {
    for (const { atMs } of acts(runs)) {
      const inHour = acts(runs).filter((each) => each.atMs <= atMs && each.atMs > atMs - hourMs);
      const webhooks = inHour.filter(({ decision }) => decision.action === "webhook");
      assert.ok(webhooks.length <= by.perHour && inHour.length - webhooks.length <= by.perHour);
      for (const { name, perHour, rules } of policies) {
        for (const rule of rules) {
          const own = inHour.filter(({ decision }) => decision.policy === name && decision.rule === rule);
          assert.ok(own.length <= perHour);
        }
      }
    }
  });
});

test("decideResponses() never acts, nor says that it would, where the allow-list does not permit it or a namespace is protected", () => {
  always(({ runs }, _, by) => {
    for (const { decision, code } of runs.filter((each) => each.decision.kind !== "denied")) {
      assert.ok(by.actions.includes(decision.action));
      if (decision.action === "webhook") continue;
      assert.ok(by.namespaces.includes(decision.namespace) && !decision.namespace.startsWith("kube-"));
      assert.ok(code === "200" || code === "101");
    }
  });
});

test("decideResponses() decides about an alert once for each response, across restarts and however often it comes", () => {
  always(({ runs }) => {
    const keys = runs.map(({ decision }) => `${decision.alertId} ${decision.policy}`);
    assert.equal(new Set(keys).size, keys.length);
  });
});

test("decideResponses() acts as if what was denied, or only told, had never been asked for", () => {
  fc.assert(
    fc.property(worlds, ([policies, by, alerts]) =>
      walk(alerts, (view, known, atMs) => {
        const isDone = ({ kind, alertId }: Decided) => kind === "act" || alertId === view.id;
        const actsBy = (ledger: readonly Decided[]) =>
          decideResponses(view, policies, ledger, by, atMs).decisions.filter(({ kind }) => kind === "act");
        assert.deepEqual(actsBy(known), actsBy(known.filter(isDone)));
        return decideResponses(view, policies, known, by, atMs).ledger;
      }),
    ),
    { numRuns: 200 },
  );
});

/** What is decided of alerts that come one after the other. */
function decisionsOf(
  alerts: readonly AlertView[],
  policies: readonly ResponsePolicy[],
  by: ResponseGrant,
): readonly string[] {
  let ledger: readonly Decided[] = [];
  return alerts.flatMap((each) => {
    const decided = decideResponses(each, policies, ledger, by, nowMs);
    ledger = decided.ledger;
    return decided.decisions.map(({ action, kind, why }) => `${action} ${kind} ${why}`.trim());
  });
}

test("a request that was refused does not shield the pod from the response to the next one, nor does a dry run", () => {
  const refused = { ...alert, id: "b", fields: { ...fields, "ka.response.code": "403" } };
  assert.match(decisionsOf([refused, alert], [policy], grant)[1] ?? "", /^isolate act$/);
  const first = decideResponses(alert, [{ ...policy, enforce: false }], [], grant, nowMs);
  const then = decideResponses({ ...alert, id: "b" }, [policy], first.ledger, grant, nowMs);
  assert.deepEqual(
    [first, then].map(({ decisions }) => decisions[0]?.kind),
    ["dry-run", "act"],
  );
});

test("webhooks about requests that anybody can make leave what a node may do to pods untouched", () => {
  const tell: ResponsePolicy = { ...policy, name: "tell", action: "webhook", perHour: 60 };
  const refused = Array.from({ length: 5 }, (_, i) => ({
    ...alert,
    id: `r${i}`,
    fields: { ...fields, "ka.response.code": "403" },
  }));
  const by: ResponseGrant = { ...grant, actions: ["isolate", "webhook"], perHour: 3 };
  const decided = decisionsOf([...refused, alert], [tell, policy], by);
  assert.equal(decided.filter((each) => each === "webhook act").length, 3);
  assert.ok(decided.some((each) => each.includes("sends webhooks 3 times an hour at most")));
  assert.equal(decided.at(-1), "isolate act");
});

test("decideResponses() remembers a bounded number of decisions, whatever arrives", () => {
  always(({ sizeMax }, _, by) => assert.ok(sizeMax <= toldMax + 2 * by.perHour));
  let ledger: readonly Decided[] = [];
  for (let i = 0; i < 500; i++) {
    const flood = { ...alert, id: `a${i}`, fields: { ...fields, "ka.target.name": `p${i}` } };
    ledger = decideResponses(flood, [policy], ledger, grant, nowMs).ledger;
  }
  assert.ok(ledger.length <= toldMax + grant.perHour);
});
