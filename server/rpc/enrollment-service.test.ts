import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { count, eq } from "../store/drizzle.ts";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import { BundleService } from "#proto/fleet/v1/bundle";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { TokenService } from "#proto/fleet/v1/token";
import {
  certificateToPem,
  checkAgentCertificate,
  createCsr,
  generatePrivateKey,
  parseJoinString,
  rootPin,
  spkiPin,
} from "#trust";

import { startSimAgent } from "../../test/support/sim-agent.ts";
import { agents, assignments, clusters, joinTokens, rollouts } from "../store/schema.ts";
import {
  enrollAgent,
  enrollRequest,
  must,
  publishRoot,
  push,
  rulesBundle,
  startTestServer,
  type TestServer,
} from "../testing.ts";

async function joinString(
  at: TestServer,
  wish: {
    uses?: number;
    clusterName?: string;
    clusterUid?: string;
    cidr?: string;
    labels?: Record<string, string>;
  } = {},
) {
  const tokens = await at.client(TokenService);
  return (await tokens.createJoinToken({ labels: { region: "eu" }, ...wish })).joinString;
}

function codeOf(error: unknown): string {
  return Code[ConnectError.from(error).code] ?? "";
}

test("an agent that enrols gets a certificate that names it and lets it in", async (t) => {
  const at = await startTestServer(t);
  const root = await publishRoot(at);
  const join = await joinString(at, { labels: { region: "eu", team: "payments" } });
  const parsed = must(parseJoinString(join));
  assert.deepEqual(parsed.caPins, [spkiPin(at.state.ca.certificate)]);
  assert.equal(parsed.rootPin, rootPin(root.bytes));

  const { response, identity } = await enrollAgent(at, join);
  assert.deepEqual({ ...response.labels }, { cluster: "eu-1", region: "eu", team: "payments" });
  assert.deepEqual(Buffer.from(response.root), Buffer.from(root.bytes));
  const [leaf] = response.certificateChain;
  assert.ok(leaf);
  const checked = must(checkAgentCertificate(leaf, response.caCertificates, new Date()));
  assert.deepEqual(checked.identity, {
    org: "default",
    clusterId: response.clusterId,
    agentId: response.agentId,
  });

  // Certificates count whole seconds; the other server's live longer, so that the renewed one is the newer for sure.
  const beside = await startTestServer(t, { beside: at, env: { FALCONRY_AGENT_CERTIFICATE_TTL: "48h" } });
  const renewal = generatePrivateKey();
  const renewed = await beside
    .bare(EnrollmentService, identity)
    .renewCertificate({ csr: Uint8Array.from(await createCsr(renewal)) });
  const cert = renewed.certificateChain.map((der) => certificateToPem(der)).join("\n");
  const { agentId, clusterId } = response;
  const clusterUid = "uid-eu-1";
  const { org, root: rootBytes, labels } = response;
  const address = { baseUrl: at.baseUrl, ca: at.ca, cert, key: renewal };
  const agent = startSimAgent({ ...address, org, agentId, clusterId, clusterUid, labels, root: rootBytes });
  await agent.connected;
  await agent.stop();
  const [row] = await at.db.select().from(agents).where(eq(agents.id, response.agentId));
  assert.equal(row?.certificateSerial, new X509Certificate(cert).serialNumber.toLowerCase());
});

test("200 agents that race for a token with one use: exactly one is let in", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const join = await joinString(at);
  const client = at.bare(EnrollmentService);
  const requests = await Promise.all(
    Array.from({ length: 200 }, (_, i) =>
      enrollRequest(join, { agentName: `node-${i}`, clusterName: `c-${i}`, clusterUid: `u-${i}` }),
    ),
  );
  const results = await Promise.allSettled(requests.map(({ request }) => client.enroll(request)));
  const refused = results.flatMap((result) =>
    result.status === "rejected" ? [ConnectError.from(result.reason)] : [],
  );
  assert.equal(results.length - refused.length, 1);
  assert.deepEqual([...new Set(refused.map((error) => Code[error.code]))], ["Unauthenticated"]);
  assert.match(refused[0]?.rawMessage ?? "", /used up \(1 of 1\)/);
  const [found] = await at.db.select({ count: count() }).from(clusters);
  assert.equal(found?.count, 1);
});

