/** The next root: made, signed by several people in several places, published; and what is refused on the way. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { decodeKeyFile, generateKey, publicKeyToPem, readRoot, signMetadata } from "#trust";
import { type FakeFleet, serveFleet } from "../test/support/fake-fleet.ts";
import { type CliResult, runCli, setEnv, temporaryDirectory, useContext } from "../test/support/run-cli.ts";

interface Desk {
  readonly fleet: FakeFleet;
  readonly path: (name: string) => string;
  /** Runs `trust ...` and holds it to its exit code. */
  readonly trust: (code: number, ...argv: readonly string[]) => Promise<CliResult>;
  /** The draft of the next root. */
  readonly next: string;
}

const day = 86_400_000;

/** A fleet with `trust init` done in the folder ada; grace and linus have a copy of the root and no keys yet. */
async function desk(t: TestContext, ...initFlags: readonly string[]): Promise<Desk> {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  const root = await temporaryDirectory(t);
  const path = (name: string) => join(root, name);
  const trust = async (code: number, ...argv: readonly string[]) => {
    const result = await runCli(["trust", ...argv]);
    assert.equal(result.code, code, `fleetctl trust ${argv.join(" ")}\n${result.out}${result.talk}`);
    return result;
  };
  await trust(0, "init", "--dir", path("ada"), "--insecure-plain-keys", ...initFlags);
  for (const who of ["grace", "linus"]) {
    mkdirSync(path(who));
    copyFileSync(path("ada/root.json"), path(`${who}/root.json`));
  }
  return { fleet, path, trust, next: path("next-root.json") };
}

function rootOf(bytes: Uint8Array | undefined) {
  const view = readRoot(bytes ?? Buffer.of());
  assert.ok(view.ok);
  return view.value;
}

async function newSigner({ path, trust }: Desk, who: string, role: string): Promise<string> {
  await trust(0, "new-signer", role, "--name", who, "--dir", path(who), "--insecure-plain-keys");
  return path(`${who}/${role}-${who}.pub.pem`);
}

test("two people are taken in, each signs where they are, in any order, and the root counts when both roots are satisfied", async (t) => {
  const at = await desk(t);
  const { fleet, path, trust, next } = at;
  const draft = ["--draft", next];
  await trust(0, "add-signer", "root", await newSigner(at, "grace", "root"), ...draft);
  const linus = await newSigner(at, "linus", "root");
  const made = await trust(0, "add-signer", "root", linus, "--threshold", "2", ...draft);
  assert.match(
    made.out,
    /root 2, unsigned\n {2}root: \+ key [0-9a-f]{64}\n.*\n {2}root: 1 -> 2 signatures needed\n$/,
  );
  // The new ones sign first: root 2 is satisfied, root 1 is not.
  await trust(0, "sign", next, "--dir", path("grace"));
  const early = await trust(0, "sign", next, "--dir", path("linus"));
  assert.match(early.talk, /root 2 carries 0 of the 1 valid signatures that root 1 demands/);
  const refused = await trust(1, "publish", next, "--dir", path("ada"));
  assert.match(
    refused.talk,
    /This root cannot be published: root 2 carries 0 of the 1 .*\(trust\/unknown-key\)/,
  );
  assert.match(refused.talk, /fleetctl trust sign .* by those who have not signed yet/);
  const whole = await trust(0, "sign", next, "--dir", path("ada"), "-o", "json");
  const { complete, quorums } = JSON.parse(whole.out);
  assert.equal(complete, true);
  assert.deepEqual(
    quorums.map((each: { from: string; threshold: number; signed: string[] }) => [
      each.from,
      each.threshold,
      each.signed.length,
    ]),
    [
      ["root 1", 1, 1],
      ["root 2", 2, 3],
    ],
  );
  await trust(0, "publish", next, "--dir", path("ada"));
  assert.ok(readFileSync(next).equals(fleet.releases.root ?? Buffer.of()));
  assert.deepEqual(readFileSync(path("ada/root.json")), readFileSync(next), "ada's folder follows");
});

test("a change of the draft drops the signatures under it and says so", async (t) => {
  const { path, trust, next } = await desk(t, "--root-keys", "3", "--root-threshold", "2");
  await trust(0, "rotate", "--draft", next, "--valid", "30d");
  await trust(0, "sign", next, "--dir", path("ada"));
  const [, second] = [...rootOf(readFileSync(next)).roles.root.keys.keys()];
  const changed = await trust(0, "remove-signer", "root", second?.slice(0, 12) ?? "", "--draft", next);
  assert.match(changed.talk, /3 signatures were dropped: what they signed has changed/);
  const view = rootOf(readFileSync(next));
  assert.equal(view.document.signatures.size, 0);
  assert.equal(view.roles.root.keys.has(second ?? ""), false);
  const left = view.document.expires.getTime() - Date.now();
  assert.ok(Math.abs(left - 30 * day) < 60_000, "what rotate said of its life still holds");
});

