/** Keys that come and go: a real server, real agents and the command line, from the first root to the fifth. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { sql } from "../../server/store/drizzle.ts";
import { newHome, rules, startAgentFleet, until, type AgentFleet } from "../../agent/testing.ts";
import { must } from "../../server/testing.ts";
import { insertMetadata } from "../../server/store/metadata.ts";
import { notifyChanged } from "../../server/store/notify.ts";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { TrustService } from "#proto/fleet/v1/trust";
import {
  decodeKeyFile,
  encodeKeyFile,
  newSnapshot,
  newTargets,
  newTimestamp,
  readRoot,
  readTargets,
  signMetadata,
} from "#trust";
import { runCli, temporaryDirectory, useContext } from "../support/run-cli.ts";

interface Desk {
  readonly fleet: AgentFleet;
  /** Runs a command that has to end with this code; answers with what it printed. */
  readonly run: (code: number, ...argv: readonly string[]) => Promise<string>;
  readonly path: (name: string) => string;
}

interface StatusJson {
  readonly onlineKeys: readonly { readonly role: string; readonly keyId: string }[];
  readonly roles: readonly {
    readonly role: string;
    readonly version: number;
    readonly signed: readonly string[];
  }[];
  readonly holders: readonly { readonly root: number; readonly targets: number; readonly agents: number }[];
  readonly alarms: readonly string[];
}

/** A fleet whose offline keys lie in the folder "ada". */
async function desk(t: TestContext): Promise<Desk> {
  const fleet = await startAgentFleet(t);
  const { at, offline } = fleet;
  await useContext(t, { server: at.baseUrl, ca: at.ca, token: await at.token("admin") });
  const dir = await temporaryDirectory(t);
  const path = (name: string) => join(dir, name);
  mkdirSync(path("ada"));
  writeFileSync(path("ada/root.key.json"), encodeKeyFile(offline.root, undefined));
  writeFileSync(path("ada/targets.key.json"), encodeKeyFile(offline.targets, undefined));
  const { metadata } = await (await at.client(TrustService)).getMetadata({ role: "root" });
  writeFileSync(path("ada/root.json"), metadata);
  const run = async (code: number, ...argv: readonly string[]) => {
    const result = await runCli(argv);
    assert.equal(result.code, code, `fleetctl ${argv.join(" ")}\n${result.out}${result.talk}`);
    return result.out + result.talk;
  };
  return { fleet, run, path };
}

async function status(): Promise<StatusJson> {
  return JSON.parse((await runCli(["trust", "status", "-o", "json"])).out) as StatusJson;
}

const holders = async () => (await status()).holders.map((each) => `${each.agents} on root ${each.root}`);

/** The digests of the rules that the agents of the one cluster prove. */
async function proved({ at }: AgentFleet): Promise<readonly (string | undefined)[]> {
  const clusters = await at.client(ClusterService);
  const { cluster } = await clusters.getCluster({ cluster: "eu-1" });
  return (cluster?.agents ?? []).map(({ running }) => running[0]?.bundle?.digest);
}

const allProve = (fleet: AgentFleet, digest: string, agents: number) =>
  until(`${agents} agents prove ${digest}`, async () => {
    const seen = (await proved(fleet)).filter((each) => each === digest);
    return seen.length === agents;
  });

interface Scene extends Desk {
  readonly t: TestContext;
}

