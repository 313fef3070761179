import assert from "node:assert/strict";
import { chmod, mkdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fakeTls } from "../test/support/fake-tls.ts";
import { temporaryDirectory } from "../test/support/run-cli.ts";
import { changeContexts, contextsPath, parseCa, parseServer, readContexts, withContext } from "./contexts.ts";
import { Failure } from "./failure.ts";

const context = { server: "https://fleet:7443", ca: "ca", token: "at_1.s" };

test("contextsPath() prefers FLEETCTL_CONFIG, then XDG_CONFIG_HOME, then the home directory", () => {
  const home = { HOME: "/home/ada" };
  assert.equal(contextsPath(home), "/home/ada/.config/falconry/contexts.json");
  assert.equal(contextsPath({ ...home, XDG_CONFIG_HOME: "/x" }), "/x/falconry/contexts.json");
  assert.equal(contextsPath({ ...home, XDG_CONFIG_HOME: "/x", FLEETCTL_CONFIG: "/c.json" }), "/c.json");
  assert.equal(contextsPath({ ...home, FLEETCTL_CONFIG: "" }), "/home/ada/.config/falconry/contexts.json");
});

test("changeContexts() writes a file that only its owner can read, and readContexts() gives it back", async (t) => {
  const file = join(await temporaryDirectory(t), "deep", "contexts.json");
  await changeContexts(file, (stored) => withContext(stored, "prod", context));
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.deepEqual(await readContexts(file), { current: "prod", contexts: { prod: context } });
});

test("changeContexts() takes the reading right of others away from a file that had it", async (t) => {
  const file = join(await temporaryDirectory(t), "contexts.json");
  await writeFile(file, '{"contexts":{}}', { mode: 0o644 });
  await chmod(file, 0o644);
  await changeContexts(file, (stored) => withContext(stored, "prod", context));
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.match(await readFile(file, "utf8"), /at_1\.s/);
});

test("changeContexts() loses nothing that another command stores at the same time", async (t) => {
  const file = join(await temporaryDirectory(t), "contexts.json");
  const names = Array.from({ length: 12 }, (_, i) => `fleet-${i}`);
  await Promise.all(
    names.map((name) => changeContexts(file, (stored) => withContext(stored, name, context))),
  );
  assert.deepEqual(Object.keys((await readContexts(file)).contexts).toSorted(), names.toSorted());
});

test("changeContexts() is not kept waiting by a command that was killed while it held the lock", async (t) => {
  const file = join(await temporaryDirectory(t), "contexts.json");
  await mkdir(`${file}.lock`);
  const longAgo = new Date(Date.now() - 20_000);
  await utimes(`${file}.lock`, longAgo, longAgo);
  await changeContexts(file, (stored) => withContext(stored, "prod", context));
  assert.equal((await readContexts(file)).current, "prod");
});

test("readContexts() knows none when there is no file yet", async (t) => {
  assert.deepEqual(await readContexts(join(await temporaryDirectory(t), "none.json")), { contexts: {} });
});

const broken: [what: string, text: string, message: RegExp][] = [
  ["is no JSON", "{", /contexts\.json is not usable: .*JSON/],
  ["is an array", "[]", /there is no "contexts" object/],
  [
    "holds a context without a token",
    '{"contexts":{"a":{"server":"s","ca":"c"}}}',
    /context "a" has no "token"/,
  ],
  ["holds a context that is a word", '{"contexts":{"a":"b"}}', /context "a" has no "server"/],
];
for (const [what, text, message] of broken) {
  test(`readContexts() names the file and the way out when it ${what}`, async (t) => {
    const file = join(await temporaryDirectory(t), "contexts.json");
    await writeFile(file, text);
    await assert.rejects(readContexts(file), (error) => {
      assert.ok(error instanceof Failure);
      assert.match(error.message, message);
      assert.equal(error.exitCode, 2);
      assert.ok(error.next.length > 0, "it says what to try next");
      return true;
    });
  });
}

test("readContexts() says why a path cannot be read", async (t) => {
  const directory = join(await temporaryDirectory(t), "contexts.json");
  await mkdir(directory);
  await assert.rejects(readContexts(directory), /contexts\.json cannot be read \(EISDIR\)/);
});

test("parseServer() takes https and nothing after the port", () => {
  assert.equal(parseServer("https://fleet.example.com:7443"), "https://fleet.example.com:7443");
  assert.equal(parseServer("fleet.example.com:7443"), "https://fleet.example.com:7443");
  assert.equal(parseServer("https://[::1]:7443/"), "https://[::1]:7443");
  for (const text of ["http://fleet", "https://fleet/api", "https://a:b@fleet", "https://", "ftp://x"]) {
    assert.throws(() => parseServer(text), Failure, text);
  }
});

test("parseCa() takes certificates only, so that a key or a page pasted by mistake is found at once", async () => {
  const { ca, key } = await fakeTls();
  assert.equal(parseCa(`words\n${ca}`, "ca.pem").trim(), ca.trim());
  for (const text of ["", "<html>", key, ca.replace(/[A-Z]/, "!")]) {
    assert.throws(() => parseCa(text, "ca.pem"), /ca\.pem does not hold a CA certificate in PEM/);
  }
});
