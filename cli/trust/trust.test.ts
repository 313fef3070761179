import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import {
  checkNextRoot,
  checkNextTargets,
  decodeKeyFile,
  generateKey,
  rootPin,
  type OnlineKeys,
} from "#trust";
import { Failure } from "../failure.ts";
import { buildBundleFromFiles } from "./build-bundle.ts";
import { initTrust, onlineKeysOf, type InitOptions } from "./init-trust.ts";
import { coSignTargets, signTargets } from "./sign-targets.ts";
import { keyFilesOf, needsPassphrase, readKeySource } from "./signers.ts";

const now = new Date("2030-01-01T00:00:00Z");
const passphrase = "correct horse battery";
const onlineKeys: OnlineKeys = {
  snapshot: generateKey().publicKey,
  timestamp: generateKey().publicKey,
  assignment: generateKey().publicKey,
};
const bundle = buildBundleFromFiles([{ path: "a.yaml", content: "- rule: a\n" }], [], {
  org: "default",
  kind: "rules",
  name: "starter",
  version: "1.0.0",
});

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "fleetctl-trust-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, "trust");
}

const init = (dir: string, more: Partial<InitOptions> = {}) =>
  initTrust({ dir, org: "default", onlineKeys, passphrase: undefined, now, ...more });

test("a server accepts the root that trust init makes, and the targets signed with its keys", async (t) => {
  const dir = folder(t);
  const summary = await init(dir, { passphrase });
  assert.equal(checkNextRoot(undefined, summary.root, onlineKeys, now).ok, true);
  assert.equal(rootPin(readFileSync(summary.rootFile)), summary.rootPin);
  const first = await signTargets({ dir, bundles: [bundle], previousTargets: undefined, passphrase, now });
  assert.equal(first.missing, undefined);
  assert.equal(checkNextTargets(summary.root, undefined, first.targets, now).ok, true);
  const second = await signTargets({ dir, bundles: [], previousTargets: first.targets, passphrase, now });
  assert.equal(second.view.version, 2);
  assert.deepEqual([...second.view.listed.keys()], [bundle.target.path]);
});

test("key files are for their owner only and sealed with the passphrase", async (t) => {
  const dir = folder(t);
  const { keys, sealed } = await init(dir, { passphrase });
  assert.equal(sealed, true);
  assert.deepEqual(
    keys.map(({ role }) => role),
    ["root", "targets"],
  );
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  for (const { file } of keys) {
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(decodeKeyFile(readFileSync(file, "utf8"), undefined).ok, false);
    assert.equal(decodeKeyFile(readFileSync(file, "utf8"), passphrase).ok, true);
  }
  assert.equal(needsPassphrase(keyFilesOf(dir, "targets").map(readKeySource)), true);
});

test("trust init overwrites nothing, whether it is complete or was interrupted", async (t) => {
  const dir = folder(t);
  const { root, rootFile } = await init(dir);
  await assert.rejects(init(dir), (error) => error instanceof Failure && error.message.includes(rootFile));
  assert.deepEqual(readFileSync(rootFile), Buffer.from(root));
  rmSync(rootFile);
  await assert.rejects(init(dir), /root\.key\.json is there already and is not overwritten/);
});

test("two of three people release together: the first signature is kept, the second completes it", async (t) => {
  const [ann, ben] = [folder(t), folder(t)];
  const { root, keys } = await init(ann, { targets: { keys: 3, threshold: 2 } });
  const files = keys.filter(({ role }) => role === "targets").map(({ file }) => file);
  assert.deepEqual(
    files.map((file) => file.slice(ann.length + 1)),
    ["targets-1.key.json", "targets-2.key.json", "targets-3.key.json"],
  );
  await init(ben); // Ben's folder holds the fleet's root and his one key.
  rmSync(join(ben, "targets.key.json"));
  writeFileSync(join(ben, "root.json"), root);
  writeFileSync(join(ben, "targets-2.key.json"), readFileSync(files[1]!));
  for (const file of files.slice(1)) rmSync(file);
  const options = { previousTargets: undefined, passphrase: undefined, now };
  const first = await signTargets({ dir: ann, bundles: [bundle], ...options });
  assert.match(first.missing ?? "", /carries 1 of the 2 valid signatures/);
  const again = await coSignTargets({ dir: ann, targets: first.targets, ...options });
  assert.match(again.missing ?? "", /carries 1 of the 2/, "the same person twice is one person");
  const both = await coSignTargets({ dir: ben, targets: first.targets, ...options });
  assert.equal(both.missing, undefined);
  assert.equal(checkNextTargets(root, undefined, both.targets, now).ok, true);
});

test("signing refuses, before anything is pushed, what the server would refuse", async (t) => {
  const dir = folder(t);
  const foreign = folder(t);
  await init(dir);
  const { root } = await init(foreign);
  const options = { dir, bundles: [bundle], previousTargets: undefined, passphrase: undefined, now };
  await assert.rejects(signTargets({ ...options, root }), /trust\/unknown-key/);
  const late = new Date("2031-01-02T00:00:00Z");
  await assert.rejects(signTargets({ ...options, now: late }), /root 1 expired at 2031-01-01/);
  const { targets } = await signTargets(options);
  const other = buildBundleFromFiles([{ path: "a.yaml", content: "other" }], [], {
    org: "default",
    kind: "rules",
    name: "starter",
    version: "1.0.0",
  });
  await assert.rejects(
    signTargets({ ...options, bundles: [other], previousTargets: targets }),
    /give the bundle a new version/,
  );
});

test("a wrong passphrase, a missing key and a missing folder are told by their path", async (t) => {
  const dir = folder(t);
  await init(dir, { passphrase });
  const options = { dir, bundles: [bundle], previousTargets: undefined, now };
  await assert.rejects(
    signTargets({ ...options, passphrase: "wrong horse battery" }),
    /targets\.key\.json: .*passphrase is wrong/,
  );
  await assert.rejects(signTargets({ ...options, passphrase: undefined }), /targets\.key\.json: .*is sealed/);
  rmSync(join(dir, "targets.key.json"));
  await assert.rejects(signTargets({ ...options, passphrase }), /holds no targets key/);
  await assert.rejects(signTargets({ ...options, dir: `${dir}-none`, passphrase }), /-none/);
});

test("trust init refuses short passphrases, quorums that cannot sign and servers without keys", async (t) => {
  const dir = folder(t);
  await assert.rejects(init(dir, { passphrase: "short" }), /has 5 characters; at least 12/);
  await assert.rejects(init(dir, { root: { keys: 1, threshold: 2 } }), /root: 2 of 1 keys cannot sign/);
  await assert.rejects(init(dir, { targets: { keys: 0, threshold: 0 } }), /targets: 0 of 0/);
  assert.throws(
    () => onlineKeysOf([{ role: "snapshot", publicKey: "00".repeat(32) }]),
    /names no timestamp key/,
  );
  assert.throws(() => onlineKeysOf([{ role: "snapshot", publicKey: "zz" }]), /not 64 lower-case hex digits/);
});