/** Roots 2 to 4: a second signer, the server's online keys, the targets key. Both agents are left running and on root 4. */
async function followFourRoots(at: Scene): Promise<void> {
  const { fleet, run, path } = at;
  const joinString = await fleet.joinString({ uses: 2 });
  const awake = newHome(at.t, joinString, { FALCONRY_CLUSTER_UID: "uid-eu-1" });
  await awake.start();
  const sleeper = newHome(at.t, joinString, { FALCONRY_NODE: "node-2", FALCONRY_CLUSTER_UID: "uid-eu-1" });
  const asleep = await sleeper.start();
  await fleet.assign("rules", "starter@1.0.0");
  await allProve(fleet, fleet.bundles[0]?.digest ?? "", 2);
  await asleep.stop();
  const next = path("next-root.json");
  const sign = (who: string, ...more: readonly string[]) =>
    run(0, "trust", "sign", next, "--dir", path(who), ...more);
  const publish = (code = 0) => run(code, "trust", "publish", next, "--dir", path("ada"));

  // Root 2: a second signer, and both are needed.
  await run(
    0,
    "trust",
    "new-signer",
    "root",
    "--name",
    "grace",
    "--dir",
    path("grace"),
    "--insecure-plain-keys",
  );
  copyFileSync(path("ada/root.json"), path("grace/root.json"));
  const grace = path("grace/root-grace.pub.pem");
  await run(0, "trust", "add-signer", "root", grace, "--threshold", "2", "--draft", next);
  assert.match(await publish(1), /root 2 carries 0 of the 1 valid signatures that root 1 demands/);
  assert.match(await sign("ada"), /root 2: 1 of the 2 signatures that it demands.*not by/);
  assert.match(
    await publish(1),
    /root 2 carries 1 of the 2 valid signatures that root 2 demands.*still to sign/,
  );
  assert.match(await sign("grace"), /To publish it: fleetctl trust publish/);
  await publish();
  await until("the agent that is awake follows", async () => (await holders()).includes("1 on root 2"));

  // Root 3: the server's online keys.
  const before = await status();
  await run(0, "trust", "rotate", "--online-keys", "--draft", path("root-3.json"));
  for (const who of ["ada", "grace"]) {
    const after = who === "grace" ? ["--after", next] : [];
    await run(0, "trust", "sign", path("root-3.json"), "--dir", path(who), ...after);
  }
  await run(0, "trust", "publish", path("root-3.json"), "--dir", path("ada"));
  const after = await status();
  for (const [index, { role, keyId }] of after.onlineKeys.entries()) {
    assert.notEqual(keyId, before.onlineKeys[index]?.keyId, `${role} is another key`);
  }
  for (const role of ["snapshot", "timestamp"]) {
    const { signed = [] } = after.roles.find((each) => each.role === role) ?? {};
    assert.deepEqual(signed, [after.onlineKeys.find((each) => each.role === role)?.keyId]);
  }
  await until("the agent that is awake follows", async () => (await holders()).includes("1 on root 3"));

  // Root 4: another targets key. Until it signs, nothing new starts.
  await run(
    0,
    "trust",
    "rotate",
    "--new-key",
    "targets",
    "--insecure-plain-keys",
    "--dir",
    path("ada"),
    "--draft",
    path("root-4.json"),
  );
  await run(0, "trust", "sign", path("root-4.json"), "--dir", path("ada"));
  await run(0, "trust", "sign", path("root-4.json"), "--dir", path("grace"), "--after", path("root-3.json"));
  const published = await run(0, "trust", "publish", path("root-4.json"), "--dir", path("ada"));
  assert.match(
    published,
    /nothing new starts yet: targets 1 carries 0 of the 1 valid signatures that root 4 demands/,
  );
  assert.match(await run(1, "trust", "status"), /targets +1 .*lacks signatures/);
  const third = rules("1.2.0");
  writeFileSync(path("starter-1.2.0.json"), Buffer.from(third.bytes));
  const released = await run(0, "bundle", "push", path("starter-1.2.0.json"), "--sign", "--dir", path("ada"));
  assert.match(released, /Targets 1 was not signed as root 4 demands/);
  await fleet.assign("rules", "starter@1.2.0");
  await until("the agent that is awake proves it", async () => (await proved(fleet)).includes(third.digest));

  // Who comes back after all of that walks the whole chain.
  await sleeper.start();
  await allProve(fleet, third.digest, 2);
  await until("both are seen on root 4", async () => (await holders()).includes("2 on root 4"));
  await run(0, "trust", "status");
}

