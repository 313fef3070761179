import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, parse } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { pino } from "pino";
import type { ResponsePolicy } from "#layers";
import { createConditions } from "../conditions.ts";
import type { ResponseGrant } from "../domain/response.ts";
import { until } from "../pipeline/testing/until.ts";
import { openBook, outboxMax } from "./book.ts";
import type { BookStore } from "./book.ts";
import { execute } from "./execute.ts";
import type { KubePort, Pod } from "./kube.ts";
import { createResponder } from "./responder.ts";
import { openWebhook } from "./webhook.ts";

const policy: ResponsePolicy = {
  name: "delete-exec",
  rules: ["Exec"],
  action: "delete-pod",
  enforce: true,
  perHour: 60,
};
const everything: ResponseGrant = { actions: ["delete-pod"], namespaces: ["shop"], perHour: 100 };

function candidate(id: string, pod: string) {
  const fields = {
    "ka.target.namespace": "shop",
    "ka.target.name": pod,
    "ka.target.resource": "pods",
    "ka.response.code": "101",
  };
  const alert = { id, rule: "Exec", timeMs: Date.now(), fields, rulesDigest: `sha256:${"a".repeat(64)}` };
  return { alert, policies: [policy] };
}

/** A cluster that remembers what was deleted. `pods` says what is there. */
function fakeKube(pods: (name: string) => Pod | undefined) {
  const deleted: string[] = [];
  const kube: KubePort = {
    pod: (_, name) => Promise.resolve(pods(name)),
    label: () => Promise.resolve(),
    closeOff: () => Promise.resolve(),
    remove: (_, name, uid) => Promise.resolve(void deleted.push(`${name} ${uid}`)),
  };
  return { kube, deleted };
}

const old: Pod = { uid: "u1", createdMs: 0, isMirror: false };

interface WorldOptions {
  readonly book?: BookStore;
  readonly kube?: Partial<KubePort>;
}

