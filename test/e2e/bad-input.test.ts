import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { machineOf, part } from "../../cli/local/fleet.ts";
import type { Fleet } from "../../cli/local/fleet.ts";
import { stopGenerators } from "../../cli/local/generators.ts";
import { initTrust, onlineKeysOf } from "../../cli/trust/init-trust.ts";
import { TrustService } from "#proto/fleet/v1/trust";
import { freePorts } from "../support/free-ports.ts";
import { localFleet } from "../support/local-fleet.ts";
import { agent, joinString, query, refuses, wellSaid } from "../support/refusals.ts";
import { programArgs } from "../support/built-programs.ts";
import { runCli, setEnv, spawnCli } from "../support/run-cli.ts";
import { bareEnv } from "../support/bare-env.ts";

test("what a hostile or clumsy operator gives it", { timeout: 300_000 }, async (t) => {
  const fleet = await localFleet(t, { regions: ["eu=1", "us=1"], rate: 5 });
  await stopGenerators(fleet);
  const root = dirname(fleet.layout.root);
  const it = (name: string, run: (t: TestContext) => Promise<void>) => t.test(name, run);

  await it("every part of a join string that is wrong is named, and no token is spent", () =>
    joins(fleet, root));
  await it("a token that is used, expired, revoked or somebody else's is refused with its id", () =>
    tokens(fleet, root));
  await it("rules with an error are refused with file, line, column and Falco's code", () =>
    rules(fleet, root));
  await it("a bundle that is unsigned, altered, signed by a stranger or older is refused", () =>
    bundles(fleet, root));
  await it("selectors, names and flags that mean nothing say what to try", () => names());
  await it("a token that is expired, wrong or too weak is refused, and a wrong context names its file", (s) =>
    callers(s, fleet, root));
  await it("a port that is taken and a fleet that is up already are left as they are", () =>
    secondUp(fleet, root));
  await it("an agent that is set up wrong ends with a sentence, before it spends its token", () =>
    agents(fleet, root));
});

const idOf = (join: string): string => /\/\/(.+?)\./.exec(join)?.[1] ?? "";

async function joins(fleet: Fleet, root: string): Promise<void> {
  const good = await joinString(fleet);
  const caPin = /ca=sha256:(\w+)/.exec(good)?.[1] ?? "";
  const dead = (pin: string) => `dead${pin.slice(4)}`;
  const nobody = await freePorts();
  const cases: readonly [string, RegExp, number | null][] = [
    ["", /enroll\/no-join-string.*FALCONRY_JOIN_FILE/, 1],
    ["hello", /does not begin with "falconry:\/\/"/, 1],
    [good.replace(/&root.*/, ""), /pin root is missing \(in a shell, put the join string in quotes/, 1],
    [good.replace(/@/, ""), /enroll\/bad-join-string: .*It looks like falconry:/, 1],
    [good.replace(/:\d+\?/, ":nowhere?"), /"nowhere" is not a port/, 1],
    [good.replace("//jt_", "//jt_x"), /The join token jt_x\w+ is not known here, or its secret is wrong/, 1],
    [good.replace(/...@/, "AAA@"), /is not known here, or its secret is wrong/, 1],
    [
      good.replace(caPin, dead(caPin)),
      new RegExp(`expected .*sha256:${dead(caPin)}, but .*sha256:${caPin}`),
      1,
    ],
    [
      good.replace(/:\d+\?/, `:${nobody}?`),
      /Cannot reach the server at 127.0.0.1:\d+: connect ECONNREFUSED/,
      0,
    ],
    [good.replace(/:\d+\?/, `:${fleet.plan.port + 1}?`), /what answers there does not speak TLS/, 0],
  ];
  for (const [index, [join, says, code]] of cases.entries()) {
    const state = `${root}/join-${index}`;
    const ended = await agent(
      state,
      { FALCONRY_JOIN: join, FALCONRY_CLUSTER: "never" },
      /enrolment has to wait/,
    );
    assert.match(ended.says, says);
    assert.equal(ended.code, code, ended.says);
  }
  const wrongName = await agent(`${root}/name`, { FALCONRY_JOIN: good, FALCONRY_CLUSTER: "Eu 1" });
  assert.match(wrongName.says, /cluster_name: "Eu 1" is no name of 1 to 63/);
  const joined = await agent(
    `${root}/good`,
    { FALCONRY_JOIN: good, FALCONRY_CLUSTER: "used-1" },
    /"enrolled"/,
  );
  assert.match(joined.says, /"enrolled"/, "none of the attempts spent the token");
}

async function tokens(fleet: Fleet, root: string): Promise<void> {
  const used = readFileSync(fleet.layout.cluster("eu-1").joinFile, "utf8");
  const expired = await joinString(fleet);
  await query(
    fleet,
    "update join_tokens set expires_at = now() - interval '1 minute' where id = $1",
    idOf(expired),
  );
  const revoked = await joinString(fleet);
  assert.equal((await runCli(["token", "revoke", idOf(revoked)])).code, 0);
  const bound = await joinString(fleet, "only-this");
  const rootPin = /root=sha256:(\w+)/.exec(expired)?.[1] ?? "";
  const wrongPin = rootPin.replace(/^.{4}/, "dead");
  const cases: readonly [string, string, RegExp][] = [
    [used, "again", new RegExp(`${idOf(used)} is used up \\(1 of 1\\): ask for a new one`)],
    [expired, "late", new RegExp(`${idOf(expired)} expired`)],
    [revoked, "gone", new RegExp(`${idOf(revoked)} was revoked`)],
    [bound, "other", /is for the cluster "only-this", not for "other"/],
    [await joinString(fleet), "eu-1", /The name "eu-1" is taken by a cluster with UID .*Choose another name/],
    [
      (await joinString(fleet)).replace(rootPin, wrongPin),
      "pin",
      new RegExp(`${wrongPin}, which this fleet never had; its root is sha256:${rootPin}. Get a join string`),
    ],
  ];
  for (const [join, cluster, says] of cases) {
    const ended = await agent(`${root}/token-${cluster}`, { FALCONRY_JOIN: join, FALCONRY_CLUSTER: cluster });
    assert.match(ended.says, says);
    assert.equal(ended.code, 1);
  }
}

const rule = (name: string, condition: string): string =>
  `- rule: ${name}\n  desc: d\n  condition: ${condition}\n  output: o\n  priority: WARNING\n  source: k8s_audit\n`;

function rulesFolder(root: string, name: string, condition: string): string {
  const dir = join(root, "rules", name);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "r.yaml"), rule(name, condition));
  return dir;
}