test("the root is renewed by one person in three commands, without a change of keys", async (t) => {
  const { fleet, path, trust, next } = await desk(t);
  await trust(0, "rotate", "--draft", next, "--valid", "730d");
  await trust(0, "sign", next, "--dir", path("ada"));
  await trust(0, "publish", next, "--dir", path("ada"));
  const view = rootOf(fleet.releases.root);
  assert.equal(view.version, 2);
  assert.ok(view.document.expires.getTime() - Date.now() > 729 * day);
});

test("whoever was away signs after the roots that came meanwhile, and only after those", async (t) => {
  const at = await desk(t);
  const { path, trust } = at;
  const [second, third] = [path("root-2.json"), path("root-3.json")];
  await trust(
    0,
    "add-signer",
    "root",
    await newSigner(at, "grace", "root"),
    "--threshold",
    "2",
    "--draft",
    second,
  );
  for (const who of ["ada", "grace"]) await trust(0, "sign", second, "--dir", path(who));
  await trust(0, "publish", second, "--dir", path("ada"));
  await trust(0, "rotate", "--draft", third);
  const stale = await trust(1, "sign", third, "--dir", path("grace"));
  assert.match(stale.talk, /the newest root known here is root 1 .*: root 2 is missing in between/);
  assert.match(stale.talk, /--after FILE/);
  // A root 2 that somebody else made is not believed.
  const forged = path("forged.json");
  const unsigned = await signMetadata(
    Buffer.from(readFileSync(second, "utf8").replace(/"signatures":\[[^\]]*\]/, '"signatures":[]')),
    [generateKey()],
  );
  assert.ok(unsigned.ok);
  writeFileSync(forged, Buffer.from(unsigned.value));
  const believed = await trust(1, "sign", third, "--dir", path("grace"), "--after", forged);
  assert.match(believed.talk, /root 2 carries 0 of the 1 valid signatures that root 1 demands/);
  await trust(0, "sign", third, "--dir", path("grace"), "--after", second);
  assert.deepEqual(readFileSync(path("grace/root.json")), readFileSync(second), "and it is kept");
  const old = await trust(1, "sign", second, "--dir", path("grace"));
  assert.match(old.talk, /The file is root 2 .*so it does not follow \(trust\/rollback\)/);
});

test("a folder without a key that either root names signs nothing", async (t) => {
  const at = await desk(t);
  const { path, trust, next } = at;
  await newSigner(at, "linus", "root");
  await trust(0, "rotate", "--draft", next);
  const stranger = await trust(1, "sign", next, "--dir", path("linus"));
  assert.match(
    stranger.talk,
    /None of the root keys in .*linus \([0-9a-f]{12}\) may sign: root 1 names [0-9a-f]{12}; root 2 names/,
  );
  assert.match(stranger.talk, /fleetctl trust add-signer root FILE/);
  const none = await trust(2, "sign", next, "--dir", path("grace"));
  assert.match(none.talk, /grace holds no root key/);
  assert.equal(rootOf(readFileSync(next)).document.signatures.size, 0);
});