function world(t: TestContext, grant: ResponseGrant | undefined, options: WorldOptions = {}) {
  const dir = mkdtempSync(join(tmpdir(), "falconry-respond-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, "responses.json");
  const { kube, deleted } = fakeKube(() => old);
  const conditions = createConditions(() => {});
  const own = options.book ?? openBook(path);
  const responder = createResponder({
    book: own,
    grant,
    kube: { ...kube, ...options.kube },
    webhook: () => Promise.resolve(),
    cluster: { id: "cl_1", name: "eu-1" },
    conditions,
    log: pino({ level: "silent" }),
    onNews: () => {},
  });
  return { responder, deleted, conditions, book: own, path };
}

test("an agent whose allow-list says nothing of responses does nothing, and says so", (t) => {
  const { responder, deleted, conditions, book } = world(t, undefined);
  responder.take(candidate("a", "web"), 2);
  assert.deepEqual([deleted, book.get().outbox, responder.stats().leftOut], [[], [], 3]);
  assert.deepEqual(
    conditions.list().map(({ code }) => code),
    ["response/off"],
  );
});

test("what may be done is counted as failed from 0 on, so that an alarm sees the first failure", (t) => {
  assert.deepEqual(world(t, everything).responder.stats().counts, [
    { action: "delete-pod", outcome: "failed", count: 0 },
  ]);
  assert.deepEqual(world(t, undefined).responder.stats().counts, []);
});

test("what cannot be written down is not done, because after a restart it would be done again", (t) => {
  const full: BookStore = {
    get: () => ({ ledger: [], outbox: [], lost: 0 }),
    set: () => {
      throw new Error("no space left on device");
    },
  };
  const { responder, deleted, conditions } = world(t, everything, { book: full });
  responder.take(candidate("a", "web"), 0);
  assert.deepEqual(deleted, []);
  assert.match(conditions.list()[0]?.message ?? "", /no space left/);
});

test("of a flood no more wait than the queue holds; the rest is told as dropped, and each pod is deleted by its UID", async (t) => {
  const { responder, deleted, book } = world(t, { ...everything, perHour: 100 });
  const two = { ...policy, name: "again" };
  for (let i = 0; i < 60; i++) {
    const { alert } = candidate(`a${i}`, `web-${i}`);
    responder.take({ alert, policies: [policy, two] }, 0);
  }
  await until("all are done", () => Promise.resolve(responder.stats().queued === 0));
  await responder.stop();
  const outcomes = book.get().outbox.map(({ outcome }) => outcome);
  assert.ok(outcomes.includes("dropped") && outcomes.includes("done") && outcomes.includes("denied"));
  assert.ok(deleted.length < 100 && deleted.every((each) => each.endsWith(" u1")));
});

test("a pod that could not be isolated is isolated at the next alert, and one that was is left alone", async (t) => {
  const may: ResponseGrant = { actions: ["isolate", "webhook"], namespaces: ["shop"], perHour: 100 };
  let failures = 1;
  const closeOff = () => (failures-- > 0 ? Promise.reject(new Error("forbidden")) : Promise.resolve());
  const { responder, book, conditions } = world(t, may, { kube: { closeOff } });
  const isolate: ResponsePolicy = { ...policy, name: "isolate", action: "isolate" };
  const tell: ResponsePolicy = { ...policy, name: "tell", action: "webhook", url: "https://soc.example/" };
  const take = async (id: string, policies: readonly ResponsePolicy[]) => {
    responder.take({ alert: candidate(id, "web").alert, policies }, 0);
    const isBegun = () => book.get().outbox.some(({ outcome }) => outcome === "begun");
    await until("it is done", () => Promise.resolve(!isBegun()));
  };
  const codes = () => conditions.list().map(({ code }) => code);
  await take("a", [isolate]);
  await take("b", [tell]);
  assert.deepEqual(codes(), ["response/failing"], "a webhook that works says nothing of isolation");
  await take("c", [isolate]);
  assert.deepEqual(codes(), []);
  await take("d", [isolate]);
  assert.deepEqual(
    book.get().outbox.map(({ decision, outcome }) => `${decision.action} ${outcome}`),
    ["isolate failed", "webhook done", "isolate done"],
  );
  assert.equal(responder.stats().leftOut, 1);
});

test("what was begun when the agent died is not done again, and is told as not known", (t) => {
  const { path } = world(t, everything);
  const { alert } = candidate("a", "web");
  const decision = {
    kind: "act",
    alertId: alert.id,
    rule: "Exec",
    rulesDigest: "",
    policy: policy.name,
    action: "delete-pod",
    namespace: "shop",
    pod: "web",
    eventMs: 0,
    why: "",
  } as const;
  const ledger = [
    {
      alertId: "a",
      policy: policy.name,
      rule: "Exec",
      action: "delete-pod",
      target: "shop/web",
      kind: "act",
      atMs: Date.now(),
    } as const,
  ];
  const outbox = [{ decision, decidedMs: 1, outcome: "begun", why: "" } as const];
  openBook(path).set({ ledger, outbox, lost: 0 });
  const { responder, deleted, book } = world(t, everything, { book: openBook(path) });
  responder.take(candidate("a", "web"), 0);
  assert.deepEqual(
    book.get().outbox.map(({ outcome }) => outcome),
    ["unknown"],
  );
  assert.deepEqual(deleted, []);
});

test("what was done while the disk was full is told as done once there is room again", async (t) => {
  let kept: ReturnType<BookStore["get"]> = { ledger: [], outbox: [], lost: 0 };
  let isFull = false;
  const set: BookStore["set"] = (next) => {
    if (isFull) throw new Error("no space left on device");
    kept = next;
  };
  const { responder, conditions } = world(t, everything, { book: { get: () => kept, set } });
  responder.take(candidate("a", "web-1"), 0);
  isFull = true;
  await until("the disk is noticed", () => Promise.resolve(conditions.list().length > 0));
  isFull = false;
  responder.take(candidate("b", "web-2"), 0);
  await responder.stop();
  assert.deepEqual(
    kept.outbox.map(({ outcome }) => outcome),
    ["done", "done"],
  );
});

test("what a full disk did not take did not happen, also for an agent that runs on", (t) => {
  const { book, path } = world(t, everything);
  const { dir, base } = parse(path);
  renameSync(dir, `${dir}.away`);
  assert.throws(() => book.set({ ledger: [], outbox: [], lost: 7 }));
  assert.equal(book.get().lost, 0);
  renameSync(`${dir}.away`, dir);
  assert.equal(openBook(join(dir, base)).get().lost, 0);
});

test("a server that is away for long costs the oldest records, which are counted, and a book that is damaged is not forgotten", (t) => {
  const { book, path } = world(t, everything);
  const [entry] = [{ decision: { alertId: "a" } as never, decidedMs: 1, outcome: "done", why: "" } as const];
  book.set({ ledger: [], outbox: Array.from({ length: outboxMax + 3 }, () => entry), lost: 0 });
  assert.deepEqual([book.get().outbox.length, book.get().lost], [outboxMax, 3]);
  writeFileSync(path, "{");
  assert.throws(() => openBook(path), /cannot be read/);
});

const act = (kube: KubePort | undefined, eventMs: number) =>
  execute(
    {
      kind: "act",
      alertId: "a",
      rule: "Exec",
      rulesDigest: "",
      policy: "p",
      action: "delete-pod",
      namespace: "shop",
      pod: "web",
      eventMs,
      why: "",
    },
    { kube, webhook: () => Promise.resolve(), cluster: { id: "", name: "" } },
  );

test("a pod that took the name after the event, a static pod, and one that is gone are left alone", async () => {
  const later = fakeKube(() => ({ ...old, createdMs: 2_000 }));
  const fixed = fakeKube(() => ({ ...old, isMirror: true }));
  const gone = fakeKube(() => undefined);
  for (const { kube, deleted } of [later, fixed, gone]) {
    assert.equal((await act(kube, 1_000)).outcome, "skipped");
    assert.deepEqual(deleted, []);
  }
  assert.match((await act(undefined, 1_000)).why, /no access to kube-apiserver/);
});

test("a webhook goes only to a destination of the allow-list, over TLS", async () => {
  const send = openWebhook({ destinations: [{ host: "soc.example", port: 443, tls: "required" }] });
  await assert.rejects(send("https://elsewhere.example/x", {}), /no destination elsewhere.example:443/);
  await assert.rejects(send("https://soc.example:8443/x", {}), /no destination soc.example:8443/);
  await assert.rejects(send("http://soc.example:443/x", {}), /no TLS/);
});