test("a join string with a pin of another fleet's root costs no token and leaves no cluster", async (t) => {
  const at = await startTestServer(t);
  const root = await publishRoot(at);
  const join = await joinString(at);
  const client = at.bare(EnrollmentService);
  const foreign = await enrollRequest(join, { rootPin: `sha256:${"0".repeat(64)}` });
  await assert.rejects(client.enroll(foreign.request), (error) => {
    assert.equal(codeOf(error), "FailedPrecondition");
    assert.match(String(error), /never had; its root is sha256:/);
    return true;
  });
  const [found] = await at.db.select({ count: count() }).from(clusters);
  assert.equal(found?.count, 0);
  const own = await enrollRequest(join, { rootPin: rootPin(root.bytes) });
  await client.enroll(own.request);
});

test("the same request after a lost answer gets the same agent and uses the token once", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const { request } = await enrollRequest(await joinString(at));
  const client = at.bare(EnrollmentService);
  const both = await Promise.all([client.enroll(request), client.enroll(request)]);
  const third = await client.enroll(request);
  assert.deepEqual(new Set([...both, third].map((each) => each.agentId)).size, 1);
  const [token] = await at.db.select().from(joinTokens);
  assert.equal(token?.uses, 1);
});

test("a token that is unknown, wrong, expired, revoked or bound to another name is refused in words that say which", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const client = at.bare(EnrollmentService);
  const refusal = async (join: string, change: Record<string, string> = {}) => {
    const { request } = await enrollRequest(join, change);
    const error = await client.enroll(request).then(
      () => assert.fail("was let in"),
      (reason: unknown) => ConnectError.from(reason),
    );
    return `${Code[error.code]}: ${error.rawMessage}`;
  };
  const good = await joinString(at, { uses: 5 });
  const id = must(parseJoinString(good)).tokenId;
  assert.match(
    await refusal(good, { token: `jt_0000.${"a".repeat(43)}` }),
    /^Unauthenticated: .*not known here/,
  );
  assert.match(
    await refusal(good, { token: `${id}.${"a".repeat(43)}` }),
    /^Unauthenticated: .*its secret is wrong/,
  );
  assert.match(await refusal(good, { token: "" }), /^Unauthenticated: The token is no join token/);
  assert.match(
    await refusal(await joinString(at, { clusterName: "us-1" })),
    /^FailedPrecondition: .*for the cluster "us-1"/,
  );
  await at.db
    .update(joinTokens)
    .set({ expiresAt: new Date(Date.now() - 1_000) })
    .where(eq(joinTokens.id, id));
  assert.match(await refusal(good), /^Unauthenticated: .*expired 1 s ago/);
  await (await at.client(TokenService)).revokeJoinToken({ id });
  assert.match(await refusal(good), /^Unauthenticated: .*was revoked/);
});

test("a token that is bound to a UID or a network admits nobody else, whatever key asks, and is not used up by them", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const client = at.bare(EnrollmentService);
  const elsewhere = await joinString(at, { cidr: "10.0.0.0/8" });
  const { request } = await enrollRequest(elsewhere);
  await assert.rejects(
    client.enroll(request),
    /from 10\.0\.0\.0\/8; this call comes from (127\.0\.0\.1|::1)/,
  );
  const bound = await joinString(at, { clusterUid: "uid-eu-1", cidr: "127.0.0.0/8" });
  await assert.rejects(
    enrollAgent(at, bound, { clusterUid: "uid-of-a-thief" }),
    /for the cluster with UID uid-eu-1, not for uid-of-a-thief/,
  );
  assert.deepEqual(
    (await at.db.select().from(joinTokens)).map(({ uses }) => uses),
    [0, 0],
  );
  await enrollAgent(at, bound);
  await assert.rejects(
    joinString(at, { clusterUid: "no uid", cidr: "10.1.2.3/8" }),
    /cluster_uid: .*cidr: "10\.1\.2\.3\/8" is no network/,
  );
});

test("a request that cannot be read is the caller's fault, field by field", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const { request } = await enrollRequest(await joinString(at));
  const client = at.bare(EnrollmentService);
  await assert.rejects(client.enroll({ ...request, clusterName: "Bad Name", agentName: "" }), (error) => {
    assert.equal(codeOf(error), "InvalidArgument");
    assert.match(String(error), /cluster_name: .*agent_name: /);
    return true;
  });
  await assert.rejects(
    client.enroll({ ...request, csr: new Uint8Array([1, 2, 3]) }),
    (error) => codeOf(error) === "InvalidArgument",
  );
  await assert.rejects(
    client.enroll({ ...request, csr: new Uint8Array() }),
    (error) => codeOf(error) === "InvalidArgument",
  );
});

