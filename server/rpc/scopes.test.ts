import assert from "node:assert/strict";
import { test } from "node:test";

import { toJson, type DescMethod, type DescService, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type Client } from "@connectrpc/connect";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AlertSilenceService } from "#proto/fleet/v1/alert_silence";
import { BacktestService } from "#proto/fleet/v1/backtest";
import { CaService } from "#proto/fleet/v1/ca";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { Requirement_Operator } from "#proto/fleet/v1/common";
import { IssuerService } from "#proto/fleet/v1/issuer";
import { TokenService } from "#proto/fleet/v1/token";

import { createIssuer } from "../../test/support/kubernetes/issuer.ts";
import { isAllowed, isFleetWide, roles, type Permission, type Role } from "../domain/permission.ts";
import type { Scope } from "../domain/scope.ts";
import { defaultIntakeBounds } from "../domain/alert-intake.ts";
import { createAlertTaker } from "../sessions/take-alerts.ts";
import { alertGroupId } from "../store/alert-intake.ts";
import { startTestFleet, type TestFleet } from "./agent-service/fixture.ts";

/** Everything that belongs to one team: what a caller may ask for. */
interface Things {
  readonly team: string;
  readonly cluster: string;
  readonly clusterId: string;
  readonly rollout: string;
  readonly backtest: string;
  readonly joinToken: string;
  readonly apiToken: string;
  readonly issuer: string;
  readonly group: string;
  readonly silence: string;
}

const missing: Things = {
  team: "nowhere",
  cluster: "nil-1",
  clusterId: "cl_0000000000000000",
  rollout: "ro_0000000000000000",
  backtest: "bt_0000000000000000",
  joinToken: "jt_0000000000000000",
  apiToken: "at_0000000000000000",
  issuer: "is_0000000000000000",
  group: "gr_0000000000000000",
  silence: "si_0000000000000000",
};

const labelled = (key: string, value: string) => ({
  requirements: [{ key, operator: Requirement_Operator.IN, values: [value] }],
});
const ofTeam = (team: string) =>
  [{ key: "team", operator: "in", values: [team] }] as const as unknown as Scope;

const decision = ({ rollout }: Things) => ({ rolloutId: rollout, generation: 1n });
const spec = ({ cluster }: Things) => ({
  spec: { kind: 1, bundle: "starter@1.1.0", selector: labelled("cluster", cluster) },
});

const stepOf = ({ group }: Things) => ({ groups: [{ id: group, generation: 1n }] });
const silenceOf = (team: string) => ({
  matchers: `team=${team}`,
  reason: "known",
  expiresAt: timestampFromMs(Date.now() + 3_600_000),
});

const { jwks, url: issuer } = createIssuer();
const issuerOf = ({ cluster, team }: Pick<Things, "cluster" | "team">) => ({
  clusterName: cluster,
  clusterUid: "uid",
  labels: { region: "eu", team },
  issuer,
  jwks,
});

