import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { AuditService } from "#proto/fleet/v1/audit";
import { NotificationService } from "#proto/fleet/v1/notification";
import { ReportService } from "#proto/fleet/v1/report";

import type { Scope } from "../domain/scope.ts";
import { startHook } from "../notify/testing.ts";
import { createVault } from "../notify/vault.ts";
import { reconcileReports } from "../reconcile/reports.ts";
import { eq, sql } from "../store/drizzle.ts";
import { findReceiver } from "../store/notification-receivers.ts";
import type { Database } from "../store/pool.ts";
import { notificationReceivers, reportSchedules } from "../store/schema.ts";
import { publishRoot, startTestServer } from "../testing.ts";
import { until } from "./agent-service/fixture.ts";

const hmac = "a-very-secret-key-of-32-characters";
const ofTeam = [{ key: "team", operator: "in", values: ["payments"] }] as const as unknown as Scope;

const refusal = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "accepted",
    (error: unknown) => `${Code[ConnectError.from(error).code]}: ${ConnectError.from(error).rawMessage}`,
  );

test("receivers and routes of a fleet", async (t) => {
  const hook = await startHook(t);
  const dir = mkdtempSync(join(tmpdir(), "falconry-notify-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const caFile = join(dir, "ca.pem");
  writeFileSync(caFile, hook.tls.ca);
  const at = await startTestServer(t, {
    env: { FALCONRY_NOTIFY_NETWORKS: "127.0.0.0/8,::1/128", FALCONRY_NOTIFY_CA_FILE: caFile },
  });
  const admin = await at.client(NotificationService);
  const url = hook.url.replace("localhost", "127.0.0.1");
  const wish = { name: "soc", kind: "webhook", settings: { url }, secrets: { hmac } };

  await t.test("are made by admins of the whole fleet alone; operators of it may look", async () => {
    const operator = await at.client(NotificationService, "operator");
    const viewer = await at.client(NotificationService, "viewer");
    const ofOne = await at.client(NotificationService, "admin", ofTeam);
    for (const client of [operator, viewer, ofOne]) {
      assert.match(await refusal(client.putReceiver(wish)), /^PermissionDenied/);
    }
    assert.match(await refusal(viewer.listReceivers({})), /^PermissionDenied/);
    assert.match(await refusal(ofOne.listDeadLetters({})), /^PermissionDenied/);
    assert.deepEqual((await operator.listReceivers({})).receivers, []);
  });

  await t.test("keep their secrets: no answer, no row and no audit entry holds one", async () => {
    const { receiver } = await admin.putReceiver(wish);
    assert.deepEqual(receiver?.secretNames, ["hmac"]);
    assert.match(await refusal(admin.putReceiver(wish)), /^AlreadyExists: The receiver "soc" exists already/);
    await admin.putReceiver({ ...wish, replace: true });
    const { entries } = await (await at.client(AuditService)).listAudit({ pageSize: 20 });
    const put = entries.find(({ method }) => method === "NotificationService/PutReceiver");
    assert.deepEqual([put?.target, put?.request["secrets"]], ["soc", "[not recorded]"]);
    const rows = await at.db.select().from(notificationReceivers);
    const { receivers } = await admin.listReceivers({});
    for (const what of [rows, receivers, entries]) {
      const text = JSON.stringify(what, (_, value: unknown) =>
        value instanceof Uint8Array
          ? Buffer.from(value).toString("latin1")
          : typeof value === "bigint"
            ? 0
            : value,
      );
      assert.ok(!text.includes(hmac));
    }
  });

  await t.test("are tried by one real message, and what came of it is told", async () => {
    const good = await admin.testReceiver({ name: "soc" });
    assert.deepEqual([good.delivered, good.words], [true, "127.0.0.1 answered 200: ok"]);
    assert.match(hook.received[0]?.body ?? "", /This is a test by test admin: nothing happened/);
    hook.answer = (response) => response.writeHead(403).end("no");
    const bad = await admin.testReceiver({ name: "soc" });
    assert.deepEqual([bad.delivered, bad.words], [false, "127.0.0.1 answered 403: no"]);
    assert.match((await admin.listReceivers({})).receivers[0]?.failure ?? "", /403/);
    assert.match(
      await refusal(admin.testReceiver({ name: "nobody" })),
      /^NotFound: No such receiver: "nobody"/,
    );
    const meta = { ...wish, name: "meta", settings: { url: "https://169.254.169.254/latest" } };
    await admin.putReceiver(meta);
    assert.match(
      (await admin.testReceiver({ name: "meta" })).words,
      /link-local, where clouds keep credentials/,
    );
  });

  await t.test(
    "cannot be removed while a route leads there; routes that cannot be read are refused",
    async () => {
      const route = { name: "pager", receiver: "soc", matchers: "priority>=critical", waitMs: 1_000 };
      const { route: made } = await admin.addRoute(route);
      assert.deepEqual(
        [made?.groupBy, made?.intervalMs, made?.repeatMs],
        [["rule", "cluster"], 300_000, 14_400_000],
      );
      assert.match(await refusal(admin.addRoute(route)), /^AlreadyExists/);
      assert.match(await refusal(admin.addRoute({ ...route, name: "x", receiver: "nobody" })), /^NotFound/);
      assert.match(
        await refusal(admin.addRoute({ ...route, matchers: "priority>=loud" })),
        /^InvalidArgument: matchers/,
      );
      assert.match(
        await refusal(admin.removeReceiver({ name: "soc" })),
        /^FailedPrecondition: Something leads to "soc": remove it first \(route pager\)/,
      );
      await admin.removeRoute({ name: "pager" });
      await admin.removeReceiver({ name: "soc" });
      assert.match(await refusal(admin.removeReceiver({ name: "soc" })), /^NotFound/);
      assert.match(await refusal(admin.retryDeadLetters({})), /^InvalidArgument: ids/);
    },
  );

  await t.test("get reports on a schedule or when asked, made once by any number of servers", async () => {
    hook.answer = (response) => response.end();
    hook.received.splice(0);
    await admin.putReceiver({ ...wish, name: "weekly" });
    const reports = await at.client(ReportService);
    const monday = { name: "execs", report: "exec", receiver: "weekly", schedule: "Mon 08:00 Europe/Berlin" };
    const { schedule } = await reports.addReportSchedule(monday);
    assert.deepEqual([schedule?.format, schedule?.schedule], ["html", "Mon 08:00 Europe/Berlin"]);
    assert.match(await refusal(reports.addReportSchedule(monday)), /^AlreadyExists/);
    assert.match(
      await refusal(reports.addReportSchedule({ ...monday, schedule: "08:00" })),
      /^InvalidArgument: sched/,
    );
    const paged = { ...wish, name: "pager", kind: "pagerduty", settings: {}, secrets: { key: "k" } };
    await admin.putReceiver(paged);
    const toPager = reports.addReportSchedule({ ...monday, name: "x", receiver: "pager" });
    assert.match(await refusal(toPager), /^FailedPrecondition: .* takes no reports/);
    assert.match(await refusal(admin.removeReceiver({ name: "weekly" })), /\(report schedule execs\)/);
    await reports.addReportSchedule({ ...monday, name: "cover", report: "coverage", format: "json" });
    await reports.addReportSchedule({ ...monday, name: "moves", report: "rollouts", format: "csv" });
    await storeUntagged(at.db);
    await reports.addReportSchedule({ ...monday, name: "named", format: "json", rules: ["R", "R"] });
    for (const name of ["execs", "cover", "moves", "named"]) await reports.sendReport({ name });
    await Promise.all([1, 2].map(() => reconcileReports(at.db, "default", () => new Date())));
    const texts = await until("four reports came", async () => {
      const bodies = hook.received.map(
        ({ body }) => JSON.parse(body) as { report: { title: string; text: string } },
      );
      return bodies.length >= 4 && bodies;
    });
    assert.deepEqual(texts.map(({ report }) => report.title).toSorted(), [
      "What was rolled out",
      "Which clusters are watched",
      "Who ran commands in pods",
      "Who ran commands in pods",
    ]);
    assert.match(texts.map(({ report }) => report.text).join("\n"), /<p>Nothing was caught\.<\/p>/);
    const named = texts.find(({ report }) => report.text.startsWith("{") && report.title.startsWith("Who"));
    const { alerts, notStored } = JSON.parse(named?.report.text ?? "{}") as Record<string, unknown>;
    assert.deepEqual([alerts, notStored], [1, 12], "of the rule that is named, with what was not stored");
    const { schedules } = await reports.listReportSchedules({});
    assert.deepEqual(schedules.find(({ name }) => name === "named")?.rules, ["R"]);
    assert.ok(schedules.every(({ lastAt, nextAt }) => lastAt !== undefined && nextAt !== undefined));
    // A row that nobody can read is the oldest that is due.
    const broken = { selector: 7 as never, nextAt: new Date(0) };
    await at.db.update(reportSchedules).set(broken).where(eq(reportSchedules.name, "execs"));
    await at.db
      .update(reportSchedules)
      .set({ nextAt: new Date(1) })
      .where(eq(reportSchedules.name, "moves"));
    await assert.rejects(
      reconcileReports(at.db, "default", () => new Date()),
      /could not be made: execs$/,
    );
    await at.db.update(reportSchedules).set({ selector: [] }).where(eq(reportSchedules.name, "execs"));
    const failed = (await reports.listReportSchedules({})).schedules.find(({ name }) => name === "execs");
    assert.deepEqual([failed?.failures, failed?.retryAt !== undefined], [1, true]);
    assert.notEqual(failed?.failedBecause, "");
    // It is not tried again at once.
    await reconcileReports(at.db, "default", () => new Date());
    await until("the report came that was not broken", async () => hook.received.length >= 5);
    const find = async () =>
      (await reports.listReportSchedules({})).schedules.find(({ name }) => name === "execs");
    await at.db.transaction(async (tx) => {
      // Reading waits for this, as if it took the server to its end.
      await tx.execute(sql`lock table alerts in access exclusive mode`);
      await reports.sendReport({ name: "execs" });
      const begun = await until("the try counts before it comes to its end", async () => {
        const found = await find();
        return found?.failedBecause.startsWith("It was begun") === true && found;
      });
      assert.equal(begun.failures, 1, "who sends it begins with the first try");
      // Another server does not begin the same at once.
      await reconcileReports(at.db, "default", () => new Date());
    });
    await until("what came to its end counts as made", async () => (await find())?.failures === 0);
    for (const { name } of schedules) await reports.removeReportSchedule({ name });
    assert.match(await refusal(reports.sendReport({ name: "execs" })), /^NotFound/);
  });

  await t.test(
    "keep working when the online keys are replaced, and nothing opens what was altered",
    async () => {
      await publishRoot(at);
      const vault = createVault(at.db, at.state.keyring);
      await admin.putReceiver({ ...wish, name: "kept" });
      const find = async () => {
        const row = await findReceiver(at.db, "kept");
        assert.ok(row.ok);
        return row.value;
      };
      const before = await find();
      assert.deepEqual(vault.open(before), { hmac });
      assert.equal(vault.open({ ...before, name: "other" }), undefined);
      const { kind, settings } = before;
      assert.equal(vault.open({ ...before, settings: { ...settings, url: "https://evil.test" } }), undefined);
      assert.equal(vault.open({ ...before, kind: kind === "smtp" ? "webhook" : "smtp" }), undefined);
      assert.equal(
        vault.open({ ...before, sealed: before.sealed?.map((byte) => byte ^ 1) ?? null }),
        undefined,
      );
      const next = at.state.keyring.prepare(undefined).assignment;
      const rotated = createVault(at.db, {
        signersFor: () => ({ ...at.state.keyring.signersFor(undefined), assignment: next }),
        assignmentKey: (id) => (id === next.publicKey.keyId ? next : at.state.keyring.assignmentKey(id)),
      });
      await rotated.reseal();
      const after = await find();
      assert.deepEqual([after.sealKey, rotated.open(after)], [next.publicKey.keyId, { hmac }]);
    },
  );
});

/** An alert of a rule without tags, of which more came than is stored. */
async function storeUntagged(db: Database): Promise<void> {
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    values ('cl_1', 'eu-1', 'uid-1', '{"region":"eu"}', now())`);
  await db.execute(sql`insert into alerts (id, time, received_at, cluster_id, agent_id, rule, priority, source, output, body, rules_digest)
    values ('a', now() - interval '1 second', now(), 'cl_1', 'ag_1', 'R', 4, 'k8s_audit', 'o', '{}', 'sha256:0')`);
  await db.execute(sql`insert into alert_groups (id, cluster_id, rule, actor, priority, source, tags, count, not_stored, first_at, last_at,
      received_at, state, state_at, fields, samples)
    values ('gr_1', 'cl_1', 'R', '', 4, 'k8s_audit', '{}', 13, 12, now(), now(), now(), 'open', now(), '{}', '[]')`);
  await db.execute(sql`insert into alert_intake (cluster_id, hour, rule, stored, not_stored)
    values ('cl_1', date_trunc('hour', now()), 'R', 1, 12)`);
}
