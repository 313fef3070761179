/** The example of docs/signers.md, as it stands there, signs with both kinds of keys. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkNextRoot, checkNextTargets, readTargets } from "#trust";
import { serveFleet } from "../support/fake-fleet.ts";
import { runCli, temporaryDirectory, useContext } from "../support/run-cli.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/signers.md"), "utf8");
const script = /```sh\n(#!\/bin\/sh\n[^]*?)```/.exec(page)?.[1] ?? "";
const forEd25519 = /`(openssl pkeyutl [^`]*)`/.exec(page)?.[1] ?? "";

test("keys that OpenSSL holds sign roots and releases by the script of the documentation", async (t) => {
  assert.match(script, /openssl dgst -sha256 -sign "\$1" "\$message"/);
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  const dir = await temporaryDirectory(t);
  const path = (name: string) => join(dir, name);
  const run = async (...argv: readonly string[]) => {
    const result = await runCli(argv);
    assert.equal(result.code, 0, `fleetctl ${argv.join(" ")}\n${result.out}${result.talk}`);
    return result;
  };
  const trust = path("trust");
  await run("trust", "init", "--dir", trust, "--insecure-plain-keys");
  writeFileSync(join(trust, "sign-p256.sh"), script);
  writeFileSync(
    join(trust, "sign-ed25519.sh"),
    script.replace('openssl dgst -sha256 -sign "$1" "$message"', () => forEd25519),
  );
  const openssl = (...argv: readonly string[]) =>
    execFileSync("openssl", argv, { stdio: "pipe", cwd: trust });
  openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "p256.pem");
  openssl("genpkey", "-algorithm", "ed25519", "-out", "ed25519.pem");
  const refer = (role: string, kind: string) => {
    chmodSync(join(trust, `sign-${kind}.sh`), 0o700);
    const file = join(trust, `${role}-${kind}.key.json`);
    const command = [`./sign-${kind}.sh`, `${kind}.pem`];
    const pem = openssl("pkey", "-in", `${kind}.pem`, "-pubout").toString();
    writeFileSync(file, JSON.stringify({ signer: "exec", command, public: pem }));
    return file;
  };
  const next = ["--draft", path("next-root.json")];
  await run("trust", "add-signer", "root", refer("root", "ed25519"), "--threshold", "2", ...next);
  await run("trust", "add-signer", "targets", refer("targets", "p256"), ...next);
  await run("trust", "add-signer", "targets", refer("targets", "ed25519"), "--threshold", "3", ...next);
  const signed = await run("trust", "sign", path("next-root.json"), "--dir", trust);
  assert.match(signed.talk, /To publish it/);
  const first = fleet.releases.root;
  await run("trust", "publish", path("next-root.json"), "--dir", trust);
  const { root, onlineKeys } = fleet.releases;
  assert.ok(first && root);
  assert.equal(checkNextRoot(first, root, onlineKeys, new Date()).ok, true);

  writeFileSync(path("base.yaml"), "- list: shells\n  items: [sh]\n");
  await run(
    "bundle",
    "build",
    dir,
    "--kind",
    "rules",
    "--name",
    "a",
    "--version",
    "1.0.0",
    "--out",
    path("a.json"),
  );
  await run("bundle", "push", path("a.json"), "--sign", "--dir", trust);
  const { targets } = fleet.releases;
  assert.ok(targets);
  assert.equal(checkNextTargets(root, undefined, targets, new Date()).ok, true);
  const view = readTargets(targets);
  assert.equal(view.ok && view.value.document.signatures.size, 3, "the plain key, P-256 and Ed25519");
});