/** A request about somebody's things for every RPC that a token may call. An RPC without one fails the test. */
const requests: Readonly<Record<string, (about: Things) => object>> = {
  WhoAmI: () => ({}),
  StartBrowserSession: () => ({}),
  ListClusters: ({ team }) => ({ selector: labelled("team", team), includeRetired: true }),
  GetCluster: ({ cluster }) => ({ cluster }),
  GetRates: ({ team }) => ({ selector: labelled("team", team) }),
  GetFleetSummary: ({ team }) => ({ selector: labelled("team", team), worst: 9, minutes: 9 }),
  LabelCluster: ({ clusterId }) => ({ cluster: clusterId, set: { note: "x" } }),
  ListAlerts: ({ cluster }) => ({ filter: { selector: labelled("cluster", cluster) } }),
  GetAlertStats: ({ team }) => ({ filter: { selector: labelled("team", team) }, by: "cluster" }),
  TailAlerts: ({ team }) => ({ filter: { selector: labelled("team", team) } }),
  ListAlertGroups: ({ team }) => ({ filter: { matchers: `team=${team}` } }),
  GetAlertGroup: ({ group }) => ({ groupId: group }),
  AcknowledgeAlertGroups: stepOf,
  ResolveAlertGroups: stepOf,
  ReopenAlertGroups: stepOf,
  ListAlertSilences: () => ({}),
  AddAlertSilence: ({ team }) => silenceOf(team),
  RemoveAlertSilence: ({ silence }) => ({ id: silence }),
  ListResponses: ({ team }) => ({ selector: labelled("team", team) }),
  ListBundles: () => ({}),
  GetBundle: () => ({ bundle: "starter@1.0.0" }),
  PushBundles: () => ({}),
  PushLayer: ({ team }) => ({ layer: team }),
  GetTrust: () => ({}),
  GetCa: () => ({}),
  RotateCa: () => ({}),
  SwitchCa: ({ cluster }) => ({ leaveBehind: [cluster] }),
  FinishCa: ({ cluster }) => ({ leaveBehind: [cluster] }),
  CancelCa: () => ({}),
  GetMetadata: () => ({}),
  PublishRoot: () => ({}),
  PrepareOnlineKeys: () => ({}),
  PutReceiver: () => ({}),
  ListReceivers: () => ({}),
  RemoveReceiver: () => ({ name: "soc" }),
  TestReceiver: () => ({ name: "soc" }),
  AddRoute: () => ({}),
  ListRoutes: () => ({}),
  RemoveRoute: () => ({ name: "soc" }),
  ListDeadLetters: () => ({}),
  RetryDeadLetters: () => ({ receiver: "soc" }),
  AddReportSchedule: () => ({}),
  ListReportSchedules: () => ({}),
  RemoveReportSchedule: () => ({ name: "soc" }),
  SendReport: () => ({ name: "soc" }),
  ListAudit: () => ({}),
  ExportAudit: () => ({}),
  ListRollouts: () => ({}),
  GetRollout: ({ rollout }) => ({ rolloutId: rollout }),
  WatchRollout: ({ rollout }) => ({ rolloutId: rollout }),
  GetShadow: ({ rollout }) => ({ rolloutId: rollout }),
  PlanRollout: spec,
  StartRollout: spec,
  StartBacktest: ({ cluster }) => ({
    bundle: "starter@1.0.0",
    selector: labelled("cluster", cluster),
    since: timestampFromMs(Date.now() - 3_600_000),
  }),
  GetBacktest: ({ backtest }) => ({ backtestId: backtest }),
  WatchBacktest: ({ backtest }) => ({ backtestId: backtest }),
  CancelBacktest: ({ backtest }) => ({ backtestId: backtest }),
  ListJoinTokens: () => ({}),
  CreateJoinToken: ({ team }) => ({ labels: { region: "eu", team } }),
  ListApiTokens: () => ({}),
  CreateApiToken: ({ team }) => ({ name: "made", role: "viewer", scope: labelled("team", team) }),
  ListIssuers: ({ cluster }) => ({ clusterName: cluster }),
  TrustIssuer: issuerOf,
  PauseRollout: decision,
  ResumeRollout: decision,
  UndoRollout: decision,
  AbortRollout: decision,
  ApproveRollout: ({ rollout }) => ({ rolloutId: rollout, planDigest: "sha256:0" }),
  RejectRollout: ({ rollout }) => ({ rolloutId: rollout, planDigest: "sha256:0" }),
  SetFreeze: () => ({}),
  LiftFreeze: () => ({}),
  GetFreeze: () => ({}),
  RevokeJoinToken: ({ joinToken }) => ({ id: joinToken }),
  DistrustIssuer: ({ issuer }) => ({ id: issuer }),
  RevokeApiToken: ({ apiToken }) => ({ id: apiToken }),
  RevokeAgent: ({ cluster }) => ({ cluster, agent: "node-1" }),
  RetireCluster: ({ cluster }) => ({ cluster }),
  Logout: () => ({}),
};

/** A cluster of a team with an alert, a rollout and tokens. */
async function belongings(fleet: TestFleet, team: string, cluster: string): Promise<Things> {
  const { at } = fleet;
  const { clusterId, agentId } = await fleet.enrol(cluster, { labels: { team } });
  const alert = {
    id: team.padEnd(64, "0"),
    timeUs: BigInt(Date.now()) * 1000n,
    clusterId,
    agentId,
    rule: `rule of ${team}`,
    priority: 4,
    source: "k8s_audit",
    output: `seen at ${team}`,
    body: "{}",
    auditId: "",
    tags: [],
    rulesDigest: "",
    actor: `user of ${team}`,
    fields: {},
  };
  await createAlertTaker(at.db, defaultIntakeBounds)(clusterId, [alert], new Date());
  const silences = await at.client(AlertSilenceService, "operator", ofTeam(team));
  const silenced = await silences.addAlertSilence(silenceOf(team));
  const tokens = await at.client(TokenService);
  const rollouts = await at.client(RolloutService);
  const { rollout } = await rollouts.startRollout({
    spec: { kind: 1, bundle: "starter@1.0.0", selector: labelled("team", team) },
  });
  const backtests = await at.client(BacktestService);
  const { backtest } = await backtests.startBacktest({
    bundle: "starter@1.0.0",
    selector: labelled("team", team),
    since: timestampFromMs(Date.now() - 3_600_000),
  });
  const join = await tokens.createJoinToken({ labels: { region: "eu", team } });
  const api = await tokens.createApiToken({
    name: `ci of ${team}`,
    role: "viewer",
    scope: labelled("team", team),
  });
  const trusted = await (await at.client(IssuerService)).trustIssuer(issuerOf({ cluster, team }));
  return {
    team,
    cluster,
    clusterId,
    rollout: rollout?.id ?? "",
    backtest: backtest?.id ?? "",
    joinToken: join.token?.id ?? "",
    apiToken: api.token?.id ?? "",
    issuer: trusted.issuer?.id ?? "",
    group: alertGroupId(clusterId, alert.rule, alert.actor),
    silence: silenced.silence?.id ?? "",
  };
}

