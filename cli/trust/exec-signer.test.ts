/** What programs may do that hold a key, and what they may not. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { encodeKeyFile, generateKey, isSignedBy } from "#trust";
import { Failure } from "../failure.ts";
import { readKeySource } from "./signers.ts";

const key = generateKey();
const hex = key.publicKey.keyval.public;

/** A reference to a Node program with this text; the program finds the key's secret in `secret`. */
function reference(t: TestContext, program: string, more: object = {}): string {
  const dir = mkdtempSync(join(tmpdir(), "fleetctl-exec-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const pem = key.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  const head = `const fs = require("node:fs"); const crypto = require("node:crypto"); const secret = ${JSON.stringify(pem)};`;
  writeFileSync(join(dir, "program.cjs"), `${head}\n${program}\n`);
  const file = join(dir, "targets.key.json");
  const command = [process.execPath, "program.cjs"];
  writeFileSync(file, JSON.stringify({ signer: "exec", command, public: hex, ...more }));
  return file;
}

const sign =
  'const { message } = JSON.parse(fs.readFileSync(0, "utf8")); const signature = crypto.sign(null, Buffer.from(message, "base64"), secret).toString("base64");';

test("a program signs what it is asked to, runs in the folder of its reference, and is heard while it works", async (t) => {
  const file = reference(
    t,
    `${sign} process.stderr.write("touch the key"); process.stdout.write(JSON.stringify({ signature }))`,
  );
  const heard: string[] = [];
  const data = Buffer.alloc(1_000_000, "x");
  const signer = readKeySource(file).open(undefined, (text) => heard.push(text));
  const signature = await signer.sign(data);
  assert.equal(isSignedBy(key.publicKey, data, signature), true);
  assert.equal(heard.join(""), "touch the key");
});

test("a program gets the key, the scheme and both forms of what is to be signed, and none of our own settings", async (t) => {
  process.env["FLEETCTL_PASSPHRASE"] = "correct horse battery";
  t.after(() => delete process.env["FLEETCTL_PASSPHRASE"]);
  const file = reference(
    t,
    'process.stderr.write(fs.readFileSync(0, "utf8") + JSON.stringify(Object.keys(process.env))); process.exit(1)',
  );
  let heard = "";
  const signer = readKeySource(file).open(undefined, (text) => (heard += text));
  await assert.rejects(async () => signer.sign(Buffer.from("abc")), Failure);
  const [request = "", environment = ""] = heard.split("\n");
  assert.deepEqual(JSON.parse(request), {
    format: 1,
    keyId: key.publicKey.keyId,
    keytype: "ed25519",
    scheme: "ed25519",
    message: "YWJj",
    sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  });
  assert.ok(!environment.includes("FLEETCTL_"));
  assert.ok(environment.includes("PATH"));
});

const other = generateKey();
const otherPem = JSON.stringify(other.privateKey.export({ format: "pem", type: "pkcs8" }));
const failures: readonly (readonly [what: string, program: string, says: RegExp, more?: object])[] = [
  ["hangs", "setInterval(() => {}, 1000)", /did not answer within 1 s/, { timeoutSeconds: 1 }],
  [
    "ends with an error",
    'process.stderr.write("no card\\n"); process.exit(3)',
    /ended with code 3; it said: no card/,
  ],
  ["is killed", 'process.kill(process.pid, "SIGKILL")', /was ended by SIGKILL/],
  ["says nothing", "", /no JSON/],
  ["says something else", 'process.stdout.write("[1]")', /without "signature" in base64/],
  ["says null", 'process.stdout.write("null")', /without "signature" in base64/],
  ["never stops", 'setInterval(() => process.stdout.write("x".repeat(9000)), 1)', /more than 16384 bytes/],
  [
    "signs with another key",
    `${sign.replace("secret)", `${otherPem})`)} process.stdout.write(JSON.stringify({ signature }))`,
    /not of key [0-9a-f]{12}/,
  ],
];
for (const [what, program, says, more] of failures) {
  test(`a program that ${what} signs nothing, and the refusal names its file and what to do`, async (t) => {
    const file = reference(t, program, more);
    const signer = readKeySource(file).open(undefined, () => {});
    await assert.rejects(
      async () => signer.sign(Buffer.from("x")),
      (error) => {
        assert.ok(error instanceof Failure);
        assert.match(error.message, says);
        assert.ok(error.message.startsWith(`Signer ${file}: ${process.execPath} `));
        assert.match(error.next.join(), /docs\/signers\.md/);
        return true;
      },
    );
  });
}

test("a program that is not there is told by name", async (t) => {
  const file = reference(t, "", { command: ["./nowhere.sh"] });
  const signer = readKeySource(file).open(undefined, () => {});
  await assert.rejects(async () => signer.sign(Buffer.from("x")), /nowhere\.sh cannot be run: .*ENOENT/);
});

const wrong: readonly (readonly [more: object, says: RegExp])[] = [
  [{ command: "sign.sh" }, /"command" is no list/],
  [{ command: [] }, /"command" is no list/],
  [{ command: [""] }, /"command" is no list/],
  [{ command: ["a", 1] }, /"command" is no list/],
  [{ public: "zz" }, /not 64 lower-case hex digits/],
  [{ public: undefined }, /"public" is missing/],
  [{ public: "-----BEGIN PUBLIC KEY-----\nAAAA" }, /public key cannot be read/],
  [{ timeoutSeconds: 0 }, /from 1 to 600/],
  [{ timeoutSeconds: 601 }, /from 1 to 600/],
  [{ env: {} }, /unknown field "env"/],
  [{ signer: "pkcs11" }, /"signer" is of no kind that is known/],
];
for (const [more, says] of wrong) {
  test(`a reference with ${JSON.stringify(more)} is refused by its path`, (t) => {
    const file = reference(t, "", more);
    assert.throws(
      () => readKeySource(file),
      (error) => error instanceof Failure && error.message.startsWith(file) && says.test(error.message),
    );
  });
}

test("a key file whose public half was exchanged is refused before anybody names that key", (t) => {
  const file = reference(t, "");
  writeFileSync(file, encodeKeyFile(key, undefined).replace(hex, other.publicKey.keyval.public));
  assert.throws(() => readKeySource(file), /its public key has id/);
});
