import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { AlertSchema } from "#proto/fleet/v1/alert";
import { AlertGroupSchema, AlertGroupState } from "#proto/fleet/v1/alert_group";
import { serveFleet } from "../test/support/fake-fleet.ts";
import { runCli, temporaryDirectory, useContext } from "../test/support/run-cli.ts";
import { openConnection } from "./connection.ts";
import { layoutOf } from "./local/layout.ts";
import { Processes } from "./local/processes.ts";
import { stayUp } from "./local/stay-up.ts";

const now = Date.parse("2026-11-29T12:00:00Z");
const minutesAgo = (minutes: number) => timestampFromMs(now - minutes * 60_000);

async function newGroups(t: TestContext) {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  const group = (id: string, more: object = {}) =>
    create(AlertGroupSchema, {
      id,
      clusterName: "eu-1",
      region: "eu",
      rule: "Exec into a pod",
      actor: "alice",
      priority: "Warning",
      count: 12n,
      firstAt: minutesAgo(90),
      lastAt: minutesAgo(5),
      stateAt: minutesAgo(90),
      state: AlertGroupState.OPEN,
      generation: 1n,
      ...more,
    });
  fleet.alertGroups.groups.push(
    group("gr_1"),
    group("gr_2", { actor: "system:ci", silencedUntil: minutesAgo(-60), silenceId: "si_9" }),
    group("gr_3", { state: AlertGroupState.RESOLVED }),
  );
  return fleet.alertGroups;
}

test("alerts groups shows what waits for somebody, and all the rest on demand", async (t) => {
  const alerts = await newGroups(t);
  const { out } = await runCli(
    ["alerts", "groups", "--match", "priority>=warning", "--match", 'actor!="x"'],
    { now },
  );
  assert.equal(
    out,
    [
      "GROUP  CLUSTER  PRIORITY  RULE             ACTOR  COUNT  LAST  STATE",
      "gr_1   eu-1     Warning   Exec into a pod  alice     12    5m  open",
      "",
    ].join("\n"),
  );
  assert.equal(alerts.matchers, 'priority>=warning,actor!="x"');
  const all = await runCli(["alerts", "groups", "--state", "all"], { now });
  assert.match(all.out, /gr_2 .* open, silenced until 2026-11-29 13:00 UTC\n/);
  assert.match(all.out, /gr_3 .* resolved\n/);
  const silenced = await runCli(["alerts", "groups", "--state", "silenced", "-o", "json"]);
  assert.deepEqual(
    (JSON.parse(silenced.out) as { groups: { id: string }[] }).groups.map(({ id }) => id),
    ["gr_2"],
  );
});

test("alerts ack, resolve and reopen take several groups, and show tells who said what", async (t) => {
  await newGroups(t);
  const acked = await runCli(["alerts", "ack", "gr_1", "gr_2", "--note", "I look"]);
  assert.match(acked.out, /gr_1 is acknowledged: Exec into a pod at eu-1\ngr_2 is acknowledged, silenced/);
  assert.match((await runCli(["alerts", "resolve", "gr_1"])).out, /gr_1 is resolved/);
  assert.match((await runCli(["alerts", "reopen", "gr_1"])).out, /gr_1 is open/);
  const { out } = await runCli(["alerts", "show", "gr_1"]);
  assert.match(out, /Cluster: +eu-1 \(eu\)/);
  assert.match(out, /Newest:\n {2}1970-01-01T00:00:00.000Z exec by alice/);
  assert.match(out, /Fields of the newest:\n {2}ka.user.name: +alice/);
  assert.match(out, /test {2}acknowledge: I look/);
  const unknown = await runCli(["alerts", "resolve", "gr_1", "gr_77"]);
  assert.equal(unknown.code, 1);
  assert.match(unknown.talk, /No such alert group: "gr_77"/);
  assert.equal((await runCli(["alerts", "ack", "Exec"])).code, 2);
});

