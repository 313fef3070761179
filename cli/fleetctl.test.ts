import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { serveFleet } from "../test/support/fake-fleet.ts";
import { fakeTls } from "../test/support/fake-tls.ts";
import { runCli, setEnv, spawnCli, temporaryDirectory, useContext } from "../test/support/run-cli.ts";

/** No refusal may show how the program is made. */
function assertNoStack(text: string): void {
  assert.doesNotMatch(text, /\n\s+at |node:internal|node_modules|\.ts:\d/);
}

test("fleetctl says what to do when there is no contexts file yet", async (t) => {
  const file = join(await temporaryDirectory(t), "contexts.json");
  setEnv(t, "FLEETCTL_CONFIG", file);
  const { code, out, talk } = await runCli(["cluster", "list"]);
  assert.equal(code, 2);
  assert.equal(out, "");
  assert.ok(talk.includes(`there is no context in ${file}`), talk);
  assert.match(talk, /try: npm start/);
  assert.match(talk, /try: fleetctl login/);
});

test("fleetctl names a contexts file that it cannot use", async (t) => {
  const file = join(await temporaryDirectory(t), "contexts.json");
  await writeFile(file, "not json");
  setEnv(t, "FLEETCTL_CONFIG", file);
  const { code, talk } = await runCli(["cluster", "list"]);
  assert.equal(code, 2);
  assert.ok(talk.includes(`The contexts file ${file} is not usable`), talk);
  assertNoStack(talk);
});

test("fleetctl lists the contexts that there are when the wanted one is missing", async (t) => {
  await useContext(t, { server: "https://localhost:1", ca: (await fakeTls()).ca, token: "t" });
  const { code, talk } = await runCli(["cluster", "list", "--context", "prod"]);
  assert.equal(code, 2);
  assert.match(talk, /There is no context "prod" in .*: it holds test/);
});

test("fleetctl ends with 3 and names the address when nobody listens there", async (t) => {
  await useContext(t, { server: "https://localhost:1", ca: (await fakeTls()).ca, token: "t" });
  const { code, talk } = await runCli(["cluster", "list"]);
  assert.equal(code, 3);
  assert.match(talk, /https:\/\/localhost:1 cannot be reached \(ECONNREFUSED\)/);
  assert.match(talk, /try: Check that the server runs/);
  assertNoStack(talk);
});

