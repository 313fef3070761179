/** Enrolment and renewal against a real server. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { sql } from "../../server/store/drizzle.ts";
import { pino } from "pino";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { IssuerService } from "#proto/fleet/v1/issuer";
import { parseSpiffeId } from "#trust";
import { createIssuer } from "../../test/support/kubernetes/issuer.ts";
import type { AgentError } from "../agent-error.ts";
import { log, newHome, startAgentFleet, until } from "../testing.ts";
import type { Home } from "../testing.ts";
import { enroll } from "./enroll.ts";
import { readIdentity, writeIdentity } from "./identity.ts";

const never = new AbortController().signal;
const enrolling = ({ config }: Home) => enroll(config, log, never);

async function refusal(promise: Promise<unknown>): Promise<AgentError> {
  return promise.then(
    () => assert.fail("it was accepted"),
    (error: unknown) => error as AgentError,
  );
}

test("an agent enrols with a key that stays here, and pins what it trusts", async (t) => {
  const fleet = await startAgentFleet(t);
  const home = newHome(t, await fleet.joinString());
  const identity = await enrolling(home);
  const { subjectAltName = "" } = new X509Certificate(identity.certificateChain);
  const id = parseSpiffeId(subjectAltName.replace("URI:", ""));
  const { clusterId, agentId } = identity;
  assert.deepEqual(id, { ok: true, value: { org: "default", clusterId, agentId } });
  assert.deepEqual(readIdentity(home.paths.identity), identity);
  assert.equal(statSync(home.paths.identity).mode & 0o777, 0o600);
  assert.ok(existsSync(home.paths.trusted));
  assert.equal(existsSync(home.paths.pendingKey), false);
  assert.equal(home.current().labels["region"], "eu");
});

test("a server with another CA is refused before the token is sent, and both hashes are named", async (t) => {
  const fleet = await startAgentFleet(t);
  const joinString = await fleet.joinString();
  const wrong = `sha256:${"0".repeat(64)}`;
  const home = newHome(t, joinString.replace(/ca=sha256:[0-9a-f]+/, `ca=${wrong}`));
  const { code, message } = await refusal(enrolling(home));
  assert.equal(code, "enroll/wrong-pin");
  assert.ok(message.includes(wrong) && message.includes(fleet.at.server.caPin), message);
  const { rows } = await fleet.at.db.execute(sql`select uses from join_tokens`);
  assert.deepEqual(rows, [{ uses: 0 }]);
});

test("a trust root with another hash than the join string's is refused, and nothing is enrolled", async (t) => {
  const fleet = await startAgentFleet(t);
  const joinString = await fleet.joinString();
  const home = newHome(t, joinString.replace(/root=sha256:[0-9a-f]+/, `root=sha256:${"0".repeat(64)}`));
  const { code, message } = await refusal(enrolling(home));
  assert.equal(code, "enroll/refused");
  assert.match(message, /pins the trust root/);
  const { rows } = await fleet.at.db.execute(sql`select uses from join_tokens`);
  assert.deepEqual(rows, [{ uses: 0 }]);
  assert.equal(readIdentity(home.paths.identity), undefined);
});

test("a token that is used up is refused in words, and without a join string it says what to do", async (t) => {
  const fleet = await startAgentFleet(t);
  const joinString = await fleet.joinString();
  await enrolling(newHome(t, joinString));
  const second = newHome(t, joinString, { FALCONRY_CLUSTER: "eu-2" });
  const used = await refusal(enrolling(second));
  assert.equal(used.code, "enroll/refused");
  assert.match(used.message, /used/);
  const none = await refusal(enrolling(newHome(t, "")));
  assert.match(none.message, /FALCONRY_JOIN_FILE/);
});

test("an answer that was lost is asked for again with the same key, and uses the token once", async (t) => {
  const fleet = await startAgentFleet(t);
  const home = newHome(t, await fleet.joinString());
  const first = await enrolling(home);
  // As if the agent had died before the answer came: the key is there, the identity is not.
  writeFileSync(home.paths.pendingKey, first.privateKey);
  const second = await enrolling(home);
  assert.deepEqual([second.agentId, second.privateKey], [first.agentId, first.privateKey]);
  const { rows } = await fleet.at.db.execute(sql`select uses from join_tokens`);
  assert.deepEqual(rows, [{ uses: 1 }]);
});

test("a certificate that is due is renewed with a new key, and the agent comes in and proves with it", async (t) => {
  const fleet = await startAgentFleet(t);
  const home = newHome(t, await fleet.joinString());
  const before = await enrolling(home);
  const agedMs = 20 * 3_600_000;
  writeIdentity(home.paths.identity, {
    ...before,
    notBeforeMs: before.notBeforeMs - agedMs,
    notAfterMs: before.notAfterMs - agedMs,
  });
  // Certificates are told apart by the second in which they expire.
  const second = () => Math.floor(Date.now() / 1_000);
  const enrolledIn = second();
  await until("it is another second", () => second() > enrolledIn);
  await home.start();
  const renewed = await until("it is renewed", () => {
    const identity = readIdentity(home.paths.identity);
    return identity?.privateKey === before.privateKey ? undefined : identity;
  });
  const { serialNumber } = new X509Certificate(renewed.certificateChain);
  await until("it comes in with the new certificate", async () => {
    const { rows } = await fleet.at.db.execute<{ serial: string }>(
      sql`select certificate_serial as serial from agents`,
    );
    return rows[0]?.serial === serialNumber.toLowerCase();
  });
  await fleet.assign("rules", "starter@1.0.0");
  await until(
    "it proves by its new key",
    async () => (await fleet.proved("rules")) === fleet.bundles[0]?.digest,
  );
});

test("an agent that was revoked or slept too long comes back when a new join string is put into its file", async (t) => {
  const lines: string[] = [];
  const heard = pino({ level: "trace" }, { write: (line: string) => void lines.push(line) });
  const fleet = await startAgentFleet(t, { log: heard });
  const dir = mkdtempSync(join(tmpdir(), "falconry-join-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "join.txt");
  const old = await fleet.joinString({ uses: 9 });
  writeFileSync(file, old);
  const home = newHome(t, "", { FALCONRY_JOIN_FILE: file });
  const before = await enroll(home.config, heard, never);
  await home.start(heard);
  await until("it is connected", async () => (await fleet.agent())?.transport === "stream");
  await fleet.assign("rules", "starter@1.0.0");
  await until("it proves", async () => (await fleet.proved("rules")) === fleet.bundles[0]?.digest);
  const clusters = await fleet.at.client(ClusterService);
  await clusters.revokeAgent({ cluster: "eu-1", agent: "node-1" });
  // The token that is in the file admits others, but not who was revoked after it was made.
  await until("it is refused with the old token", () =>
    lines.some((line) => line.includes("was revoked after the join token")),
  );
  assert.equal(await fleet.agent(), undefined);
  writeFileSync(file, await fleet.joinString());
  await until("it is back", async () => (await fleet.agent())?.transport === "stream");
  const after = readIdentity(home.paths.identity);
  assert.deepEqual([after?.clusterId, after?.agentId], [before.clusterId, before.agentId]);
  await until("it proves what it ran all the time", async () => (await fleet.proved("rules")) !== undefined);
  const secrets = [old, readFileSync(file, "utf8")].map((text) => /\.([^@]+)@/.exec(text)?.[1] ?? "none");
  assert.deepEqual(
    lines.filter((line) => secrets.some((secret) => line.includes(secret))),
    [],
  );
});

test("a certificate that expired while the agent was away is replaced with a new join string, for the same agent", async (t) => {
  const fleet = await startAgentFleet(t);
  const home = newHome(t, await fleet.joinString({ uses: 2 }));
  const before = await enrolling(home);
  // The server refuses it as it refuses an expired one: it is signed by nobody that it knows.
  const stranger = await startAgentFleet(t);
  const strange = await enrolling(newHome(t, await stranger.joinString()));
  const { certificateChain, privateKey } = strange;
  const notAfterMs = Date.now() - 1_000;
  writeIdentity(home.paths.identity, { ...before, certificateChain, privateKey, notAfterMs });
  await home.start();
  await until("it is connected again", async () => (await fleet.agent())?.transport === "stream");
  const after = readIdentity(home.paths.identity);
  assert.deepEqual([after?.clusterId, after?.agentId], [before.clusterId, before.agentId]);
  assert.ok(readFileSync(home.paths.trusted, "utf8").includes('"generationFloor"'));
});

test("an agent whose cluster vouches enrols by the token in its file, and by a newer one stays who it was when its certificate has expired", async (t) => {
  const fleet = await startAgentFleet(t);
  const issuer = createIssuer();
  const issuers = await fleet.at.client(IssuerService);
  const { joinAddress, audience } = await issuers.trustIssuer({
    clusterName: "eu-1",
    clusterUid: "uid-eu-1",
    labels: { region: "eu" },
    issuer: issuer.url,
    jwks: issuer.jwks,
  });
  const file = join(mkdtempSync(join(tmpdir(), "falconry-projected-")), "token");
  t.after(() => rmSync(dirname(file), { recursive: true, force: true }));
  const address = join(dirname(file), "address");
  writeFileSync(address, joinAddress);
  const home = newHome(t, "", {
    FALCONRY_JOIN_FILE: address,
    FALCONRY_SERVICE_ACCOUNT_TOKEN_FILE: file,
    FALCONRY_CLUSTER_UID: "uid-eu-1",
  });
  const { code, message } = await refusal(enrolling(home));
  assert.equal(code, "enroll/no-service-account-token");
  assert.match(message, /cannot be read: .*fleetctl cluster onboard --join kubernetes/);
  const project = () => {
    const pod = { name: "falconry-agent-x", uid: "1" };
    const about = {
      namespace: "falconry",
      account: "falconry-agent",
      pod,
      node: { name: "node-1", uid: "2" },
    };
    writeFileSync(file, issuer.token(about, { audiences: [audience], seconds: 600 }));
  };
  project();
  const before = await enrolling(home);
  assert.equal(home.current().labels["region"], "eu");
  // As above: the server knows nobody who signed this certificate.
  const stranger = await startAgentFleet(t);
  const { certificateChain, privateKey } = await enrolling(newHome(t, await stranger.joinString()));
  writeIdentity(home.paths.identity, {
    ...before,
    certificateChain,
    privateKey,
    notAfterMs: Date.now() - 1_000,
  });
  // As the kubelet does in time. The address is from before the server's CA was replaced, which the agent heard of.
  project();
  writeFileSync(address, joinAddress.replace(/ca=sha256:[0-9a-f]+/, `ca=sha256:${"0".repeat(64)}`));
  const stale = newHome(t, "", {
    FALCONRY_JOIN_FILE: address,
    FALCONRY_SERVICE_ACCOUNT_TOKEN_FILE: file,
  });
  const unheard = await refusal(enrolling(stale));
  assert.equal(unheard.code, "enroll/wrong-pin");
  assert.match(
    unheard.message,
    /new CA: then run again, for the join address of now, fleetctl cluster onboard eu-1/,
  );
  await home.start();
  await until("it is connected again", async () => (await fleet.agent())?.transport === "stream");
  const after = readIdentity(home.paths.identity);
  assert.deepEqual([after?.clusterId, after?.agentId], [before.clusterId, before.agentId]);
});