test("a next root that could never be signed, or that names a key twice, is refused with the role and what to do", async (t) => {
  const at = await desk(t);
  const { path, trust, next } = at;
  const draft = ["--draft", next];
  const [id = ""] = [...rootOf(at.fleet.releases.root).roles.root.keys.keys()];
  const few = await trust(1, "remove-signer", "root", id, ...draft);
  assert.match(few.talk, /Root 2 would demand 1 root signatures and name 0 root keys/);
  const many = await trust(1, "rotate", "--targets-threshold", "2", ...draft);
  assert.match(
    many.talk,
    /would demand 2 targets signatures and name 1 targets keys[^]*add-signer targets FILE/,
  );
  const twice = await trust(1, "add-signer", "root", path("ada/root.key.json"), ...draft);
  assert.match(twice.talk, /Key [0-9a-f]{12} is a root key already[^]*trust status/);
  const unknown = await trust(2, "remove-signer", "targets", "abcdef123456", ...draft);
  assert.match(unknown.talk, /"abcdef123456" names 0 targets keys; the keys are [0-9a-f]{12}/);
  assert.match((await trust(2, "add-signer", "timestamp", "x", ...draft)).talk, /no role with offline keys/);
  assert.match((await trust(2, "rotate", "--valid", "1h", ...draft)).talk, /less than a day/);
  writeFileSync(path("p384.pem"), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
  assert.match(
    (await trust(2, "add-signer", "root", path("p384.pem"), ...draft)).talk,
    /Ed25519 or a P-256 key/,
  );
  assert.deepEqual(readdirSync(path(".")).includes("next-root.json"), false, "nothing was written");
});

test("a new key is made only when there is one to replace and a draft to name it", async (t) => {
  const { path, trust, next } = await desk(t, "--targets-keys", "2");
  const rotate = [
    "rotate",
    "--new-key",
    "targets",
    "--insecure-plain-keys",
    "--dir",
    path("ada"),
    "--draft",
    next,
  ];
  assert.match(
    (await trust(2, ...rotate)).talk,
    /holds 2 targets keys that root 1 names[^]*new-signer targets/,
  );
  copyFileSync(path("ada/root.json"), next);
  const one = rotate.with(2, "root");
  assert.match((await trust(1, ...one)).talk, /The draft is root 1 .*; the next one is root 2[^]*--draft/);
  assert.ok(!readdirSync(path("ada")).some((name) => name.includes("-v2")), "no key was made");
});

test("publish refuses what agents would refuse, and says which command mends it", async (t) => {
  const at = await desk(t);
  const { fleet, path, trust, next } = at;
  const publish = (file = next) => trust(1, "publish", file, "--dir", path("ada"));
  // The server lost the keys that the root names.
  await trust(0, "rotate", "--draft", next);
  await trust(0, "sign", next, "--dir", path("ada"));
  const { timestamp } = fleet.releases.onlineKeys;
  fleet.releases.onlineKeys = { ...fleet.releases.onlineKeys, timestamp: generateKey().publicKey };
  const lost = await publish();
  assert.match(
    lost.talk,
    /role timestamp must have threshold 1 and this server's key[^]*rotate --online-keys/,
  );
  fleet.releases.onlineKeys = { ...fleet.releases.onlineKeys, timestamp };
  // A root that is not the next one.
  await trust(0, "publish", next, "--dir", path("ada"));
  const again = path("again.json");
  copyFileSync(path("grace/root.json"), again);
  assert.match(
    (await publish(again)).talk,
    /root 1 does not follow root 2; expected 3[^]*fleetctl trust rotate/,
  );
  writeFileSync(again, "{}");
  assert.match((await publish(again)).talk, /again\.json holds no root metadata/);
  // One that is over before anybody takes it.
  await trust(0, "rotate", "--draft", again.replace("again", "short"), "--valid", "1d");
  await trust(0, "sign", path("short.json"), "--dir", path("ada"));
  const late = await runCli(["trust", "publish", path("short.json"), "--dir", path("ada")], {
    now: Date.now() + 2 * day,
  });
  assert.equal(late.code, 1);
  assert.match(late.talk, /root 3 expired at .*\(trust\/expired\)[^]*--valid 365d/);
});

test("a stolen targets key is replaced by one command in the folder; the old one signs nothing any more", async (t) => {
  const { fleet, path, trust, next } = await desk(t);
  await trust(
    0,
    "rotate",
    "--new-key",
    "targets",
    "--online-keys",
    "--insecure-plain-keys",
    "--dir",
    path("ada"),
    "--draft",
    next,
  );
  const waiting = fleet.releases.waitingKeys;
  await trust(0, "sign", next, "--dir", path("ada"));
  await trust(0, "publish", next, "--dir", path("ada"));
  const view = rootOf(fleet.releases.root);
  assert.deepEqual([...view.roles.timestamp.keys.keys()], [waiting?.timestamp.keyId]);
  assert.equal(view.roles.targets.keys.size, 1);
  assert.ok(readdirSync(path("ada")).includes("targets-v2.key.json"));
  const [made] = view.roles.targets.keys.keys();
  const old = decodeKeyFile(readFileSync(path("ada/targets.key.json"), "utf8"), undefined);
  assert.ok(old.ok && old.value.publicKey.keyId !== made);
  // The folder holds both; the one that the root names signs.
  writeFileSync(path("a.yaml"), "- list: shells\n  items: [sh]\n");
  const file = path("a-1.json");
  const build = [
    "bundle",
    "build",
    path("."),
    "--kind",
    "rules",
    "--name",
    "a",
    "--version",
    "1.0.0",
    "--out",
    file,
  ];
  assert.equal((await runCli(build)).code, 0);
  const pushed = await runCli(["bundle", "push", file, "--sign", "--dir", path("ada")]);
  assert.equal(pushed.code, 0, pushed.talk);
});

test("trust status ends with 1 from the part of a life that --alarm-at says, and names role, version and next step", async (t) => {
  const { fleet } = await desk(t);
  fleet.releases.holders = [
    { agents: 12, rootVersion: 1n, targetsVersion: 3n },
    { agents: 1, rootVersion: 0n, targetsVersion: 0n },
  ];
  const status = (days: number, ...argv: readonly string[]) =>
    runCli(["trust", "status", ...argv], { now: Date.now() + days * day });
  const fresh = await status(0);
  assert.equal(fresh.code, 0, fresh.talk);
  assert.match(
    fresh.out,
    /ROLE +VERSION +LEFT +USED +SIGNED +NEEDS +STATE\nroot +1 +36[45]d\w* +0% +1 +1 of 1 +ok\n/,
  );
  assert.match(fresh.out, /SIGNER +KEY +SIGNED\nroot +[0-9a-f]{64} +yes\n/);
  assert.match(fresh.out, /AGENTS +ROOT +TARGETS\n +12 +1 +3\n +1 +none +none\n$/);
  const codes = async (days: number) => {
    const results = [];
    for (const at of ["50", "80", "100"]) results.push((await status(days, "--alarm-at", at)).code);
    return results;
  };
  assert.deepEqual(await codes(182), [0, 0, 0]);
  assert.deepEqual(await codes(183), [1, 0, 0]);
  assert.deepEqual(await codes(293), [1, 1, 0]);
  assert.deepEqual(await codes(366), [1, 1, 1]);
  const late = await status(300);
  assert.match(
    late.talk,
    /root 1 has 82 % of its life behind it and expires at .*: fleetctl trust rotate, trust sign, trust publish/,
  );
  const json = JSON.parse((await status(300, "-o", "json")).out);
  assert.deepEqual([json.roles[0].stage, json.roles[0].usedPercent, json.alarms.length], ["expiring", 82, 1]);
});

test("a passphrase is changed for all keys of a folder or for none of them", async (t) => {
  const { path, trust } = await desk(t);
  setEnv(t, "FLEETCTL_NEW_PASSPHRASE", "correct horse battery");
  const files = ["root", "targets"].map((role) => path(`ada/${role}.key.json`));
  const idsBy = (passphrase: string | undefined) =>
    files.map((file) => {
      const key = decodeKeyFile(readFileSync(file, "utf8"), passphrase);
      return key.ok ? key.value.publicKey.keyId : key.refusal.code;
    });
  const before = idsBy(undefined);
  await trust(0, "passphrase", "--dir", path("ada"));
  assert.deepEqual(idsBy("correct horse battery"), before, "the keys are the same");
  assert.deepEqual(idsBy(undefined), ["trust/wrong-passphrase", "trust/wrong-passphrase"]);
  for (const file of files) assert.equal(statSync(file).mode & 0o777, 0o600);
  // One of the two has another passphrase: nothing changes.
  setEnv(t, "FLEETCTL_PASSPHRASE", "correct horse battery");
  setEnv(t, "FLEETCTL_NEW_PASSPHRASE", "another horse battery");
  await trust(0, "passphrase", files[1] ?? "");
  const refused = await trust(2, "passphrase", "--dir", path("ada"));
  assert.match(refused.talk, /targets\.key\.json: .*passphrase is wrong.*; no file was changed/);
  assert.equal(idsBy("correct horse battery")[0], before[0]);
  setEnv(t, "FLEETCTL_NEW_PASSPHRASE", "short");
  assert.match((await trust(2, "passphrase", files[0] ?? "")).talk, /has 5 characters; at least 12/);
  setEnv(t, "FLEETCTL_NEW_PASSPHRASE", "");
  assert.match((await trust(2, "passphrase", files[0] ?? "")).talk, /--new-passphrase-file FILE/);
});

test("a public key is handed over as PEM, and a signer's file is never overwritten", async (t) => {
  const at = await desk(t);
  const { path, trust, next } = at;
  const pem = await newSigner(at, "grace", "targets");
  assert.match(readFileSync(pem, "utf8"), /^-----BEGIN PUBLIC KEY-----\n/);
  assert.equal(statSync(path("grace/targets-grace.key.json")).mode & 0o777, 0o600);
  const again = await trust(
    2,
    "new-signer",
    "targets",
    "--name",
    "grace",
    "--dir",
    path("grace"),
    "--insecure-plain-keys",
  );
  assert.match(again.talk, /targets-grace\.key\.json is there already/);
  const bad = await trust(
    2,
    "new-signer",
    "root",
    "--name",
    "../x",
    "--dir",
    path("grace"),
    "--insecure-plain-keys",
  );
  assert.match(bad.talk, /cannot be part of a file's name/);
  const other = publicKeyToPem(generateKey().publicKey);
  assert.ok(other.ok);
  writeFileSync(path("other.pem"), other.value);
  await trust(0, "add-signer", "targets", path("other.pem"), "--draft", next);
  assert.equal(rootOf(readFileSync(next)).roles.targets.keys.size, 2);
});
