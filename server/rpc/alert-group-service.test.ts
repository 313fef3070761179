import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { AlertService, type AlertFilterSchema } from "#proto/fleet/v1/alert";
import { AlertGroupService, AlertGroupState } from "#proto/fleet/v1/alert_group";
import { AlertSilenceService } from "#proto/fleet/v1/alert_silence";
import { AuditService } from "#proto/fleet/v1/audit";

import { bytesOf } from "../../test/support/sim-agent.ts";
import { openLink } from "../../test/support/sim-link.ts";
import type { Scope } from "../domain/scope.ts";
import { startTestFleet, type TestFleet } from "./agent-service/fixture.ts";

const ofWeb = [{ key: "team", operator: "in", values: ["web"] }] as const as unknown as Scope;

/** An alert of a user, as an agent delivers it. */
function alert(n: number, user: string, more: Readonly<Record<string, unknown>> = {}) {
  const fields = { "ka.user.name": user, "ka.target.name": `pod-${n}`, "ka.response.code": 101 };
  return {
    id: n.toString(16).padStart(64, "0"),
    rule: "Exec into a pod",
    priority: "Warning",
    source: "k8s_audit",
    time: { seconds: 1_790_000_000n + BigInt(n), nanos: 0 },
    output: `exec ${n} by ${user}`,
    body: JSON.stringify({ output_fields: fields }),
    tags: ["T1609"],
    rulesDigest: bytesOf("a".repeat(64)),
    ...more,
  };
}

async function refusal(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "accepted",
    (error: unknown) => {
      const { code, rawMessage } = ConnectError.from(error);
      return `${Code[code]}: ${rawMessage}`;
    },
  );
}

/** A cluster of its own for each test, and the people who look at it. */
async function openCluster(t: TestContext, fleet: TestFleet, cluster: string) {
  const link = openLink("stream", await fleet.enrol(cluster, { labels: { team: "payments" } }));
  t.after(() => link.close());
  const groups = await fleet.at.client(AlertGroupService, "operator");
  return {
    deliver: (...alerts: ReturnType<typeof alert>[]) => link.client.deliverAlerts({ alerts }),
    ofCluster: async (matchers = "", more: object = {}) => {
      const filter = { matchers: `cluster=${cluster}${matchers}` };
      return (await groups.listAlertGroups({ filter, ...more })).groups;
    },
    alerts: await fleet.at.client(AlertService),
    ofOtherTeam: await fleet.at.client(AlertService, "viewer", ofWeb),
    clusters: await fleet.at.client(ClusterService),
    groups,
    silences: await fleet.at.client(AlertSilenceService, "operator"),
    viewer: await fleet.at.client(AlertGroupService, "viewer"),
    audit: await fleet.at.client(AuditService),
  };
}

