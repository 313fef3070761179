import assert from "node:assert/strict";
import { test } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { AlertService, type TailAlertsRequestSchema } from "#proto/fleet/v1/alert";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";

import { bytesOf, fetchBlob } from "../../../test/support/sim-agent.ts";
import { openLink } from "../../../test/support/sim-link.ts";
import { alerts as alertTable } from "../../store/schema.ts";
import { startTestFleet, until } from "./fixture.ts";

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "accepted",
    (error: unknown) => Code[ConnectError.from(error).code] ?? "",
  );
}

test("a bundle is handed out from any offset, and only to a cluster that is assigned it", async (t) => {
  const fleet = await startTestFleet(t);
  const link = openLink("stream", await fleet.enrol("eu-1"));
  t.after(() => link.close());
  const [old, bundle] = fleet.bundles;
  assert.ok(old && bundle);
  assert.equal(await codeOf(fetchBlob(link, bundle.digest)), "NotFound");
  const rollouts = await fleet.at.client(RolloutService);
  await rollouts.startRollout({ spec: { kind: BundleKind.RULES } });
  const whole = await until("it is assigned", () => fetchBlob(link, bundle.digest).catch(() => undefined));
  assert.deepEqual(Buffer.from(whole), Buffer.from(bundle.bytes));
  assert.deepEqual(
    Buffer.from(await fetchBlob(link, bundle.digest, 100n)),
    Buffer.from(bundle.bytes.subarray(100)),
  );
  assert.equal((await fetchBlob(link, bundle.digest, BigInt(bundle.bytes.length))).length, 0);
  assert.equal(await codeOf(fetchBlob(link, bundle.digest, BigInt(bundle.bytes.length + 1))), "OutOfRange");
  assert.equal(await codeOf(fetchBlob(link, old.digest)), "NotFound");
  assert.equal(await codeOf(fetchBlob(link, "sha256:../../etc")), "InvalidArgument");
});

function alert(n: number, more: Readonly<Record<string, unknown>> = {}) {
  return {
    id: n.toString(16).padStart(64, "0"),
    rule: n % 2 === 0 ? "Exec into pod" : "Secret read",
    priority: n % 3 === 0 ? "Critical" : "Notice",
    source: "k8s_audit",
    time: { seconds: 1_790_000_000n + BigInt(n), nanos: 123_456_789 },
    output: "somebody did something",
    body: JSON.stringify({ n }),
    tags: ["T1609", "k8s"],
    rulesDigest: bytesOf("a".repeat(64)),
    ...more,
  };
}

test("alerts that are delivered twice are there once, with every character that Postgres can hold", async (t) => {
  const fleet = await startTestFleet(t);
  const link = openLink("stream", await fleet.enrol("eu-1"));
  t.after(() => link.close());
  const batch = { alerts: [alert(1), alert(2, { output: "nul \0 and 'quotes' \\ \u{1F600}" }), alert(2)] };
  assert.equal((await link.client.deliverAlerts(batch)).accepted, 3);
  assert.equal((await link.client.deliverAlerts(batch)).accepted, 3);
  const service = await fleet.at.client(AlertService, "viewer");
  const { alerts } = await service.listAlerts({});
  assert.deepEqual(
    alerts.map((each) => [each.id.at(-1), each.clusterName, each.time?.nanos]),
    [
      ["2", "eu-1", 123_456_000],
      ["1", "eu-1", 123_456_000],
    ],
  );
  assert.equal(alerts[0]?.output, "nul \u{FFFD} and 'quotes' \\ \u{1F600}");
  assert.deepEqual(alerts[1]?.tags, ["T1609", "k8s"]);
});