test("alerts show takes the id of an alert that alerts list prints, with its fields and what was done about it", async (t) => {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  fleet.addCluster("eu-1", { region: "eu" });
  const id = "ab".repeat(32);
  fleet.raise(
    create(AlertSchema, {
      id,
      clusterName: "eu-1",
      rule: "Exec into a pod",
      priority: "Warning",
      groupId: "gr_1",
      output: "exec by alice\u001b[2J",
      body: JSON.stringify({ output_fields: { "ka.user.name": "alice", "ka.response.code": 200 } }),
      responses: [
        { action: "delete-pod", namespace: "shop", pod: "web-1", outcome: "failed", why: "forbidden" },
      ],
    }),
  );
  const { out } = await runCli(["alerts", "show", id], { now });
  assert.match(out, /^Alert: +(ab){32}\nRule: +Exec into a pod\n/);
  assert.match(out, /Group: +gr_1\nOutput: +exec by alice\\u001b\[2J\n/);
  assert.match(out, /Responses:\n.* delete-pod shop\/web-1 failed: forbidden\n/);
  assert.match(out, /Fields:\n {2}ka.user.name: +alice\n {2}ka.response.code: +200\n$/);
  const other = await runCli(["alerts", "show", "cd".repeat(32)], { now });
  assert.equal(other.code, 1);
  assert.match(other.talk, /No alert since 24h has the id (cd){32}/);
});

test("alerts list shows what it found when a later call is refused, says how far it came, and ends as refused", async (t) => {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  fleet.addCluster("eu-1", {});
  fleet.raise(
    create(AlertSchema, { id: "ab".repeat(32), time: minutesAgo(5), clusterName: "eu-1", rule: "Exec" }),
  );
  fleet.laterPages = new ConnectError("Trying the patterns took too long", Code.InvalidArgument);
  const { code, out, talk } = await runCli(["alerts", "list"], { now });
  assert.equal(code, 1);
  assert.match(out, /eu-1 .*Exec/);
  assert.match(talk, /^Looked further back in 1 call until one failed: narrow it down\n/);
  assert.match(talk, /Trying the patterns took too long/);
});

test("alerts show finds an alert of a clock that is ahead, says which other clusters have its id, and refuses --since for a group", async (t) => {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  const id = "ab".repeat(32);
  const time = timestampFromMs(Date.now() + 3_600_000);
  for (const clusterName of ["eu-1", "eu-2", "us-1"]) {
    const { id: clusterId } = fleet.addCluster(clusterName, {});
    fleet.raise(create(AlertSchema, { id, time, clusterId, clusterName, rule: "Exec into a pod" }));
  }
  assert.match((await runCli(["alerts", "list"])).talk, /No alert matches/);
  const { code, out, talk } = await runCli(["alerts", "show", id, "-o", "json"]);
  assert.equal(code, 0, talk);
  assert.equal(JSON.parse(out).clusterName, "us-1");
  assert.match(talk, /the one of us-1\. These sent an alert with the same id: eu-2, eu-1\n/);
  const group = await runCli("alerts show gr_1 --since 7d".split(" "));
  assert.equal(group.code, 2);
  assert.match(group.talk, /--since says how far back an alert is looked for[^]*fleetctl alerts show gr_1/);
});

test("alerts silence add, list and remove say who, why and until when, and refuse what says nothing", async (t) => {
  const alerts = await newGroups(t);
  const words = ["--match", "cluster=eu-1", "--for", "8h", "--reason", "red team"];
  const { out } = await runCli(["alerts", "silence", "add", ...words], { now });
  assert.equal(out, "si_0 holds until 2026-11-29 20:00 UTC and marks 1 group.\n");
  const listed = await runCli(["alerts", "silence", "list"], { now });
  assert.match(listed.out, /si_0 +cluster=eu-1 +1 +8h +test +red team/);
  assert.match((await runCli(["alerts", "silence", "remove", "si_0"])).out, /Ended si_0: cluster=eu-1/);
  assert.match((await runCli(["alerts", "silence", "list"])).talk, /Nothing is silenced/);
  assert.match((await runCli(["alerts", "silence", "list", "--ended"])).out, /ended by test/);
  for (const missing of ["--match", "--for", "--reason"]) {
    const at = words.indexOf(missing);
    const refused = await runCli(["alerts", "silence", "add", ...words.toSpliced(at, 2)]);
    assert.equal(refused.code, 2, missing);
    assert.match(refused.talk, new RegExp(`try: ${missing}`));
  }
  assert.equal(alerts.silences.length, 1);
});

test("alerts stats draws parts of time, as few as fit, and asks for a beginning", async (t) => {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  fleet.alertBuckets = Array.from({ length: 90 }, (_, i) => (i < 45 ? 0n : BigInt(i % 2)));
  const { out } = await runCli("alerts stats --since 90h --every 1h".split(" "));
  assert.match(out, /OVER TIME\n.* ·{22}█{23}\n/);
  const refused = await runCli("alerts stats --every 1h".split(" "));
  assert.equal(refused.code, 2);
  assert.match(refused.talk, /--every needs a beginning/);
});

test("up that is ended while it shows the first alerts does not say then that the fleet runs", async (t) => {
  const { fleet, context } = await serveFleet(t);
  const layout = layoutOf(await temporaryDirectory(t));
  const connection = openConnection("test", context);
  t.after(() => connection.close());
  const stopping = new AbortController();
  const local = {
    layout,
    plan: { clusters: [], port: 8443, auditLog: undefined, rate: 50, once: false },
    processes: new Processes(layout.processes, layout.logs),
    machines: new Map(),
    signal: stopping.signal,
    connection,
  };
  let shown = "";
  const ended = stayUp(local, { out: (text) => (shown += text) });
  while (fleet.tails.length === 0) await sleep(5);
  stopping.abort();
  await ended;
  assert.equal(shown, "\nAlerts as they arrive:\n");
});