test("groups, states and silences of alerts", async (parent) => {
  const fleet = await startTestFleet(parent, 1);
  await parent.test(
    "alerts of one rule, cluster and actor are one group, counted once each however often they are delivered",
    async (t) => {
      const at = await openCluster(t, fleet, "eu-1");
      await at.deliver(alert(1, "alice"), alert(2, "alice"), alert(2, "alice"), alert(3, "bob"));
      await at.deliver(alert(2, "alice"), alert(4, "alice", { priority: "Critical" }));
      const groups = await at.ofCluster();
      assert.deepEqual(
        groups
          .map(({ actor, count, priority, clusterName }) => [actor, count, priority, clusterName])
          .toSorted(([one], [other]) => (`${one}` < `${other}` ? -1 : 1)),
        [
          ["alice", 3n, "Critical", "eu-1"],
          ["bob", 1n, "Warning", "eu-1"],
        ],
      );
      const [alice] = groups.filter(({ actor }) => actor === "alice");
      assert.deepEqual([alice?.firstAt?.seconds, alice?.lastAt?.seconds], [1_790_000_001n, 1_790_000_004n]);
      const shown = await at.viewer.getAlertGroup({ groupId: alice?.id ?? "" });
      assert.deepEqual(
        shown.samples.map(({ output }) => output),
        ["exec 4 by alice", "exec 2 by alice", "exec 1 by alice"],
      );
      assert.equal((JSON.parse(shown.fields) as Record<string, unknown>)["ka.target.name"], "pod-4");
      const { alerts } = await at.alerts.listAlerts({ filter: { matchers: 'cluster=eu-1, actor="alice"' } });
      assert.deepEqual([...new Set(alerts.map(({ groupId }) => groupId))], [alice?.id]);
    },
  );

  await parent.test(
    "a group is acknowledged and resolved once, opens again when an alert comes after, and all of it is on record",
    async (t) => {
      const at = await openCluster(t, fleet, "eu-2");
      await at.deliver(alert(1, "alice"));
      const [group] = await at.ofCluster();
      assert.ok(group);
      const ref = (generation: bigint) => ({ groups: [{ id: group.id, generation }] });
      assert.match(await refusal(at.viewer.resolveAlertGroups(ref(1n))), /^PermissionDenied/);
      await at.groups.acknowledgeAlertGroups({ ...ref(1n), note: "I look" });
      assert.match(
        await refusal(at.groups.resolveAlertGroups(ref(1n))),
        /^Aborted: The alert group changed after generation 1/,
      );
      assert.match(
        await refusal(at.groups.acknowledgeAlertGroups(ref(2n))),
        /^FailedPrecondition: Cannot acknowledge/,
      );
      await at.deliver(alert(2, "alice"));
      const acknowledged = (await at.groups.getAlertGroup({ groupId: group.id })).group;
      assert.deepEqual([acknowledged?.state, acknowledged?.count], [AlertGroupState.ACKNOWLEDGED, 2n]);
      const resolved = await at.groups.resolveAlertGroups({ ...ref(2n), note: "a drill" });
      assert.deepEqual(
        resolved.groups.map(({ note, stateBy }) => [note, stateBy]),
        [["a drill", "test operator"]],
      );
      // A copy of what was there says nothing new.
      await at.deliver(alert(1, "alice"));
      assert.equal(
        (await at.groups.getAlertGroup({ groupId: group.id })).group?.state,
        AlertGroupState.RESOLVED,
      );
      await at.deliver(alert(3, "alice"));
      const { group: again, acts } = await at.groups.getAlertGroup({ groupId: group.id });
      assert.deepEqual([again?.state, again?.generation, again?.stateBy], [AlertGroupState.OPEN, 4n, ""]);
      assert.deepEqual(
        acts.map(({ who, what, note }) => [who, what, note]),
        [
          ["", "reopen", ""],
          ["test operator", "resolve", "a drill"],
          ["test operator", "acknowledge", "I look"],
        ],
      );
      const { entries } = await at.audit.listAudit({});
      const audited = entries
        .filter(({ outcome }) => outcome === "ok")
        .map(({ method, target }) => [method, target]);
      assert.deepEqual(audited.slice(0, 2), [
        ["AlertGroupService/ResolveAlertGroups", group.id],
        ["AlertGroupService/AcknowledgeAlertGroups", group.id],
      ]);
      const both = {
        groups: [
          { id: group.id, generation: 4n },
          { id: "gr_0000000000000000", generation: 1n },
        ],
      };
      assert.match(await refusal(at.groups.resolveAlertGroups(both)), /^NotFound/);
      assert.equal((await at.groups.getAlertGroup({ groupId: group.id })).group?.state, AlertGroupState.OPEN);
    },
  );

  await parent.test(
    "a silence marks what is there and what comes, drops nothing, and its end takes the mark away",
    async (t) => {
      const at = await openCluster(t, fleet, "eu-3");
      await at.deliver(alert(1, "system:ci"), alert(2, "alice"));
      const expiresAt = timestampFromMs(Date.now() + 3_600_000);
      const { silence } = await at.silences.addAlertSilence({
        matchers: 'cluster=eu-3, team=payments, ka.user.name=~"system:.*"',
        reason: "the nightly job",
        expiresAt,
      });
      assert.deepEqual([silence?.groups, silence?.author], [1n, "test operator"]);
      await at.deliver(alert(3, "system:ci"), alert(4, "alice"));
      const silenced = async (is: boolean) =>
        (await at.ofCluster("", { silenced: is })).map(({ actor, count }) => [actor, count]);
      assert.deepEqual(await silenced(true), [["system:ci", 2n]]);
      assert.deepEqual(await silenced(false), [["alice", 2n]]);
      const { alerts } = await at.alerts.listAlerts({ filter: { matchers: "cluster=eu-3" } });
      assert.deepEqual(
        alerts.map(({ output, silenceId }) => [output, silenceId === silence?.id]),
        [
          ["exec 4 by alice", false],
          ["exec 3 by system:ci", true],
          ["exec 2 by alice", false],
          ["exec 1 by system:ci", false],
        ],
      );
      await at.silences.removeAlertSilence({ id: silence?.id ?? "" });
      assert.deepEqual(await silenced(true), []);
      await at.deliver(alert(5, "system:ci"));
      assert.deepEqual(await silenced(true), []);
      assert.match(
        await refusal(at.silences.removeAlertSilence({ id: silence?.id ?? "" })),
        /^FailedPrecondition/,
      );
      const listed = await at.silences.listAlertSilences({ includeEnded: true });
      assert.deepEqual(
        listed.silences.map(({ removedBy, reason }) => [removedBy, reason]),
        [["test operator", "the nightly job"]],
      );
      assert.deepEqual((await at.silences.listAlertSilences({})).silences, []);
      for (const bad of [
        { matchers: "", reason: "x", expiresAt },
        { matchers: "rule=~(", reason: "x", expiresAt },
        { matchers: "rule=x", reason: " ", expiresAt },
        { matchers: "rule=x", reason: "x", expiresAt: timestampFromMs(Date.now() - 1) },
        { matchers: "rule=x", reason: "x" },
        // Short as it is, and too long to be read again as it would be stored.
        {
          matchers: Array(4)
            .fill(`output=\`${'"'.repeat(1_000)}\``)
            .join(","),
          reason: "x",
          expiresAt,
        },
      ]) {
        assert.match(await refusal(at.silences.addAlertSilence(bad)), /^InvalidArgument/);
      }
    },
  );

  await parent.test("patterns choose groups and alerts over pages as plain matchers do", async (t) => {
    const at = await openCluster(t, fleet, "eu-4");
    await at.deliver(...Array.from({ length: 30 }, (_, i) => alert(i, `user-${i % 10}`)));
    const matchers =
      "ka.user.name=~`user-[0-4]`, priority>=warning, ka.response.code=101, cluster=~`eu-[4]`, tag!~x.*";
    const seen: bigint[] = [];
    for (let pageToken = ""; ;) {
      const page = await at.alerts.listAlerts({ filter: { matchers }, pageSize: 4, pageToken });
      seen.push(...page.alerts.map(({ id }) => BigInt(`0x${id}`)));
      const [last, back] = [page.alerts.at(-1)?.time, page.lookedBackTo];
      assert.equal(back !== undefined, page.nextPageToken !== "", "how far back is told while more follow");
      if (back !== undefined && last !== undefined) assert.ok(back.seconds <= last.seconds);
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    const want = Array.from({ length: 30 }, (_, i) => 29n - BigInt(i)).filter((n) => n % 10n < 5n);
    assert.deepEqual(seen, want);
    assert.equal((await at.ofCluster(`,${matchers}`)).length, 5);
    const stats = await at.alerts.getAlertStats({ filter: { matchers }, by: "rule" });
    assert.deepEqual(
      stats.counts.map(({ value, count }) => [value, count]),
      [["Exec into a pod", 15n]],
    );
    assert.deepEqual((await at.alerts.listAlerts({ filter: { matchers: "cluster=~us-.*" } })).alerts, []);
  });

  await parent.test(
    "counts by hour, by minute and by pattern agree with the alerts that are listed",
    async (t) => {
      const at = await openCluster(t, fleet, "eu-5");
      // An alert every 7 minutes for a day.
      await at.deliver(
        ...Array.from({ length: 200 }, (_, i) =>
          alert(i * 420, `user-${i % 3}`, i % 2 === 0 ? {} : { rule: "Secret read", priority: "Critical" }),
        ),
      );
      const [since, until] = [1_790_000_000n + 10_000n, 1_790_000_000n + 70_000n];
      const range = { since: { seconds: since, nanos: 0 }, until: { seconds: until, nanos: 0 } };
      for (const more of [
        "",
        ", priority>=critical",
        ", rule=~Sec.*",
        ", actor=user-1",
        ", ka.user.name=~`user-[12]`",
      ]) {
        const filter = { matchers: `cluster=eu-5${more}`, ...range };
        const { alerts } = await at.alerts.listAlerts({ filter, pageSize: 500 });
        for (const every of [3_600n, 300n, 86_400n]) {
          const stats = await at.alerts.getAlertStats({
            filter,
            by: "rule",
            every: { seconds: every, nanos: 0 },
          });
          const first = stats.first?.seconds ?? 0n;
          for (const { value, count, buckets } of stats.counts) {
            const own = alerts.filter(({ rule }) => rule === value);
            assert.equal(count, BigInt(own.length), `${more} by ${every}`);
            const expected = buckets.map(() => 0n);
            for (const { time } of own) {
              const n = Number(((time?.seconds ?? 0n) - first) / every);
              expected[n] = (expected[n] ?? 0n) + 1n;
            }
            assert.deepEqual(buckets, expected, `${more} by ${every}`);
          }
          assert.equal(stats.total, BigInt(alerts.length));
        }
      }
      const none = at.alerts.getAlertStats({ by: "rule", every: { seconds: 3_600n, nanos: 0 } });
      assert.match(await refusal(none), /^InvalidArgument: filter.since/);
    },
  );

  await parent.test(
    "an alert of a clock that is ahead is not the newest of all: lists and statistics without an end leave it out",
    async (t) => {
      const at = await openCluster(t, fleet, "eu-ahead");
      const time = timestampFromMs(Date.now() + 86_400_000);
      await at.deliver(alert(1, "alice"), alert(2, "alice", { time }));
      const until = timestampFromMs(Date.now() + 2 * 86_400_000);
      const asked = { matchers: "cluster=eu-ahead" };
      const seen = async (filter: Parameters<typeof at.alerts.listAlerts>[0]["filter"]) => {
        const { alerts } = await at.alerts.listAlerts({ filter });
        const { total } = await at.alerts.getAlertStats({ filter, by: "rule" });
        return [alerts.map(({ output }) => output), total];
      };
      assert.deepEqual(await seen(asked), [["exec 1 by alice"], 1n]);
      assert.deepEqual(await seen({ ...asked, until }), [["exec 2 by alice", "exec 1 by alice"], 2n]);
      assert.equal((await at.ofCluster())[0]?.count, 2n);
    },
  );
});

test("what a cluster sends beyond its bounds is counted by group and rule, and not stored", async (t) => {
  const env = { FALCONRY_ALERTS_PER_HOUR: "100", FALCONRY_ALERT_GROUPS: "10" };
  const at = await openCluster(t, await startTestFleet(t, 1, { env }), "eu-9");
  await at.deliver(...Array.from({ length: 80 }, (_, i) => alert(i, "mallory")));
  await at.deliver(
    ...Array.from({ length: 25 }, (_, i) => alert(100 + i, `user-${i}`, { rule: "Secret read" })),
  );
  const groups = await at.ofCluster();
  const of = (actor: string) => groups.find((group) => group.actor === actor);
  // One rule may take half of the hour, and what is no error three quarters: both leave room for others.
  assert.deepEqual([of("mallory")?.count, of("mallory")?.notStored], [80n, 30n]);
  const stored = (await at.alerts.listAlerts({ pageSize: 500 })).alerts.length;
  assert.equal(stored, 50 + 25);
  const { cluster } = await at.clusters.getCluster({ cluster: "eu-9" });
  const { stored: kept, notStored, rules } = cluster?.alertIntake ?? {};
  assert.deepEqual([kept, notStored, rules], [75n, 30n, ["Exec into a pod"]]);
  await tellsOfThose(at, 30n);
  assert.equal(groups.length, 11);
  assert.deepEqual([of("*")?.rule, of("*")?.count], ["Secret read", 16n]);
  // The rule has no room left: what is stored already says nothing new all the same.
  const { id = "", generation = 0n } = of("mallory") ?? {};
  await at.groups.resolveAlertGroups({ groups: [{ id, generation }] });
  await at.deliver(...Array.from({ length: 50 }, (_, i) => alert(i, "mallory")));
  const { group } = await at.groups.getAlertGroup({ groupId: id });
  assert.deepEqual([group?.count, group?.notStored, group?.state], [80n, 30n, AlertGroupState.RESOLVED]);
});

/** Whoever reports of alerts is told how many of these are not there, as far as it is about them. */
async function tellsOfThose(at: Awaited<ReturnType<typeof openCluster>>, count: bigint): Promise<void> {
  const told = async (filter: MessageInitShape<typeof AlertFilterSchema>, reader = at.alerts) =>
    (await reader.listAlerts({ filter, pageSize: 1, countNotStored: true })).notStored;
  const hourMs = 3_600_000;
  for (const filter of [
    {},
    { since: timestampFromMs(Date.now() - hourMs) },
    { tags: ["T1609"] },
    { rules: ["Exec into a pod", "Secret read"] },
    { matchers: 'cluster=eu-9, rule=~"Exec.*"' },
  ]) {
    assert.equal(await told(filter), count, JSON.stringify(filter.matchers ?? ""));
  }
  for (const filter of [
    { until: timestampFromMs(Date.now() - 2 * hourMs) },
    { tags: ["secrets"] },
    { rules: ["Secret read"] },
    { matchers: "cluster=eu-1" },
    { matchers: 'rule!="Exec into a pod"' },
  ]) {
    assert.equal(await told(filter), 0n);
  }
  assert.equal(await told({}, at.ofOtherTeam), 0n);
  assert.equal((await at.alerts.listAlerts({})).notStored, 0n, "nobody asked");
}