/** Root 5, after a thief of everything that signs but root. */
async function shutOutThief({ fleet, run, path }: Scene): Promise<void> {
  const { at } = fleet;
  // The thief writes into the database, past the server, with keys that agents believe.
  const version = Number.MAX_SAFE_INTEGER;
  const now = new Date();
  const trust = await at.client(TrustService);
  const root = must(readRoot((await trust.getMetadata({ role: "root" })).metadata));
  const stolen = at.state.keyring.signersFor(root);
  const stolenTargets = must(decodeKeyFile(readFileSync(path("ada/targets-v4.key.json"), "utf8"), undefined));
  const { metadata: published } = await trust.getMetadata({ role: "targets" });
  const list = Buffer.from(must(newTargets(published, { add: [], now }))).toString();
  const raised = Buffer.from(list.replace(/"version":\d+/, `"version":${version}`));
  const targets = must(await signMetadata(raised, [stolenTargets]));
  assert.equal(must(readTargets(targets)).version, version);
  const snapshot = must(await signMetadata(must(newSnapshot(targets, { version, now })), [stolen.snapshot]));
  const timestamp = must(
    await signMetadata(must(newTimestamp(snapshot, { version, now })), [stolen.timestamp]),
  );
  await at.db.transaction(async (tx) => {
    for (const [role, body] of Object.entries({ targets, snapshot, timestamp })) {
      const row = { role: role as "targets", version: BigInt(version), body, publishedAt: now };
      await insertMetadata(tx, { ...row, expiresAt: new Date(now.getTime() + 8 * 86_400_000) });
    }
    // And the server's own key signs the highest generation there is.
    await tx.execute(sql`update assignments set generation = ${version}, changed = nextval('change_seq')`);
    await notifyChanged(tx);
  });
  await until("the agents take the thief's generation", async () => {
    const { rows } = await at.db.execute(sql`select 1 from agents where observed_generation = ${version}`);
    return rows.length === 2;
  });
  await until("the agents believe the thief", async () =>
    (await status()).holders.some((each) => each.agents === 2 && each.targets === version),
  );

  // The operator takes the rows out, and other keys come.
  await at.db.execute(sql`delete from trust_metadata where version = ${version}`);
  await at.db.execute(sql`update assignments set generation = 100, changed = nextval('change_seq')`);
  const next = path("root-5.json");
  const keys = ["--online-keys", "--new-key", "targets", "--insecure-plain-keys"];
  await run(0, "trust", "rotate", ...keys, "--dir", path("ada"), "--draft", next);
  await run(0, "trust", "sign", next, "--dir", path("ada"));
  await run(0, "trust", "sign", next, "--dir", path("grace"), "--after", path("root-4.json"));
  await run(0, "trust", "publish", next, "--dir", path("ada"));
  const list2 = path("targets.json");
  await run(0, "bundle", "sign", "--renew", "--dir", path("ada"), "--out", list2);
  await run(0, "bundle", "push", "--targets", list2);
  await until("the agents are back among the versions of the fleet", async () =>
    (await status()).holders.some((each) => each.agents === 2 && each.root === 5 && each.targets === 3),
  );
  await fleet.assign("rules", "starter@1.1.0");
  await allProve(fleet, fleet.bundles[1]?.digest ?? "", 2);
}

test("keys come and go, and the agents of a fleet follow", { timeout: 240_000 }, async (t) => {
  const scene = { ...(await desk(t)), t };
  await t.test(
    "roots follow each other to an agent that is awake and to one that slept through three, with other signers, online keys and targets keys",
    () => followFourRoots(scene),
  );
  await t.test(
    "a thief of the targets key and the server's keys who raised every version as far as it goes is shut out by the next root",
    () => shutOutThief(scene),
  );
});