/** A replacement of the CA that waits for a cluster, and goes on without it. */
async function leaveBehind({ at }: TestFleet, cluster: string): Promise<void> {
  const ca = await at.client(CaService);
  const begun = await ca.rotateCa({});
  for (const { certificate } of begun.ca?.authorities ?? []) at.trust(certificate);
  const switched = await ca.switchCa({ leaveBehind: [cluster] });
  assert.deepEqual(switched.ca?.rotation?.leftBehind, [`${cluster}/node-1`]);
  assert.deepEqual(switched.ca.gate?.behind, [`${cluster}/node-1`]);
  assert.equal(switched.ca.gate.oldTokenIds.length, 1);
}

type Call = (request: unknown, options: object) => Promise<Message> | AsyncIterable<Message>;

/** What a call says, whole: its code and its words or messages. */
async function say(call: Call, method: DescMethod, request: object): Promise<string> {
  const said: string[] = [];
  const tell = (message: Message) => said.push(JSON.stringify(toJson(method.output, message)));
  try {
    // A tail of alerts that do not come says first from where it tells.
    const answer = call(request, { timeoutMs: 30_000 });
    if (answer instanceof Promise) tell(await answer);
    else {
      for await (const message of answer) {
        tell(message);
        break;
      }
    }
    return `ok ${said.join(" ")}`;
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return `${Code[code]} ${rawMessage} ${said.join(" ")}`;
  }
}

/** The words without what is random, and without what was asked for. */
function bare(words: string, about: Things): string {
  return [...Object.values(about), ...Object.values(missing)]
    .reduce<string>((text, own: string) => text.replaceAll(own, "~"), words)
    .replaceAll(/\b(at|bt|gr|is|jt|ro|si)_[0-9a-z]{16}/g, "#")
    .replaceAll(/#[.][\w-]{43}/g, "#")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "@");
}

/** Every RPC that takes a token, in the order of `requests`: what ends things comes last. */
function callableRpcs(fleet: TestFleet): readonly (readonly [DescMethod, Permission])[] {
  const all = fleet.at.server.services.flatMap(({ permissions }) => [...permissions]);
  const callable = all.filter(([, permission]) => permission !== "agent" && permission !== "public");
  const order = Object.keys(requests);
  assert.deepEqual(
    callable.map(([method]) => method.name).toSorted(),
    order.toSorted(),
    "every RPC has its request here",
  );
  return callable.toSorted(([a], [b]) => order.indexOf(a.name) - order.indexOf(b.name));
}

function check(role: Role, name: string, permission: Permission, words: string): void {
  const mayNot = !isAllowed(role, permission) || isFleetWide(permission);
  assert.equal(words.startsWith("PermissionDenied"), mayNot, `${role} ${name}: ${words}`);
  assert.doesNotMatch(words, /^(Internal|Unknown|Unauthenticated|NotFound)/, `${role} ${name}`);
}

async function compare(fleet: TestFleet, role: Role, ours: Things, theirs: Things): Promise<void> {
  // One connection for each service: a handshake for each call would take as long as the calls.
  const clients = new Map<string, Promise<Client<DescService>>>();
  const clientOf = (service: DescService) => {
    const client = clients.get(service.typeName) ?? fleet.at.client(service, role, ofTeam(ours.team));
    clients.set(service.typeName, client);
    return client;
  };
  const sayOf = async (method: DescMethod, about: Things) => {
    const made = await clientOf(method.parent);
    const call = (made as unknown as Readonly<Record<string, Call>>)[method.localName];
    const request = requests[method.name];
    assert.ok(call !== undefined && request !== undefined);
    return say(call, method, request(about));
  };
  const rpcs = callableRpcs(fleet);
  const tellsOfThem = (words: string) => Object.values(theirs).filter((secret) => words.includes(secret));
  for (const [method] of rpcs.filter(([{ name }]) => name !== "Logout")) {
    const absent = await sayOf(method, missing);
    const hidden = await sayOf(method, theirs);
    assert.deepEqual(tellsOfThem(absent), [], `${role} ${method.name}: ${absent}`);
    assert.equal(
      bare(hidden, theirs),
      bare(absent, missing),
      `${role} ${method.name} tells them from nothing`,
    );
  }
  for (const [method, permission] of rpcs) {
    const words = await sayOf(method, ours);
    check(role, method.name, permission, words);
    // What was made above names what was asked for, which was narrowed to nothing.
    const isOfOurMaking = ["ListApiTokens", "ListAlertSilences"].includes(method.name);
    const own = isOfOurMaking ? words.replaceAll(theirs.team, "~") : words;
    assert.deepEqual(tellsOfThem(own), [], `${role} ${method.name}: ${words}`);
  }
}

test("for whoever has the scope of one team the things of another do not exist, whatever the role and the RPC", async (t) => {
  const fleet = await startTestFleet(t);
  const theirs = await belongings(fleet, "search", "sea-1");
  await leaveBehind(fleet, theirs.cluster);
  for (const role of roles) {
    await t.test(role, async () => {
      await compare(fleet, role, await belongings(fleet, `pay-${role}`, `eu-${role}`), theirs);
    });
  }
});