test("fleetctl ends with 2 when the port speaks something else than TLS", async (t) => {
  const server = createServer((socket) => socket.end("SSH-2.0-x\r\n"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  await useContext(t, { server: `https://127.0.0.1:${address.port}`, ca: (await fakeTls()).ca, token: "t" });
  const { code, talk } = await runCli(["cluster", "list"]);
  assert.equal(code, 2, talk);
  assert.match(talk, /does not speak TLS/);
});

test("fleetctl does not talk to a server whose certificate another CA signed", async (t) => {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, { ...context, ca: (await fakeTls()).ca });
  const { code, talk } = await runCli(["cluster", "list"]);
  assert.equal(code, 2);
  assert.match(talk, /is not signed by the CA that context "test" trusts/);
  assert.ok(!talk.includes(fleet.token), "the token stays secret");
});

test("fleetctl ends with 1 and shows the way to log in when the token is not accepted", async (t) => {
  const { context } = await serveFleet(t);
  await useContext(t, { ...context, token: "at_old.revoked" });
  const { code, talk } = await runCli(["cluster", "list"]);
  assert.equal(code, 1);
  assert.match(
    talk,
    /does not accept the token as context "test": The API token is unknown, expired or revoked/,
  );
  assert.match(talk, /try: fleetctl login --server https:\/\/localhost/);
});

test("fleetctl takes server, token and CA from the environment alone, as CI wants it", async (t) => {
  const { fleet, context, tls } = await serveFleet(t);
  fleet.addCluster("eu-1", { region: "eu" });
  const ca = join(await temporaryDirectory(t), "ca.pem");
  await writeFile(ca, tls.ca);
  setEnv(t, "FLEETCTL_TOKEN", context.token);
  const half = await runCli(["cluster", "list"]);
  assert.equal(half.code, 2);
  assert.match(half.talk, /Set FLEETCTL_SERVER=https:\/\/HOST:PORT and FLEETCTL_CA_FILE=FILE too/);
  setEnv(t, "FLEETCTL_SERVER", context.server);
  setEnv(t, "FLEETCTL_CA_FILE", ca);
  const { code, out } = await runCli(["cluster", "list"]);
  assert.equal(code, 0);
  assert.match(out, /eu-1/);
});

const mistakes: [line: string, message: RegExp, next: RegExp][] = [
  ["cluster lst", /There is no command "cluster lst"/, /try: fleetctl cluster list\n/],
  ["frobnicate", /There is no command "frobnicate"/, /try: fleetctl --help/],
  ["cluster list --regoin eu", /There is no flag: --regoin/, /try: fleetctl cluster list --region\n/],
  ["cluster show", /CLUSTER is missing: name or id of the cluster/, /try: fleetctl cluster show --help/],
  ["rollout list eu", /Unexpected argument: eu/, /try: fleetctl rollout list --help/],
  [
    "cluster list -o xml",
    /Expected --output=xml to be one of: table, wide, json, yaml/,
    /cluster list --help/,
  ],
  ["rollout rules --canary none", /--canary "none" is not a whole number from 1 to 10000/, /^/],
  ["rollout rules --soak 5", /--soak "5" is not a duration/, /try: --soak 90s/],
  ["rollout rules --region ,", /--region names nothing/, /leave --region away for all/],
  ["alerts list --since yesterday", /--since "yesterday" is no time/, /try: --since 1h/],
  ["cluster label eu-1 nonsense", /label "nonsense" is not a label/, /try: label team=payments/],
];
for (const [line, message, next] of mistakes) {
  test(`fleetctl ${line}: says what is wrong and what to try, and ends with 2`, async (t) => {
    await useContext(t, { server: "https://localhost:1", ca: (await fakeTls()).ca, token: "t" });
    const { code, out, talk } = await runCli(line.split(" "));
    assert.equal(code, 2, talk);
    assert.equal(out, "");
    assert.match(talk, message);
    assert.match(talk, next);
    assertNoStack(talk);
  });
}

test("fleetctl points into a selector that it cannot read, before it calls anybody", async (t) => {
  await useContext(t, { server: "https://localhost:1", ca: (await fakeTls()).ca, token: "t" });
  const { code, talk } = await runCli(["cluster", "list", "-l", "region=eu,team~pay"]);
  assert.equal(code, 2);
  assert.match(talk, /cannot be read at character 15: expected .* not "~"\n {2}region=eu,team~pay\n {16}\^/);
});

test("fleetctl keeps a bug's stack in a file and shows a sentence", async (t) => {
  const file = await useContext(t, { server: "https://localhost:1", ca: (await fakeTls()).ca, token: "t" });
  const { runFleetctl } = await import("./fleetctl.ts");
  let talk = "";
  const broken = new Proxy({} as Parameters<typeof runFleetctl>[1], {
    get: (_target, name) => {
      if (name === "talk") return (text: string) => (talk += text);
      throw new TypeError("boom");
    },
  });
  const code = await runFleetctl(["context", "list"], broken);
  assert.equal(code, 4);
  assert.match(talk, /This is a bug in fleetctl: boom/);
  assertNoStack(talk);
  const details = join(file, "..", "last-bug.txt");
  assert.ok(talk.includes(details), talk);
  assert.match(await readFile(details, "utf8"), /TypeError: boom\n\s+at /);
});

test("the fleetctl process gives answers on stdout, talk on stderr, and the exit code", async (t) => {
  const { fleet, context } = await serveFleet(t);
  const config = await useContext(t, context);
  fleet.addCluster("eu-1", { region: "eu" });
  const env = { FLEETCTL_CONFIG: config };
  const [list, unknown, help, none] = await Promise.all([
    spawnCli(["cluster", "list", "-o", "json"], { env }),
    spawnCli(["cluster", "lst"], { env }),
    spawnCli(["rollout", "rules", "--help"], { env }),
    spawnCli(["cluster", "show", "nope"], { env }),
  ]);
  assert.deepEqual([list.code, unknown.code, help.code, none.code], [0, 2, 0, 1]);
  assert.equal(JSON.parse(list.out).clusters[0].name, "eu-1");
  assert.equal(list.talk, "");
  assert.equal(unknown.out + none.out, "");
  assert.match(none.talk, /There is no cluster "nope"/);
  assert.match(help.out, /--max-failures=N\|N% .*FLEETCTL_MAX_FAILURES/);
  assertNoStack(unknown.talk + none.talk);
});

test("fleetctl without a command shows the nouns, and a noun shows its verbs", async () => {
  const root = await runCli([]);
  assert.equal(root.code, 0);
  for (const noun of ["alerts", "bundle", "cluster", "rollout", "token", "trust"]) {
    assert.match(root.out, new RegExp(`^  ${noun} `, "m"));
  }
  const noun = await runCli(["token"]);
  assert.match(noun.out, /token create/);
  assert.match((await runCli(["token", "api", "--help"])).out, /token api revoke/);
  assert.match((await runCli(["--version"])).out, /^fleetctl \d+\.\d+\.\d+/);
});
