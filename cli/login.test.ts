import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { browse, startOidcProvider, type TestProvider } from "../test/support/oidc-provider.ts";
import { runCli, setEnv, temporaryDirectory } from "../test/support/run-cli.ts";
import { startTestServer, type TestServer } from "../server/testing.ts";
import type { Contexts, StoredLogin } from "./contexts.ts";

interface Fleet {
  readonly provider: TestProvider;
  readonly at: TestServer;
  /** The flags that name the server at the first login. */
  readonly place: readonly string[];
  stored(): Promise<Contexts>;
  /** Changes the login of the context as if time had passed. */
  age(change: Partial<StoredLogin>): Promise<void>;
}

/** A server whose people log in at a real provider, and a contexts file of this test. */
async function startFleet(t: TestContext): Promise<Fleet> {
  const provider = await startOidcProvider(t);
  const folder = await temporaryDirectory(t);
  const file = join(folder, "oidc.yaml");
  const lines = [
    `issuer: ${provider.issuer}`,
    "clientId: fleetctl",
    "rules:",
    "  - { claim: groups, value: fleet-admins, role: admin, scope: fleet }",
    "  - { claim: groups, value: payments, role: operator, scope: { team: payments } }",
  ];
  await writeFile(file, lines.join("\n"));
  const at = await startTestServer(t, { env: { FALCONRY_OIDC_FILE: file } });
  const contexts = join(folder, "contexts.json");
  setEnv(t, "FLEETCTL_CONFIG", contexts);
  const stored = async () => JSON.parse(await readFile(contexts, "utf8")) as Contexts;
  return {
    provider,
    at,
    place: ["--server", at.baseUrl, "--ca-pin", at.server.caPin, "--name", "here"],
    stored,
    age: async (change) => {
      const all = await stored();
      const here = all.contexts["here"];
      assert.ok(here?.login);
      const aged = { ...here, login: { ...here.login, ...change } };
      await writeFile(contexts, JSON.stringify({ ...all, contexts: { here: aged } }));
    },
  };
}

/** Logs in by the browser of a person. */
async function loginAs(fleet: Fleet, person: string, more: readonly string[] = fleet.place) {
  let page: Promise<string> | undefined;
  const done = await runCli(["login", "--oidc", ...more], {
    onBrowse: (url) => {
      page = browse(url, person);
      page.catch(() => {});
    },
  });
  return { ...done, page: await page };
}

test("fleetctl login --oidc stores a context that works, renews itself, and ends with logout", async (t) => {
  const fleet = await startFleet(t);
  const first = await loginAs(fleet, "bob");
  assert.equal(first.code, 0, first.talk);
  assert.match(first.page ?? "", /You can close this page/);
  assert.match(first.out, /You are oidc:bob@example\.com, operator of team=payments\. You see 0 clusters\./);

  const who = await runCli(["whoami"]);
  assert.match(who.out, /^role: +operator\nscope: +team=payments\nexpires: .* \((59m|1h)/m);
  assert.match(who.out, new RegExp(`issuer: +${fleet.provider.issuer}`));

  const before = (await fleet.stored()).contexts["here"];
  await fleet.age({ expiresAt: Date.now() + 30_000 });
  const both = await Promise.all([runCli(["cluster", "list"]), runCli(["whoami"])]);
  assert.deepEqual(
    both.map(({ code }) => code),
    [0, 0],
    both.map(({ talk }) => talk).join(),
  );
  const after = (await fleet.stored()).contexts["here"];
  assert.notEqual(after?.token, before?.token, "a token that ends is replaced");
  assert.notEqual(after?.login?.refreshToken, before?.login?.refreshToken, "the provider rotates it");

  const out = await runCli(["logout"]);
  assert.equal(out.out, "Logged out oidc:bob@example.com.\n");
  const refused = await runCli(["whoami"]);
  assert.equal(refused.code, 1);
  assert.match(refused.talk, /The login of "oidc:bob@example.com" was revoked/);
  assert.match(refused.talk, /try: fleetctl login --oidc/);

  const again = await loginAs(fleet, "ada", []);
  assert.match(again.out, /as context here.*You are oidc:ada@example\.com, admin of the whole fleet/);
});

test("a login that cannot be renewed says so, and asks for a login", async (t) => {
  const fleet = await startFleet(t);
  await loginAs(fleet, "ada");
  await fleet.age({ expiresAt: 1, refreshToken: "stolen" });
  const refused = await runCli(["whoami"]);
  assert.equal(refused.code, 1);
  assert.match(refused.talk, /The identity provider http:\S+ refused: .*\(invalid_grant\)/);
  assert.match(refused.talk, /try: fleetctl login --oidc/);
});

test("whom no rule fits is told so, and nothing is stored", async (t) => {
  const fleet = await startFleet(t);
  const refused = await loginAs(fleet, "eve");
  assert.equal(refused.code, 1);
  assert.match(refused.talk, /Nothing gives oidc:eve a role here/);
  await assert.rejects(fleet.stored());
});

test("fleetctl login --device takes a code that is confirmed elsewhere", async (t) => {
  const fleet = await startFleet(t);
  let confirmed: Promise<string> | undefined;
  const done = await runCli(["login", "--device", ...fleet.place], {
    onTalk: (all) => {
      const whole = /Or follow (\S+)/.exec(all)?.[1];
      if (whole !== undefined) confirmed ??= browse(whole, "ada");
    },
  });
  assert.equal(done.code, 0, done.talk);
  assert.match(done.talk, /Open http:\S+\/device on any device and enter the code [A-Z]{4}-[A-Z]{4}/);
  assert.match((await confirmed) ?? "", /success/i);
  assert.match(done.out, /You are oidc:ada@example\.com, admin/);
});

test("a page that comes with another state does not disturb the login", async (t) => {
  const fleet = await startFleet(t);
  let page: Promise<string> | undefined;
  const done = await runCli(["login", "--oidc", ...fleet.place], {
    onBrowse: (url) => {
      const redirect = new URL(url).searchParams.get("redirect_uri") ?? "";
      const answers = async () => {
        const attack = await fetch(`${redirect}?state=guessed&code=stolen`);
        assert.equal(attack.status, 400);
        assert.equal((await fetch(new URL("/other", redirect))).status, 404);
        return browse(url, "ada");
      };
      page = answers();
      page.catch(() => {});
    },
  });
  await page;
  assert.equal(done.code, 0, done.talk);
});

test("an interrupt while waiting for the browser ends the command", async (t) => {
  const fleet = await startFleet(t);
  const stop = new AbortController();
  const options = { interrupt: stop.signal, onBrowse: () => stop.abort() };
  const done = await runCli(["login", "--oidc", ...fleet.place], options);
  assert.equal(done.code, 130);
});

test("an API token is not ended by logout, and its holder sees what it is", async (t) => {
  const fleet = await startFleet(t);
  const token = await fleet.at.token("viewer");
  const logged = await runCli(["login", ...fleet.place], { input: token });
  assert.match(logged.out, /You are test viewer, viewer of the whole fleet/);
  const refused = await runCli(["logout"]);
  assert.equal(refused.code, 2);
  assert.match(refused.talk, /try: fleetctl token api revoke at_/);
  const left = await runCli(["whoami", "-o", "json"]);
  assert.equal((JSON.parse(left.out) as { role: string }).role, "viewer");
});