test("a cluster keeps its record when it joins again; its name is refused to another cluster", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const join = await joinString(at, { uses: 10 });
  const first = await enrollAgent(at, join);
  const second = await enrollAgent(at, join, { agentName: "node-2" });
  const again = await enrollAgent(at, join);
  assert.equal(second.response.clusterId, first.response.clusterId);
  assert.equal(again.response.agentId, first.response.agentId);
  await assert.rejects(
    enrollAgent(at, join, { clusterUid: "uid-other" }),
    /FailedPrecondition|taken by a cluster with UID uid-eu-1/,
  );
  await assert.rejects(enrollAgent(at, join, { clusterName: "eu-2" }), /is enrolled as "eu-1"/);
});

test("the agents of a retired cluster are refused with their good certificates", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const { identity, response } = await enrollAgent(at, await joinString(at, { uses: 2 }));
  await (await at.client(ClusterService)).retireCluster({ cluster: response.clusterId });
  const csr = Uint8Array.from(await createCsr(identity.key));
  await assert.rejects(at.bare(EnrollmentService, identity).renewCertificate({ csr }), (error) => {
    assert.equal(codeOf(error), "PermissionDenied");
    assert.match(String(error), /retired/);
    return true;
  });
});

test("an agent cannot make calls for people, and people cannot make calls for agents", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const { identity } = await enrollAgent(at, await joinString(at));
  const csr = Uint8Array.from(await createCsr(identity.key));
  await assert.rejects(
    at.bare(ClusterService, identity).listClusters({}),
    (error) => codeOf(error) === "PermissionDenied",
  );
  await assert.rejects(
    (await at.client(EnrollmentService)).renewCertificate({ csr }),
    (error) => codeOf(error) === "PermissionDenied",
  );
  await assert.rejects(
    at.bare(EnrollmentService).renewCertificate({ csr }),
    (error) => codeOf(error) === "Unauthenticated",
  );
});

test("no agent enrols before a root is published: it could not verify anything", async (t) => {
  const at = await startTestServer(t);
  await assert.rejects(joinString(at), (error) => codeOf(error) === "FailedPrecondition");
});

test("a cluster that joins inherits the bundle of the newest rollout that chose clusters like it", async (t) => {
  const at = await startTestServer(t);
  const offline = await publishRoot(at);
  const bundle = rulesBundle("1.0.0");
  await push(at, offline, undefined, [bundle]);
  await at.db.insert(rollouts).values({
    id: "ro_1",
    kind: "rules",
    digest: bundle.digest,
    spec: { selector: [{ key: "region", operator: "in", values: ["eu"] }] },
    state: "succeeded",
    planDigest: "x",
    waves: [],
    createdBy: "test",
    createdAt: new Date(),
    finishedAt: new Date(),
  });
  const eu = await enrollAgent(at, await joinString(at));
  const us = await enrollAgent(at, await joinString(at, { labels: { region: "us" } }), {
    clusterName: "us-1",
    clusterUid: "uid-us-1",
  });
  const rows = await at.db.select().from(assignments);
  const of = (id: string) => rows.find((row) => row.clusterId === id);
  assert.equal(of(eu.response.clusterId)?.rulesDigest, bundle.digest);
  assert.equal(of(eu.response.clusterId)?.generation, 1n);
  assert.equal(of(us.response.clusterId)?.rulesDigest, null);
  const { bundles } = await (await at.client(BundleService)).listBundles({});
  assert.equal(bundles[0]?.assignedCount, 1);
});

test("the same key gets its certificate again after a lost answer, but not when the token was revoked since", async (t) => {
  const at = await startTestServer(t);
  await publishRoot(at);
  const { request } = await enrollAgent(at, await joinString(at));
  const client = at.bare(EnrollmentService);
  await client.enroll(request);
  const id = request.token.split(".")[0] ?? "";
  await (await at.client(TokenService)).revokeJoinToken({ id });
  await assert.rejects(client.enroll(request), (error) => codeOf(error) === "Unauthenticated");
});
