import assert from "node:assert/strict";
import { test } from "node:test";

import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import { AuditService, type AuditEntry, type ExportAuditResponse } from "#proto/fleet/v1/audit";
import { AlertGroupService } from "#proto/fleet/v1/alert_group";
import { AlertSilenceService } from "#proto/fleet/v1/alert_silence";
import { BacktestService } from "#proto/fleet/v1/backtest";
import { BundleService } from "#proto/fleet/v1/bundle";
import { CaService } from "#proto/fleet/v1/ca";
import { FreezeService } from "#proto/fleet/v1/freeze";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { IssuerService } from "#proto/fleet/v1/issuer";
import { NotificationService } from "#proto/fleet/v1/notification";
import { ReportService } from "#proto/fleet/v1/report";
import { TokenService } from "#proto/fleet/v1/token";
import { TrustService } from "#proto/fleet/v1/trust";

import { createIssuer } from "../../test/support/kubernetes/issuer.ts";
import { appendAudit } from "../store/audit-entries.ts";
import { sql } from "../store/drizzle.ts";
import { deliverAlerts, enrollRequest, publishRoot, startTestServer, type TestServer } from "../testing.ts";
import { startTestFleet } from "./agent-service/fixture.ts";
import { isAudited, methodName } from "./audit.ts";

async function entriesOf(at: TestServer, filter: object = {}): Promise<readonly AuditEntry[]> {
  const audit = await at.client(AuditService);
  return (await audit.listAudit({ filter, pageSize: 1000 })).entries;
}

/** Begins twice, because the first is cancelled. */
async function replaceCa(at: TestServer): Promise<void> {
  const ca = await at.client(CaService);
  await ca.rotateCa({});
  await ca.cancelCa({});
  const begun = await ca.rotateCa({});
  for (const { certificate } of begun.ca?.authorities ?? []) at.trust(certificate);
  await ca.switchCa({ leaveBehind: ["eu-7"] });
  await ca.finishCa({});
}

/** Urgent rollouts, which take a second person: one is approved, one is not. And a freeze that ends. */
async function actOfTwo(at: TestServer): Promise<void> {
  const rollouts = await at.client(RolloutService);
  const second = await at.client(RolloutService, "approver");
  // An emergency begins with a cluster that answers.
  await at.db.execute(sql`update agents set last_seen_at = now()`);
  const spec = { kind: BundleKind.RULES, bundle: "starter@1.0.0", emergency: true, reason: "a test" };
  const begun = async () => {
    const { rollout } = await rollouts.startRollout({ spec });
    return { rolloutId: rollout?.id ?? "", planDigest: rollout?.planDigest ?? "" };
  };
  await second.rejectRollout({ ...(await begun()), reason: "not now" });
  const approved = await second.approveRollout(await begun());
  const { id: rolloutId = "", generation = 0n } = approved.rollout ?? {};
  await rollouts.abortRollout({ rolloutId, generation }).catch(() => {});
  const freezes = await at.client(FreezeService);
  await freezes.setFreeze({ reason: "a test" });
  await freezes.liftFreeze({});
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "ok",
    (error: unknown) => Code[ConnectError.from(error).code],
  );

/** An alert whose group is taken up, closed and opened again, and a silence. */
async function judgeAlerts(at: TestServer, from: { clusterId: string; agentId: string }): Promise<void> {
  const alert = {
    ...from,
    id: "a".repeat(64),
    timeUs: BigInt(Date.now()) * 1000n,
    rule: "Exec",
    priority: 4,
  };
  const words = { source: "k8s_audit", output: "seen", body: "{}", auditId: "", tags: [], rulesDigest: "" };
  await deliverAlerts(at.db, [{ ...alert, ...words }], new Date());
  const service = await at.client(AlertGroupService);
  const groups = async () =>
    (await service.listAlertGroups({})).groups.map(({ id, generation }) => ({ id, generation }));
  await service.acknowledgeAlertGroups({ groups: await groups() });
  await service.resolveAlertGroups({ groups: await groups() });
  await service.reopenAlertGroups({ groups: await groups() }).catch(() => {});
  const silences = await at.client(AlertSilenceService);
  const expiresAt = timestampFromMs(Date.now() + 3_600_000);
  const { silence } = await silences.addAlertSilence({ matchers: "rule=Exec", reason: "known", expiresAt });
  await silences.removeAlertSilence({ id: silence?.id ?? "" });
}