test("alerts out of bounds are refused by place, and none of the call is stored", async (t) => {
  const fleet = await startTestFleet(t);
  const link = openLink("long-poll", await fleet.enrol("eu-1"));
  t.after(() => link.close());
  const bad = [
    { id: "x" },
    { priority: "Terrible" },
    { body: "x".repeat(65_537) },
    { rule: "" },
    { time: undefined },
    { time: { seconds: 0n, nanos: -1_000 } },
  ];
  for (const more of bad) {
    const refused = await link.client.deliverAlerts({ alerts: [alert(1), alert(2, more)] }).then(
      () => "accepted",
      (error: unknown) => ConnectError.from(error).message,
    );
    assert.match(refused, /\[invalid_argument\] alerts\[1\]: /);
  }
  assert.equal(
    await codeOf(link.client.deliverAlerts({ alerts: Array.from({ length: 501 }, (_, i) => alert(i)) })),
    "InvalidArgument",
  );
  assert.equal((await fleet.at.db.select().from(alertTable)).length, 0);
});

test("pages of alerts hold each one once, newest first, and filters and counts agree", async (t) => {
  const fleet = await startTestFleet(t);
  const links = [
    openLink("stream", await fleet.enrol("eu-1")),
    openLink("stream", await fleet.enrol("us-1")),
  ];
  t.after(() => Promise.all(links.map((link) => link.close())));
  await links[0]?.client.deliverAlerts({ alerts: Array.from({ length: 20 }, (_, i) => alert(i)) });
  await links[1]?.client.deliverAlerts({
    alerts: Array.from({ length: 5 }, (_, i) => alert(100 + i, { tags: i === 3 ? ["secrets"] : [] })),
  });
  const service = await fleet.at.client(AlertService);
  const seen: number[] = [];
  for (let pageToken = ""; ;) {
    const page = await service.listAlerts({ pageSize: 4, pageToken });
    seen.push(...page.alerts.map((each) => Number.parseInt(each.id, 16)));
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  assert.deepEqual(seen, [
    ...Array.from({ length: 5 }, (_, i) => 104 - i),
    ...Array.from({ length: 20 }, (_, i) => 19 - i),
  ]);

  const eu = { requirements: [{ key: "region", operator: Requirement_Operator.IN, values: ["eu"] }] };
  const filter = {
    selector: eu,
    minPriority: "critical",
    rules: ["Exec into pod"],
    since: create(TimestampSchema, alert(3).time),
  };
  const { alerts } = await service.listAlerts({ filter });
  assert.deepEqual(
    alerts.map((each) => Number.parseInt(each.id, 16)),
    [18, 12, 6],
  );
  const tagged = await service.listAlerts({ filter: { tags: ["secrets", "rbac"] } });
  assert.deepEqual(
    tagged.alerts.map((each) => Number.parseInt(each.id, 16)),
    [103],
  );
  const stats = await service.getAlertStats({ by: "region" });
  assert.deepEqual(
    stats.counts.map((each) => [each.value, each.count]),
    [
      ["eu", 20n],
      ["us", 5n],
    ],
  );
  assert.equal(stats.total, 25n);
  assert.equal(await codeOf(service.getAlertStats({ by: "colour" })), "InvalidArgument");
  const { id } = alert(12);
  for (const [more, found] of [
    [{ rules: [] }, 1],
    [{ rules: ["Secret read"] }, 0],
  ] as const) {
    const one = await service.listAlerts({ alertId: id, filter: { selector: eu, rules: [...more.rules] } });
    assert.deepEqual(
      one.alerts.map((each) => each.id),
      [id].slice(0, found),
    );
  }
  assert.equal(await codeOf(service.listAlerts({ alertId: "gr_1" })), "InvalidArgument");
  assert.equal(await codeOf(service.listAlerts({ pageToken: "after:x" })), "InvalidArgument");
  for (const bad of [{ minPriority: "Terrible" }, { tags: Array.from({ length: 101 }, String) }]) {
    assert.equal(await codeOf(service.listAlerts({ filter: bad })), "InvalidArgument");
  }
});

test("no alert stands in the way of another cluster's that has the same id and time", async (t) => {
  const fleet = await startTestFleet(t);
  const names = ["eu-1", "us-1"];
  const links = await Promise.all(names.map(async (name) => openLink("stream", await fleet.enrol(name))));
  t.after(() => Promise.all(links.map((link) => link.close())));
  for (const link of links) await link.client.deliverAlerts({ alerts: [alert(7)] });
  const service = await fleet.at.client(AlertService);
  const first = await service.listAlerts({ pageSize: 1 });
  const second = await service.listAlerts({ pageSize: 1, pageToken: first.nextPageToken });
  const pages = [...first.alerts, ...second.alerts];
  assert.deepEqual(pages.map((each) => each.clusterName).toSorted(), names);
  assert.equal(second.nextPageToken, "");
});

test("a tail shows each alert that arrives after the call once, in order", async (t) => {
  const fleet = await startTestFleet(t);
  const link = openLink("stream", await fleet.enrol("eu-1"));
  t.after(() => link.close());
  await link.client.deliverAlerts({ alerts: [alert(1)] });
  const service = await fleet.at.client(AlertService);
  const over = new AbortController();
  const tail = service.tailAlerts({}, { signal: over.signal })[Symbol.asyncIterator]();
  const seen: number[] = [];
  const reading = (async () => {
    for (let next = await tail.next(); next.done !== true; next = await tail.next()) {
      seen.push(...next.value.alerts.map((each) => Number.parseInt(each.id, 16)));
    }
  })().catch(() => {});
  let n = 10;
  // The tail begins when the call arrives: alerts are sent until the first is seen.
  await until("the tail has begun", async () => {
    n += 1;
    await link.client.deliverAlerts({ alerts: [alert(n)] });
    return seen.length > 0;
  });
  await link.client.deliverAlerts({ alerts: Array.from({ length: 300 }, (_, i) => alert(1000 + i)) });
  await until("all have come", () => seen.at(-1) === 1299);
  over.abort();
  await reading;
  const expected = Array.from({ length: 1300 }, (_, i) => i).filter(
    (i) => (i >= (seen[0] ?? 0) && i <= n) || i >= 1000,
  );
  assert.deepEqual(seen, expected);
});

test("whoever tails alerts gets those since a time, and after a break those that came meanwhile", async (t) => {
  const fleet = await startTestFleet(t);
  const link = openLink("stream", await fleet.enrol("eu-1"));
  t.after(() => link.close());
  await link.client.deliverAlerts({ alerts: [alert(1), alert(2)] });
  const service = await fleet.at.client(AlertService);
  const numbers = (alerts: readonly { readonly id: string }[]) =>
    alerts.map(({ id }) => Number.parseInt(id, 16));
  /** The first messages of a tail, until it told so many alerts; without any, its first message. */
  const read = async (request: MessageInitShape<typeof TailAlertsRequestSchema>, count: number) => {
    const over = new AbortController();
    const seen: number[] = [];
    for await (const { alerts, place } of service.tailAlerts(request, { signal: over.signal })) {
      seen.push(...numbers(alerts));
      if (seen.length >= count) return { seen, place };
    }
    throw new Error("The tail ended");
  };
  // The events are months old: what counts is when they were stored.
  const since = { filter: { since: timestampFromMs(Date.now() - 60_000) } };
  assert.deepEqual((await read(since, 2)).seen, [1, 2]);
  const later = { filter: { since: timestampFromMs(Date.now() + 60_000) } };
  assert.deepEqual((await read(later, 0)).seen, []);
  const begun = await read({}, 0);
  assert.deepEqual(begun.seen, [], "without a time it begins now");
  // Nobody tails while this one arrives.
  await link.client.deliverAlerts({ alerts: [alert(3)] });
  assert.deepEqual((await read({ ...since, place: begun.place }, 1)).seen, [3]);
  assert.equal(await codeOf(read({ place: "after:3" }, 1)), "InvalidArgument");
});