async function rules(fleet: Fleet, root: string): Promise<void> {
  const dir = rulesFolder(root, "broken", "ka.verb = get and ka.nosuch = 1");
  const where = /r\.yaml:3:14: error LOAD_ERR_COMPILE_CONDITION in rule 'broken': .*ka\.nosuch\n.*\n\s+\^/;
  const push = ["bundle", "push", dir, "--kind", "rules", "--name", "broken", "--version", "1.0.0"];
  writeFileSync(join(root, "junk.yaml"), Buffer.from([0xff, 0xfe, 0, 1]));
  await refuses([
    [["rules", "validate", join(dir, "r.yaml")], 1, where, /did not load/],
    [[...push, "--sign", "--dir", fleet.layout.trust], 1, where, /broken@1\.0\.0 does not load/],
    [["rules", "validate", join(root, "junk.yaml")], 1, /junk\.yaml is no UTF-8 text/, /did not load/],
    [["rules", "validate", join(root, "nosuch.yaml")], 1, /nosuch\.yaml cannot be read/, /did not load/],
  ]);
  assert.doesNotMatch((await runCli(["bundle", "list"])).out, /broken/);
}

async function bundles(fleet: Fleet, root: string): Promise<void> {
  const at = (name: string) => join(root, name);
  const dir = rulesFolder(root, "fine", "ka.verb = get");
  const build = ["bundle", "build", dir, "--kind", "rules", "--name", "fine", "--version", "1.0.0"];
  const ours = ["--dir", fleet.layout.trust];
  const steps = [
    [...build, "--out", at("fine.json")],
    ["bundle", "sign", at("fine.json"), ...ours, "--out", at("older.json")],
    ["bundle", "push", at("fine.json"), "--targets", at("older.json")],
    ["bundle", "sign", ...ours, "--withdraw", "rules/fine/1.0.0.json", "--out", at("newer.json")],
    ["bundle", "push", "--targets", at("newer.json")],
    ["bundle", "sign", at("fine.json"), ...ours, "--out", at("newest.json")],
  ];
  for (const argv of steps) {
    const { code, talk } = await runCli(argv);
    assert.equal(code, 0, talk);
  }
  const { org, onlineKeys } = await part(fleet, "connection").client(TrustService).getTrust({});
  const made = { org, onlineKeys: onlineKeysOf(onlineKeys), passphrase: undefined, now: new Date() };
  await initTrust({ ...made, dir: at("stranger") });
  const altered = readFileSync(at("fine.json"), "utf8").replace("ka.verb = get", "ka.verb = put");
  writeFileSync(at("altered.json"), altered);
  writeFileSync(
    at("forged.json"),
    readFileSync(at("newest.json"), "utf8").replace(/"length": ?\d/, (m) => `${m}1`),
  );
  const push = (bundle: string, ...flags: string[]) => ["bundle", "push", at(bundle), ...flags];
  await refuses([
    [push("fine.json"), 2, /Say who signs: nothing unsigned is taken/, /try: --sign .*\n.*try: --targets/],
    [push("fine.json", "--sign", "--dir", at("nowhere")), 2, /no trust folder .*nowhere/, /try: --dir DIR/],
    [
      push("altered.json", "--targets", at("newest.json")),
      1,
      /lists rules\/fine\/1\.0\.0\.json with .*this one has/,
      /sign what you push/,
    ],
    [
      push("fine.json", "--targets", at("forged.json")),
      1,
      /0 of the 1 valid signatures/,
      /try: fleetctl trust status/,
    ],
    [push("fine.json", "--sign", "--dir", at("stranger")), 1, /trust\//, /root|key/],
    [push("fine.json", "--targets", at("older.json")), 1, /older|version/i, /trust/],
    [
      push("fine.json", "--targets", at("fine.json")),
      1,
      /targets metadata has no "signed" object/,
      /malformed/,
    ],
  ]);
  assert.doesNotMatch((await runCli(["bundle", "list"])).out, /fine/);
}

function names(): Promise<void> {
  const rollout = ["rollout", "rules"];
  return refuses([
    [[...rollout, "--region", "mars"], 1, /No cluster matches the selector/, /try: fleetctl cluster list/],
    [[...rollout, "-l", "region in (eu"], 2, /at character 14: expected .*\n.*\n\s+\^/, /try: -l 'region=eu/],
    [[...rollout, "-l", "region ~ eu"], 2, /at character 8: .*not "~"/, /try: -l/],
    [
      [...rollout, "--region", "eu", "--bundle", "nosuch"],
      1,
      /No such rules bundle: "nosuch"/,
      /fleetctl bundle list/,
    ],
    [[...rollout, "--regin", "eu"], 2, /There is no flag: --regin/, /try: fleetctl rollout rules --region/],
    [[...rollout, "--deadline", "soon"], 2, /--deadline "soon" is not a duration/, /try: --deadline 90s/],
    [
      [...rollout, "--max-failures", "-3"],
      2,
      /"-3" is neither a number of clusters nor/,
      /try: --max-failures/,
    ],
    [["rollout", "show", "ro_nosuch"], 1, /No such rollout: "ro_nosuch"/, /try: fleetctl rollout list/],
    [["rollout", "pause", "eu"], 1, /"eu" is no rollout id/, /ro_/],
    [["cluster", "show", "mars-1"], 1, /No such cluster: "mars-1"/, /try: fleetctl cluster list/],
    [["bundle", "show", "nosuch@1.0.0"], 1, /No such bundle: "nosuch@1.0.0"/, /try: fleetctl bundle list/],
    [["token", "revoke", "jt_nosuch"], 1, /No such join token: "jt_nosuch"/, /try: fleetctl token list/],
    [["token", "create", "--region", "e u"], 2, /--region "e u" is not a label value/, /try: Use letters/],
    [["token", "create", "--region", "eu", "--ttl", "9y"], 2, /--ttl "9y" is not a duration/, /try: --ttl/],
    [["clutser", "list"], 2, /There is no command "clutser list"/, /try: fleetctl cluster list/],
    [["up", "--port", "70000"], 2, /--port: Expected an integer .*70000/, /try: fleetctl up --help/],
  ]);
}

async function callers(t: TestContext, fleet: Fleet, root: string): Promise<void> {
  const apiToken = async (role: string) =>
    (await runCli(["token", "api", "create", `${role}-bob`, "--role", role])).out.trim();
  const [viewer, late, gone] = [await apiToken("viewer"), await apiToken("viewer"), await apiToken("viewer")];
  await query(
    fleet,
    "update api_tokens set expires_at = now() - interval '1 minute' where id = $1",
    late.split(".")[0] ?? "",
  );
  assert.equal((await runCli(["token", "api", "revoke", gone.split(".")[0] ?? ""])).code, 0);
  const config = process.env["FLEETCTL_CONFIG"] ?? "";
  const stored = JSON.parse(readFileSync(config, "utf8"));
  setEnv(t, "FLEETCTL_CONFIG", join(root, "others.json"));
  const as = async (token: string, argv: string[], code: number, says: RegExp, next: RegExp) => {
    const contexts = { local: { ...stored.contexts.local, token } };
    writeFileSync(join(root, "others.json"), JSON.stringify({ current: "local", contexts }));
    await refuses([[argv, code, says, next]]);
  };
  const list = ["cluster", "list"];
  const login = /try: fleetctl login .*--token-file FILE/;
  await as(
    viewer,
    ["rollout", "rules", "--region", "eu"],
    1,
    /"viewer-bob" has role viewer; .*operator or above/,
    /try: Ask an admin/,
  );
  await as(late, list, 1, /The API token "viewer-bob" expired/, login);
  await as(gone, list, 1, /The API token "viewer-bob" was revoked/, login);
  await as(viewer.replace(/...$/, "AAA"), list, 1, /is not known here, or its secret is wrong/, login);
  await as("hello", list, 1, /holds no API token: Bearer at_ID\.SECRET/, login);
  await as("at_1.two\nlines", list, 2, /context "local" is no API token/, /try: Copy it again/);
  const cases: readonly [string, RegExp, RegExp][] = [
    ["nosuch.json", /No server is known: there is no context in .*nosuch\.json/, /try: npm start/],
    ["rules", /contexts file .*rules cannot be read \(EISDIR\)/, /try: .*FLEETCTL_CONFIG/],
    ["junk.yaml", /contexts file .*junk\.yaml is not usable/, /try: Mend it/],
  ];
  for (const [file, says, next] of cases) {
    wellSaid(await spawnCli(list, { env: { FLEETCTL_CONFIG: join(root, file) } }), file, 2, says, next);
  }
  wellSaid(
    await spawnCli([...list, "--context", "prod"]),
    "prod",
    2,
    /no context "prod" in .*holds local/,
    /context list/,
  );
}

async function secondUp(fleet: Fleet, root: string): Promise<void> {
  const before = [fleet.server?.pid(), machineOf(fleet, "eu-1").agent?.pid()];
  const env = { FLEETCTL_CONFIG: join(root, "second.json") };
  const up = (state: string, port: number) =>
    spawnCli(["up", "--once", "--state", state, "--port", String(port)], { env });
  const again = await up(fleet.layout.root, await freePorts());
  wellSaid(
    again,
    "up",
    2,
    new RegExp(`is up already, by process ${process.pid}`),
    /try: .*--state DIR --port PORT/,
  );
  const port = fleet.plan.port;
  const taken = await up(join(root, "second"), port);
  wellSaid(taken, "up", 2, new RegExp(`Port ${port} on 127.0.0.1 is taken`), /try: npm start -- --port PORT/);
  wellSaid(
    await up("/proc/nosuch", port),
    "up",
    2,
    /state directory \/proc\/nosuch cannot be used/,
    /try: .*--state DIR/,
  );
  assert.deepEqual(
    [fleet.server?.pid(), machineOf(fleet, "eu-1").agent?.pid()],
    before,
    "the fleet that runs is left alone",
  );

  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
  const { port: held } = holder.address() as AddressInfo;
  const server = spawnSync(process.execPath, [...programArgs("server")], {
    env: {
      ...bareEnv(),
      DATABASE_URL: part(fleet, "postgres").url,
      FALCONRY_LISTEN: `127.0.0.1:${held}`,
      FALCONRY_STATE_DIR: fleet.layout.server,
    },
    encoding: "utf8",
    timeout: 30_000,
  });
  holder.close();
  assert.match(server.stdout + server.stderr, new RegExp(`${held}.*(taken|in use)`));
  assert.doesNotMatch(server.stderr, /^\s+at /m);
  assert.equal(server.status, 3);
}

async function agents(fleet: Fleet, root: string): Promise<void> {
  const join = await joinString(fleet);
  writeFileSync(`${root}/allow.json`, "{bad");
  mkdirSync(`${root}/damaged/identity`, { recursive: true });
  writeFileSync(`${root}/damaged/identity/identity.json`, "{}");
  const cases: readonly [string, Readonly<Record<string, string>>, number, RegExp][] = [
    [fleet.layout.cluster("eu-1").agent, {}, 1, /state\/in-use: Another agent \(process \d+\).*agent\.pid/],
    [`${root}/allow.json`, {}, 2, /config\/state-dir: FALCONRY_STATE_DIR .*allow\.json cannot be used/],
    [`${root}/damaged`, {}, 1, /state\/damaged: .*identity\.json .*"org" is missing.*enrol again/],
    [
      `${root}/fresh`,
      { FALCONRY_ALLOW_FILE: `${root}/allow.json` },
      2,
      /config\/allow-list: .*allow\.json cannot be read/,
    ],
    [
      `${root}/fresh`,
      { FALCONRY_LOG_LEVEL: "loud", FALCONRY_TRANSPORT: "pigeon" },
      2,
      /"pigeon".*\n.*"loud": use one of/,
    ],
  ];
  for (const [state, env, code, says] of cases) {
    const ended = await agent(state, { FALCONRY_JOIN: join, FALCONRY_CLUSTER: "never", ...env });
    assert.match(ended.says, says);
    assert.equal(ended.code, code, ended.says);
    assert.doesNotMatch(ended.says, /This is a bug|^\s+at /m);
  }
}