test("every call that changes something leaves a row with who, what, on what and how it ended", async (t) => {
  const fleet = await startTestFleet(t);
  const { at } = fleet;
  await judgeAlerts(at, await fleet.enrol("eu-1"));
  const clusters = await at.client(ClusterService);
  const rollouts = await at.client(RolloutService);
  const tokens = await at.client(TokenService);
  await clusters.labelCluster({ cluster: "eu-1", set: { team: "payments" } });
  const { rollout } = await rollouts.startRollout({
    spec: { kind: BundleKind.RULES, bundle: "starter@1.0.0" },
  });
  const rolloutId = rollout?.id ?? "";
  const at1 = async () => ({
    rolloutId,
    generation: (await rollouts.getRollout({ rolloutId })).rollout?.generation ?? 0n,
  });
  await rollouts.pauseRollout(await at1());
  await rollouts.resumeRollout(await at1());
  await rollouts.abortRollout(await at1());
  await rollouts.undoRollout(await at1()).catch(() => {});
  await actOfTwo(at);
  const backtests = await at.client(BacktestService);
  const since = timestampFromMs(Date.now() - 3_600_000);
  const { backtest } = await backtests.startBacktest({ bundle: "starter@1.0.0", since });
  await backtests.cancelBacktest({ backtestId: backtest?.id ?? "" });
  const made = await tokens.createApiToken({ name: "ci", role: "viewer" });
  await tokens.revokeApiToken({ id: made.token?.id ?? "" });
  const { token } = await tokens.createJoinToken({ labels: { region: "eu" } });
  await tokens.revokeJoinToken({ id: token?.id ?? "" });
  const issuers = await at.client(IssuerService);
  const { jwks, url } = createIssuer();
  const known = { clusterName: "eu-1", clusterUid: "uid-eu-1", labels: { region: "eu" } };
  const { issuer } = await issuers.trustIssuer({ ...known, issuer: url, jwks });
  await issuers.distrustIssuer({ id: issuer?.id ?? "" });
  await clusters.revokeAgent({ cluster: "eu-1", agent: "node-1" });
  await clusters.retireCluster({ cluster: "eu-1" });
  await tellPeople(at);
  await replaceCa(at);
  await (await at.client(TrustService)).prepareOnlineKeys({});
  await (await at.client(BundleService)).pushLayer({ layer: "payments" }).catch(() => {});

  const entries = await entriesOf(at);
  const written = new Set(entries.map(({ method }) => method));
  const wanted = at.server.services
    .flatMap(({ permissions }) => [...permissions])
    .flatMap(([method, permission]) => (isAudited(permission) ? [methodName(method)] : []));
  assert.ok(wanted.length >= 13, "the comparison must not pass because it saw nothing");
  assert.deepEqual(
    wanted.filter((method) => !written.has(method)),
    [],
    "a call left no row",
  );
  const label = entries.find(({ method }) => method === "ClusterService/LabelCluster");
  assert.deepEqual(
    [label?.actor?.name, label?.actor?.role, label?.target, label?.outcome, label?.request["set"]],
    ["test admin", "admin", "eu-1", "ok", '[["team","payments"]]'],
  );
  const revoked = entries.find(({ method }) => method === "ClusterService/RevokeAgent");
  assert.deepEqual([revoked?.target, revoked?.request["agent"]], ["eu-1/node-1", "node-1"]);
  const switched = entries.find(({ method }) => method === "CaService/SwitchCa");
  assert.deepEqual([switched?.target, switched?.request["leave_behind"]], ["CA rotation 2", '["eu-7"]']);
  const begun = entries.find(({ method }) => method === "CaService/RotateCa");
  assert.match(begun?.request["to_pin"] ?? "", /^sha256:[0-9a-f]{64}$/);
  const enrolled = entries.find(({ method }) => method === "EnrollmentService/Enroll");
  assert.equal(enrolled?.actor?.kind, "join-token");
  assert.equal(enrolled?.request["cluster"], "eu-1");
  assert.ok(entries.every(({ server }) => server !== ""));
  const text = JSON.stringify(entries, (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
  assert.ok(!text.includes(made.secret.split(".")[1] ?? "?"), "a secret is in the log");
});

/** A receiver and a route, from beginning to end. */
async function tellPeople(at: TestServer): Promise<void> {
  const notifications = await at.client(NotificationService);
  // Link-local: nothing is sent.
  const settings = { url: "https://169.254.169.254/" };
  const secrets = { hmac: "0123456789abcdef" };
  await notifications.putReceiver({ name: "soc", kind: "webhook", settings, secrets });
  await notifications.testReceiver({ name: "soc" });
  await notifications.addRoute({ name: "all", receiver: "soc" });
  await notifications.removeRoute({ name: "all" });
  await notifications.retryDeadLetters({ receiver: "soc" });
  const reports = await at.client(ReportService);
  const schedule = "Mon 08:00 UTC";
  await reports.addReportSchedule({ name: "weekly", report: "exec", receiver: "soc", schedule });
  await reports.sendReport({ name: "weekly" });
  await reports.removeReportSchedule({ name: "weekly" });
  await notifications.removeReceiver({ name: "soc" });
}

test("who is refused is in the log, once a minute, and a pasted token is not", async (t) => {
  const at = await startTestServer(t);
  const viewer = await at.client(ClusterService, "viewer");
  for (let i = 0; i < 5; i += 1) {
    assert.equal(await codeOf(viewer.retireCluster({ cluster: "eu-1" })), "PermissionDenied");
  }
  assert.equal(await codeOf((await at.client(TokenService, "viewer")).listApiTokens({})), "PermissionDenied");
  const tokens = await at.client(TokenService);
  const { token, secret } = await tokens.createApiToken({ name: "ci", role: "viewer" });
  assert.equal(await codeOf(tokens.revokeApiToken({ id: secret })), "NotFound");
  const seen = (await entriesOf(at)).map(({ actor, method, target, outcome }) => [
    actor?.name,
    method,
    target,
    outcome,
  ]);
  assert.deepEqual(seen.toReversed(), [
    ["test viewer", "ClusterService/RetireCluster", "", "permission_denied"],
    ["test viewer", "TokenService/ListApiTokens", "", "permission_denied"],
    ["test admin", "TokenService/CreateApiToken", token?.id, "ok"],
    ["test admin", "TokenService/RevokeApiToken", `${token?.id}.[secret]`, "not_found"],
  ]);
  const refused = await entriesOf(at, {
    refused: true,
    actors: ["test viewer"],
    methods: ["ClusterService/RetireCluster"],
  });
  assert.match(refused[0]?.why ?? "", /role viewer; this call takes/);
  // A time that the database cannot hold is refused, and not left out: the answer would be of another time.
  for (const seconds of [-1n, 253_402_300_800n]) {
    const asked = (await at.client(AuditService)).listAudit({ filter: { since: { seconds } } });
    assert.equal(await codeOf(asked), "InvalidArgument");
  }
  assert.equal(await codeOf((await at.client(AuditService, "operator")).listAudit({})), "PermissionDenied");
});

test("strangers and agents that fail to enrol write nothing: they could fill the log", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const before = (await entriesOf(at)).length;
  assert.equal(await codeOf(at.bare(ClusterService).retireCluster({ cluster: "eu-1" })), "Unauthenticated");
  const { request } = await enrollRequest(`falconry://jt_${"a".repeat(16)}.${"b".repeat(43)}@x`);
  assert.equal(await codeOf(at.bare(EnrollmentService).enroll(request)), "Unauthenticated");
  assert.equal((await entriesOf(at)).length, before);
});

test("an action that is rolled back leaves no row and no gap", async (t) => {
  const at = await startTestServer(t);
  const pen = { org: "default", server: "s", now: () => new Date() };
  const actor = { kind: "server", id: "", name: "", role: "" } as const;
  const facts = { actor, method: "m", target: "", request: {}, outcome: "ok", why: "" };
  const failing = at.db.transaction(async (tx) => {
    await appendAudit(tx, pen, facts);
    throw new Error("the action failed");
  });
  await assert.rejects(failing, /the action failed/);
  // As when the server or the database is killed between the row and the end of the transaction.
  const killed = at.db.transaction(async (tx) => {
    await appendAudit(tx, pen, facts);
    const { rows } = await tx.execute<{ pid: number }>("select pg_backend_pid() as pid");
    await at.db.$client.query("select pg_terminate_backend($1)", [rows[0]?.pid]);
    await tx.execute("select 1");
  });
  await assert.rejects(killed);
  await at.db.transaction((tx) => appendAudit(tx, pen, { ...facts, target: "done" }));
  const entries = await entriesOf(at);
  assert.deepEqual(
    entries.map(({ sequence, target }) => [sequence, target]),
    [[1n, "done"]],
  );
  // The other way round: an action whose row cannot be written does not happen.
  await at.db.$client.query("alter table audit_entries rename to audit_entries_away");
  const tokens = await at.client(TokenService);
  assert.equal(await codeOf(tokens.createApiToken({ name: "unseen", role: "admin" })), "Internal");
  await at.db.$client.query("alter table audit_entries_away rename to audit_entries");
  const { tokens: known } = await tokens.listApiTokens({});
  assert.ok(!known.some(({ name }) => name === "unseen"));
});

test("fifty calls at once, over two servers, leave a chain without gaps in which each is once", async (t) => {
  const at = await startTestServer(t);
  const beside = await startTestServer(t, { beside: at });
  const [here, there] = [await at.client(TokenService), await beside.client(TokenService)];
  const made = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      (i % 2 === 0 ? here : there).createApiToken({ name: `ci-${i}`, role: "viewer" }),
    ),
  );
  const entries = await entriesOf(at, { methods: ["TokenService/CreateApiToken"] });
  assert.deepEqual(
    entries.map(({ target }) => target).toSorted(),
    made.map(({ token }) => token?.id ?? "").toSorted(),
  );
  assert.deepEqual(
    entries.map(({ sequence }) => Number(sequence)).toReversed(),
    Array.from({ length: 50 }, (_, i) => i + 1),
  );
  const pages: AuditEntry[] = [];
  const audit = await at.client(AuditService);
  for (let pageToken = ""; ;) {
    const page = await audit.listAudit({ pageSize: 7, pageToken });
    pages.push(...page.entries);
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  assert.deepEqual(pages, entries, "pages add up to the whole");
});

