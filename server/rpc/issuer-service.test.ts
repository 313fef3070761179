/** Agents that join by the word of their cluster: a real server, and every token that must not pass. */
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { eq } from "../store/drizzle.ts";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import { AuditService } from "#proto/fleet/v1/audit";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { IssuerService } from "#proto/fleet/v1/issuer";
import { parseJoinAddress, rootPin } from "#trust";

import { createIssuer, type TestIssuer } from "../../test/support/kubernetes/issuer.ts";
import { removeSpentIssuers } from "../store/issuers.ts";
import { issuers as issuerRows, issuerUses } from "../store/schema.ts";
import type { Scope } from "../domain/scope.ts";
import { enrollRequest, must, publishRoot, startTestServer, type TestServer } from "../testing.ts";

const audience = "falconry:default";
const wish = { audiences: [audience], seconds: 600 };
const pod = { name: "falconry-agent-x2x4z", uid: "0e0e0e0e-0000-4000-8000-000000000000" };
const onNode = (name: string) => ({ name, uid: "1e1e1e1e-0000-4000-8000-000000000000" });
const agentOn = (node: string) => ({
  namespace: "falconry",
  account: "falconry-agent",
  pod,
  node: onNode(node),
});
const clusterOf = (name: string) => ({
  clusterName: name,
  clusterUid: `uid-${name}`,
  labels: { region: "eu" },
});

async function trust(at: TestServer, issuer: TestIssuer, name: string, change: object = {}) {
  const issuers = await at.client(IssuerService);
  return issuers.trustIssuer({ ...clusterOf(name), issuer: issuer.url, jwks: issuer.jwks, ...change });
}

/** What an agent sends that has no join token. */
async function requestOf(
  name: string,
  serviceAccountToken: string,
  change: Readonly<Record<string, string>> = {},
) {
  const { clusterName, clusterUid } = clusterOf(name);
  const own = { token: "", clusterName, clusterUid, agentName: "node-1", serviceAccountToken };
  return (await enrollRequest("falconry://@", { ...own, ...change })).request;
}

async function refusalOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => assert.fail("it was accepted"),
    (reason: unknown) => ConnectError.from(reason),
  );
  return `${Code[error.code]}: ${error.rawMessage}`;
}