test("the server's own role can neither change nor remove a row", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const { $client } = at.db;
  for (const statement of [
    "update audit_entries set body = '{}'",
    "delete from audit_entries",
    "truncate audit_entries",
    "delete from audit_heads",
    "truncate audit_heads",
    "update audit_chains set sequence = 0",
    "delete from audit_chains",
  ]) {
    await assert.rejects($client.query(statement), /append-only/, statement);
  }
});

test("an export has heads before rows, and a head is signed soon after the log grew", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const trust = await at.client(TrustService);
  assert.ok((await trust.getTrust({})).roles.length > 0);
  const bundles = await at.client(BundleService);
  assert.equal(
    await codeOf(bundles.pushBundles({ bundles: [], targets: new Uint8Array([1]) })),
    "InvalidArgument",
  );
  const audit = await at.client(AuditService);
  for (;;) {
    const parts: ExportAuditResponse[] = [];
    for await (const part of audit.exportAudit({})) parts.push(part);
    const heads = parts.flatMap((part) => part.heads);
    const rows = parts.flatMap((part) => part.rows);
    assert.deepEqual(
      rows.map(({ sequence }) => sequence),
      [1n, 2n],
    );
    if (heads.length === 0 || !Buffer.from(heads.at(-1)?.payload ?? "").includes('"sequence":2')) continue;
    assert.ok(
      parts.findIndex((part) => part.heads.length > 0) < parts.findIndex((part) => part.rows.length > 0),
    );
    assert.equal(parts[0]?.roots.length, 1);
    return;
  }
});