test("agents of a cluster whose issuer is trusted", async (t) => {
  const at = await startTestServer(t);
  const root = await publishRoot(at);
  const client = at.bare(EnrollmentService);
  const enrolled = async (name: string, token: string, change: Readonly<Record<string, string>> = {}) =>
    client.enroll(await requestOf(name, token, change));
  const refused = async (name: string, token: string, change: Readonly<Record<string, string>> = {}) =>
    refusalOf(enrolled(name, token, change));

  await t.test("join without a secret, and what let them in stands in the audit log", async () => {
    const issuer = createIssuer();
    const { joinAddress, audience: asked, issuer: made } = await trust(at, issuer, "eu-1");
    assert.equal(asked, audience);
    assert.equal(must(parseJoinAddress(joinAddress)).rootPin, rootPin(root.bytes));
    assert.equal(made?.subject, "system:serviceaccount:falconry:falconry-agent");
    const response = await enrolled("eu-1", issuer.token(agentOn("node-1"), wish));
    assert.deepEqual({ ...response.labels }, { cluster: "eu-1", region: "eu" });
    const { entries } = await (await at.client(AuditService)).listAudit({ pageSize: 10 });
    const row = entries.find(({ method }) => method === "EnrollmentService/Enroll");
    assert.deepEqual([row?.actor?.kind, row?.actor?.id], ["issuer", made.id]);
    assert.deepEqual([row?.request["pod"], row?.request["node"]], [pod.name, "node-1"]);
  });

  await t.test(
    "come back as who they were when their certificate has expired, and a lost answer is given again",
    async () => {
      const issuer = createIssuer();
      await trust(at, issuer, "eu-2");
      const request = await requestOf("eu-2", issuer.token(agentOn("node-1"), wish));
      const [first, repeated] = await Promise.all([client.enroll(request), client.enroll(request)]);
      const again = await enrolled("eu-2", issuer.token(agentOn("node-1"), wish));
      assert.equal(new Set([first, repeated, again].map(({ agentId }) => agentId)).size, 1);
      assert.equal(again.clusterId, first.clusterId);
    },
  );

  await t.test(
    "are not joined by a clone with another UID, nor by another name with their keys",
    async () => {
      const issuer = createIssuer();
      await trust(at, issuer, "eu-3");
      await enrolled("eu-3", issuer.token(agentOn("node-1"), wish));
      const clone = await refused("eu-3", issuer.token(agentOn("node-1"), wish), {
        clusterUid: "uid-of-a-clone",
      });
      assert.match(
        clone,
        /^FailedPrecondition: The issuer is_\w+ is of the cluster "eu-3" with UID uid-eu-3, and this one has uid-of-a-clone/,
      );
      const other = await refused("eu-3b", issuer.token(agentOn("node-1"), wish));
      assert.match(other, /^Unauthenticated: .*not signed by a key of "eu-3b" that is registered here/);
    },
  );

  await t.test(
    "let nobody else in by a token that was copied: it admits the key that came first, whoever races",
    async () => {
      const issuer = createIssuer();
      await trust(at, issuer, "eu-4");
      const token = issuer.token(agentOn("node-1"), wish);
      const requests = await Promise.all(Array.from({ length: 20 }, () => requestOf("eu-4", token)));
      const results = await Promise.allSettled(requests.map((request) => client.enroll(request)));
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
      assert.match(await refused("eu-4", token), /let in another key before \(agent "node-1"\)/);
      // The same content under its other valid signature is the same token.
      const [input, signature = ""] = [token.slice(0, token.lastIndexOf(".")), token.split(".")[2]];
      assert.match(
        await refused("eu-4", `${input}.${otherSignature(signature)}`),
        /let in another key before/,
      );
      const uses = await at.db.select().from(issuerUses);
      assert.equal(uses.filter(({ tokenHash }) => tokenHash.length === 32).length, uses.length);
    },
  );

  await t.test("are told apart from everything else that the cluster, or somebody, signs", async () => {
    const issuer = createIssuer();
    const stranger = createIssuer();
    await trust(at, issuer, "eu-5");
    await trust(at, stranger, "us-5");
    const claims = (change: Readonly<Record<string, unknown>>) =>
      issuer.token(agentOn("node-1"), wish, change);
    const now = Math.floor(Date.now() / 1000);
    const good = claims({});
    const payload = JSON.parse(Buffer.from(good.split(".")[1] ?? "", "base64url").toString()) as object;
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const kid = (JSON.parse(issuer.jwks) as { keys: { kid: string }[] }).keys[0]?.kid;
    const unsigned = `${encode({ alg: "none", kid })}.${encode(payload)}`;
    const hmacInput = `${encode({ alg: "HS256", kid })}.${encode(payload)}`;
    const pem = issuer.publicKey.export({ type: "spki", format: "pem" });
    const hmac = createHmac("sha256", pem).update(hmacInput).digest("base64url");
    const { privateKey: foreign } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const k8s = (payload as { "kubernetes.io": object })["kubernetes.io"];
    const bad: readonly (readonly [what: string, token: string, said: RegExp])[] = [
      ["nobody's signature", `${unsigned}.`, /no signed JWT/],
      ["alg none", `${unsigned}.AAAA`, /not signed by a key of "eu-5"/],
      ["HS256 with the public key", `${hmacInput}.${hmac}`, /not signed by a key of "eu-5"/],
      ["another key under the same id", issuer.sign(payload, {}, foreign), /not signed by a key of "eu-5"/],
      ["another cluster's key", stranger.token(agentOn("node-1"), wish), /not signed by a key of "eu-5"/],
      ["no key id", issuer.sign(payload, { kid: undefined }), /no signed JWT with a key id/],
      ["an extension that nobody knows", issuer.sign(payload, { crit: ["x"], x: 1 }), /not signed by a key/],
      ["another issuer", claims({ iss: "https://evil.example.com" }), /not of the registered issuer/],
      [
        "another audience",
        claims({ aud: ["https://kubernetes.default.svc"] }),
        /not for the audience "falconry:default"/,
      ],
      ["another fleet", claims({ aud: ["falconry:other"] }), /not for the audience/],
      ["others besides", claims({ aud: [audience, "vault"] }), /for others besides falconry:default/],
      ["no audience", claims({ aud: undefined }), /not for the audience/],
      ["expired", claims({ iat: now - 700, nbf: now - 700, exp: now - 100 }), /expired/],
      ["not valid yet", claims({ nbf: now + 300 }), /cannot be taken/],
      ["no end", claims({ exp: undefined }), /cannot be taken/],
      ["a year", claims({ exp: now + 31_536_000 }), /lives for more than 24 h/],
      [
        "another service account",
        issuer.token({ ...agentOn("node-1"), account: "default" }, wish),
        /is of "system:serviceaccount:falconry:default"/,
      ],
      [
        "another namespace",
        issuer.token({ ...agentOn("node-1"), namespace: "evil" }, wish),
        /is of "system:serviceaccount:evil:/,
      ],
      ["a person", claims({ sub: "system:admin" }), /is of "system:admin"/],
      [
        "claims that differ",
        claims({ "kubernetes.io": { ...k8s, namespace: "evil" } }),
        /does not say in kubernetes.io/,
      ],
      ["no pod", claims({ "kubernetes.io": { ...k8s, pod: undefined } }), /not bound to a pod/],
      [
        "another node",
        issuer.token(agentOn("node-9"), wish),
        /^FailedPrecondition: .*on node "node-9".*on "node-1"/,
      ],
      ["too long", `${good}${"A".repeat(9_000)}`, /longer than 8192 characters/],
    ];
    for (const [what, token, said] of bad) assert.match(await refused("eu-5", token), said, what);
    assert.match(
      await refused("eu-5", good, { token: `jt_1.${"a".repeat(43)}` }),
      /^InvalidArgument: .*send one of them/,
    );
    // All of that used nothing up.
    await enrolled("eu-5", good);
  });

  await t.test(
    "stay out when they were revoked, until their issuer is trusted anew; and when it is not trusted",
    async () => {
      const issuer = createIssuer();
      await trust(at, issuer, "eu-6");
      const token = () => issuer.token(agentOn("node-1"), wish);
      const { agentId } = await enrolled("eu-6", token());
      await (await at.client(ClusterService)).revokeAgent({ cluster: "eu-6", agent: "node-1" });
      assert.match(
        await refused("eu-6", token()),
        /^FailedPrecondition: The agent "node-1" was revoked after the issuer/,
      );
      const { issuer: anew } = await trust(at, issuer, "eu-6");
      assert.equal((await enrolled("eu-6", token())).agentId, agentId);
      const issuers = await at.client(IssuerService);
      assert.equal(
        (await issuers.listIssuers({})).issuers.filter(({ clusterName }) => clusterName === "eu-6").length,
        1,
      );
      await issuers.distrustIssuer({ id: anew?.id ?? "" });
      assert.match(await refused("eu-6", token()), /not signed by a key of "eu-6"/);
    },
  );

  await t.test("are let in by nobody whose scope ends before their cluster", async () => {
    const issuer = createIssuer();
    await trust(at, createIssuer(), "eu-7", { labels: { region: "eu", team: "search" } });
    const scope = [{ key: "team", operator: "in", values: ["payments"] }] as const as unknown as Scope;
    const issuers = await at.client(IssuerService, "operator", scope);
    const asked = { ...clusterOf("eu-7"), issuer: issuer.url, jwks: issuer.jwks };
    assert.match(
      await refusalOf(issuers.trustIssuer(asked)),
      /^PermissionDenied: The labels are outside your scope/,
    );
    await issuers.trustIssuer({ ...asked, labels: { region: "eu", team: "payments" } });
    assert.equal((await issuers.listIssuers({})).issuers.length, 1);
    const known = createIssuer();
    await trust(at, known, "eu-8");
    await enrolled("eu-8", known.token(agentOn("node-1"), wish));
    const thief = { ...clusterOf("eu-8"), issuer: issuer.url, jwks: issuer.jwks };
    await issuers.trustIssuer({ ...thief, labels: { region: "eu", team: "payments" } });
    const taken = await refused("eu-8", issuer.token(agentOn("node-2"), wish), { agentName: "node-2" });
    assert.match(
      taken,
      /^FailedPrecondition: The issuer is_\w+ does not reach a cluster of this name and UID/,
    );
  });

  await t.test("cannot be more than a cluster has control-plane nodes", async () => {
    const issuer = createIssuer();
    await trust(at, issuer, "eu-9");
    const { clusterId } = await enrolled("eu-9", issuer.token(agentOn("node-1"), wish));
    await at.db.$client.query(
      `insert into agents (id, cluster_id, name, version, public_key, certificate_serial, certificate_expires_at, created_at)
       select 'ag_' || n, $1, 'more-' || n, '', '', '', now(), now() from generate_series(1, 99) n`,
      [clusterId],
    );
    const more = issuer.token(agentOn("node-2"), wish);
    assert.match(
      await refused("eu-9", more, { agentName: "node-2" }),
      /^ResourceExhausted: .*has 100 agents/,
    );
    // Who is there already may come back.
    await enrolled("eu-9", issuer.token(agentOn("node-1"), wish));
  });

  await t.test("are not joined by an issuer that cannot be read, and each bad field is named", async () => {
    const issuers = await at.client(IssuerService);
    const { jwks, url } = createIssuer();
    const asked = {
      clusterName: "Bad Name",
      clusterUid: "",
      labels: {},
      issuer: "a b",
      jwks,
      namespace: "A",
    };
    const said = await refusalOf(issuers.trustIssuer(asked));
    assert.match(said, /^InvalidArgument: cluster_name: .*cluster_uid: .*labels: .*issuer: .*namespace: /);
    const keyless = { ...clusterOf("eu-1"), issuer: url, jwks: "{}" };
    assert.match(
      await refusalOf(issuers.trustIssuer(keyless)),
      /^InvalidArgument: jwks: .*no JSON Web Key Set/,
    );
    assert.match(await refusalOf(issuers.distrustIssuer({ id: "is_0" })), /^NotFound/);
    const used = await at.db.select().from(issuerUses).where(eq(issuerUses.issuerId, "is_0"));
    assert.deepEqual(used, []);
  });

  await t.test("leave no uses behind once their tokens have expired, and what is trusted stays", async () => {
    const trusted = (await (await at.client(IssuerService)).listIssuers({})).issuers.length;
    assert.equal(await removeSpentIssuers(at.db, new Date()), 0);
    assert.ok((await removeSpentIssuers(at.db, new Date(Date.now() + 86_400_000))) > 0);
    assert.deepEqual(await at.db.select().from(issuerUses), []);
    assert.equal((await at.db.select().from(issuerRows)).length, trusted);
  });
});

/** The other signature of the same content that an ECDSA verifier takes: (r, n - s). */
function otherSignature(signature: string): string {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const bytes = Buffer.from(signature, "base64url");
  const s = BigInt(`0x${bytes.subarray(32).toString("hex")}`);
  const other = Buffer.from((order - s).toString(16).padStart(64, "0"), "hex");
  return Buffer.concat([bytes.subarray(0, 32), other]).toString("base64url");
}
