import assert from "node:assert/strict";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AssignmentSchema } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { type FakeFleet, serveFleet } from "../test/support/fake-fleet.ts";
import { runCli, temporaryDirectory, useContext } from "../test/support/run-cli.ts";

interface Desk {
  readonly fleet: FakeFleet;
  /** A folder with one rule. */
  readonly rules: string;
  readonly trust: string;
  readonly path: (name: string) => string;
}

const rule = (name: string) => `- rule: ${name}
  desc: somebody asked for a secret
  condition: ka.verb = get
  output: secret %ka.target.name
  priority: WARNING
  source: k8s_audit
`;

async function desk(t: TestContext): Promise<Desk> {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  const root = await temporaryDirectory(t);
  const path = (name: string) => join(root, name);
  await mkdir(path("starter"));
  await writeFile(path("starter/base.yaml"), rule("Secret read"));
  return { fleet, rules: path("starter"), trust: path("trust"), path };
}

const initArgs = ({ trust }: Desk) => ["trust", "init", "--dir", trust, "--insecure-plain-keys"];
const pushArgs = ({ rules, trust }: Desk, version: string) => [
  "bundle",
  "push",
  rules,
  "--kind",
  "rules",
  "--version",
  version,
  "--sign",
  "--dir",
  trust,
];

test("trust init, bundle push --sign and bundle diff take rules from a folder to a released bundle", async (t) => {
  const at = await desk(t);
  const made = await runCli(initArgs(at));
  assert.equal(made.code, 0, made.talk);
  assert.match(made.out, /^root sha256:[0-9a-f]{64}\nroot key [0-9a-f]+: .*\ntargets key /);
  assert.equal((await stat(join(at.trust, "targets.key.json"))).mode & 0o777, 0o600);
  assert.match(made.talk, /The keys are not sealed/);
  assert.match((await runCli(["trust", "status"])).out, /root +1 /);

  const first = await runCli(pushArgs(at, "1.0.0"));
  assert.equal(first.code, 0, first.talk);
  assert.match(first.out, /rules +starter@1\.0\.0 +sha256:[0-9a-f]{64}/);
  await writeFile(
    join(at.rules, "base.yaml"),
    rule("Secret read").replace("get", "list") + rule("Second").replace("get", "watch"),
  );
  assert.equal((await runCli(pushArgs(at, "1.1.0"))).code, 0);

  const diff = await runCli(["bundle", "diff", "starter@1.0.0", "starter@1.1.0"]);
  assert.equal(diff.out, "files:\n  ~ base.yaml (+7 -1 lines)\nrules:\n  + Second\n  ~ Secret read\n");
  assert.match(
    (await runCli(["bundle", "list"])).out,
    /rules +starter +1\.1\.0[\s\S]*rules +starter +1\.0\.0/,
  );
  const file = await runCli(["bundle", "show", "starter@1.0.0", "--file", "base.yaml"]);
  assert.equal(file.out, rule("Secret read"));
});

test("rules render shows what a cluster is assigned with its own layer, what another version would give, and what comes from a folder", async (t) => {
  const at = await desk(t);
  await runCli(initArgs(at));
  const layer = join(at.rules, "layers/team-payments");
  await mkdir(layer, { recursive: true });
  await writeFile(join(layer, "selector.yaml"), "team: payments\n");
  const tune = "- rule: Secret read\n  priority: ERROR\n  override: { priority: replace }\n";
  await writeFile(join(layer, "tune.yaml"), tune);
  assert.equal((await runCli(pushArgs(at, "1.0.0"))).code, 0);
  await writeFile(join(layer, "tune.yaml"), tune.replace("ERROR", "DEBUG"));
  assert.equal((await runCli(pushArgs(at, "1.1.0"))).code, 0);

  const cluster = at.fleet.addCluster("eu-1", { region: "eu", team: "payments" });
  const render = ["rules", "render", "--cluster", "eu-1"];
  const none = await runCli(render);
  assert.equal(none.code, 2);
  assert.match(none.talk, /Cluster eu-1 is assigned no rules[^]*--bundle NAME@VERSION/);

  const listed = JSON.parse((await runCli(["bundle", "show", "starter@1.0.0", "-o", "json"])).out) as {
    bundle: { ref: { digest: string } };
  };
  const { digest } = listed.bundle.ref;
  const ref = { kind: BundleKind.RULES, name: "starter", version: "1.0.0", digest };
  cluster.assignment = create(AssignmentSchema, { generation: 1n, rules: ref });
  const { out, talk } = await runCli(render);
  assert.match(out, /^# rules starter@1\.0\.0 for cluster=eu-1,region=eu,team=payments\n/);
  assert.match(out, /\n# layers, the later wins: team-payments \(team=payments\)\n/);
  assert.match(out, / {2}priority: ERROR +# layers\/team-payments\/tune\.yaml:2, in place of base\.yaml:5\n/);
  assert.equal(talk, "", "and it means the same as one file");

  const next = await runCli([...render, "--bundle", "starter@1.1.0"]);
  assert.match(next.out, / {2}priority: DEBUG +# layers/);
  const moved = await runCli([...render, "-l", "team=cards"]);
  assert.match(moved.out, /none applies\n[^]* {2}priority: WARNING +# base\.yaml:5\n/);
  const local = await runCli(["rules", "render", at.rules, "-l", "team=payments", "-o", "json"]);
  const { items } = JSON.parse(local.out) as { items: { properties: { key: string; pieces: object[] }[] }[] };
  assert.deepEqual(items[0]?.properties.find(({ key }) => key === "priority")?.pieces, [
    {
      value: "DEBUG",
      place: { file: "layers/team-payments/tune.yaml", line: 2, column: 13, layer: "team-payments" },
    },
  ]);
});

test("bundle build and push refuse layers of one level that contradict each other, before anything is signed", async (t) => {
  const at = await desk(t);
  await runCli(initArgs(at));
  for (const [name, selector, priority] of [
    ["team-payments", "team: payments", "ERROR"],
    ["team-eu", "region: eu", "INFO"],
  ] as const) {
    const layer = join(at.rules, "layers", name);
    await mkdir(layer, { recursive: true });
    await writeFile(join(layer, "selector.yaml"), selector);
    await writeFile(
      join(layer, "tune.yaml"),
      `- rule: Secret read\n  priority: ${priority}\n  override: { priority: replace }\n`,
    );
  }
  const pushed = await runCli(pushArgs(at, "1.0.0"));
  assert.equal(pushed.code, 1);
  assert.match(pushed.talk, /priority of rule 'Secret read' is said twice:\n.*team-eu\/tune\.yaml:2:13/);
  assert.match(pushed.talk, /both apply to a cluster with region=eu,team=payments/);
  assert.equal((await runCli(["bundle", "list", "-o", "json"])).out.includes("starter"), false);
});

test("trust init refuses to make a second root, and never overwrites keys", async (t) => {
  const at = await desk(t);
  await runCli(initArgs(at));
  const keys = await readFile(join(at.trust, "root.key.json"), "utf8");
  const again = await runCli(initArgs(at));
  assert.equal(again.code, 1);
  assert.match(again.talk, /has a trust root already \(version 1\)/);
  at.fleet.releases.root = undefined;
  const other = await runCli(initArgs(at));
  assert.equal(other.code, 2);
  assert.match(other.talk, /root\.json is there already/);
  assert.equal(await readFile(join(at.trust, "root.key.json"), "utf8"), keys);
});

test("keys that are sealed need their passphrase for each signature", async (t) => {
  const at = await desk(t);
  const none = await runCli(["trust", "init", "--dir", at.trust]);
  assert.equal(none.code, 2);
  assert.match(none.talk, /no terminal to ask[\s\S]*--passphrase-file FILE/);
  const asked = await runCli(["trust", "init", "--dir", at.trust], { secret: "correct horse battery" });
  assert.equal(asked.code, 0, asked.talk);
  const wrong = await runCli(pushArgs(at, "1.0.0"), { secret: "wrong horse battery" });
  assert.equal(wrong.code, 2);
  assert.match(wrong.talk, /targets\.key\.json: .*passphrase/);
  const right = await runCli(pushArgs(at, "1.0.0"), { secret: "correct horse battery" });
  assert.equal(right.code, 0, right.talk);
});

test("bundle sign without the fleet's keys cannot release anything", async (t) => {
  const at = await desk(t);
  await runCli(initArgs(at));
  const stranger = { ...at, trust: at.path("stranger") };
  const root = at.fleet.releases.root;
  at.fleet.releases.root = undefined;
  await runCli(initArgs(stranger));
  at.fleet.releases.root = root;
  const { code, talk } = await runCli(pushArgs(stranger, "1.0.0"));
  assert.equal(code, 1, talk);
  assert.equal(at.fleet.releases.bundles.length, 0);
});

test("two of two targets keys: the first signature is not enough, the second is added to the same file", async (t) => {
  const at = await desk(t);
  const args = [...initArgs(at), "--targets-keys", "2", "--targets-threshold", "2"];
  assert.equal((await runCli(args)).code, 0);
  await mkdir(at.path("ada"));
  await mkdir(at.path("bob"));
  for (const [who, number] of [
    ["ada", 1],
    ["bob", 2],
  ] as const) {
    await writeFile(
      at.path(`${who}/targets.key.json`),
      await readFile(join(at.trust, `targets-${number}.key.json`)),
    );
  }
  const bundle = at.path("starter-1.0.0.json");
  const targets = at.path("targets.json");
  const built = await runCli([
    "bundle",
    "build",
    at.rules,
    "--kind",
    "rules",
    "--version",
    "1.0.0",
    "--out",
    bundle,
  ]);
  assert.match(built.out, /starter-1\.0\.0\.json sha256:[0-9a-f]{64}\n$/);
  const one = await runCli(["bundle", "sign", bundle, "--dir", at.path("ada"), "--out", targets]);
  assert.match(one.talk, /More people have to sign/);
  const early = await runCli(["bundle", "push", bundle, "--targets", targets]);
  assert.equal(early.code, 1);
  assert.match(early.talk, /trust\/threshold-not-met/);
  const two = await runCli(["bundle", "sign", "--add-to", targets, "--dir", at.path("bob")]);
  assert.match(two.talk, /To publish it: fleetctl bundle push/);
  assert.equal((await runCli(["bundle", "push", bundle, "--targets", targets])).code, 0);
});

test("bundle build refuses rules that do not load, with file, line and code, and writes nothing", async (t) => {
  const at = await desk(t);
  await writeFile(join(at.rules, "base.yaml"), rule("Broken").replace("ka.verb = get", "ka.verb = "));
  const out = at.path("out.json");
  const { code, talk } = await runCli([
    "bundle",
    "build",
    at.rules,
    "--kind",
    "rules",
    "--version",
    "1.0.0",
    "--out",
    out,
  ]);
  assert.equal(code, 1);
  assert.match(talk, /base\.yaml:\d+:\d+[\s\S]*LOAD_ERR_COMPILE_CONDITION/);
  await assert.rejects(stat(out), /ENOENT/);
  const missing = await runCli([
    "bundle",
    "build",
    at.path("nowhere"),
    "--kind",
    "rules",
    "--version",
    "1.0.0",
  ]);
  assert.equal(missing.code, 2);
});

test("rules validate prints Falco's report as JSON and ends with 1 when a file does not load", async (t) => {
  const at = await desk(t);
  const good = await runCli(["rules", "validate", at.rules]);
  assert.equal(good.code, 0, good.talk);
  assert.match(good.out, /ok: 1 rule, 0 macros, 0 lists/);
  const broken = at.path("broken.yaml");
  await writeFile(broken, rule("Broken").replace("ka.verb", "ka.nonsense"));
  const { code, out, talk } = await runCli(["rules", "validate", broken, "-o", "json"]);
  assert.equal(code, 1);
  assert.match(talk, /1 file of 1 did not load/);
  const [result] = JSON.parse(out).falco_load_results;
  assert.equal(result.successful, false);
  assert.equal(result.errors[0].code, "LOAD_ERR_COMPILE_CONDITION");
  const none = await runCli(["rules", "validate", at.path("none.yaml")]);
  assert.equal(none.code, 1);
  assert.match(none.out, /LOAD_ERR_FILE_READ: .*none\.yaml cannot be read \(ENOENT\)/);
});

test("rules test runs tests and ends with 1 when one fails", async (t) => {
  const at = await desk(t);
  const file = at.path("tests.yaml");
  const event = "{verb: get, objectRef: {resource: secrets, name: a}}";
  const content = (fires: number) => `rules: [starter/base.yaml]
tests:
  - name: a secret is read
    inline_events: [${event}]
    expect: {alerts: {Secret read: ${fires}}}
`;
  await writeFile(file, content(1));
  const good = await runCli(["rules", "test", file]);
  assert.equal(good.code, 0, good.out);
  assert.match(good.out, /1 passed, 0 failed/);
  await writeFile(file, content(2));
  const bad = await runCli(["rules", "test", file, "-o", "json"]);
  assert.equal(bad.code, 1);
  assert.deepEqual([JSON.parse(bad.out).failed, JSON.parse(bad.out).tests[0].ok], [1, false]);
});

test("shipper validate names file, line and column of each problem", async (t) => {
  const at = await desk(t);
  const file = at.path("fluent-bit.conf");
  const config =
    "[INPUT]\n    Name tail\n    Path ${AUDIT_LOG}\n    Tag audit.*\n[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n";
  await writeFile(file, config);
  const wrong = await runCli(["shipper", "validate", file, "--set", "AUDIT_LOG=audit.log"]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.out, /fluent-bit\.conf:3:\d+: .*absolute/);
  // What only an agent can know is no mistake of the config.
  const open = await runCli(["shipper", "validate", file]);
  assert.equal(open.code, 0, open.out);
  assert.match(open.out, /ok: 1 input, 0 filters, 1 output/);
});

test("trust delegate gives a layer to the team's key, says so to whoever signs too, and trust revoke-layer takes it back", async (t) => {
  const at = await desk(t);
  await runCli(initArgs(at));
  const team = at.path("payments");
  const made = await runCli([
    "trust",
    "new-signer",
    "layer-payments",
    "--dir",
    team,
    "--insecure-plain-keys",
  ]);
  assert.equal(made.code, 0, made.talk);
  assert.match(made.talk, /trust delegate payments --key .*layer-payments\.pub\.pem/);
  const out = at.path("targets.json");
  const signing = ["--dir", at.trust, "--out", out];
  const delegate = (layer: string, label: string, key = join(team, "layer-payments.pub.pem")) => {
    const terms = ["--prefix", layer, "--tune", "Secret read, all"];
    return ["trust", "delegate", layer, "--key", key, "--level", "team", "-l", label, ...terms, ...signing];
  };
  const given = await runCli(delegate("payments", "team=payments"));
  assert.equal(given.code, 0, given.talk);
  assert.match(
    given.out,
    /gives layer payments of level team on team=payments to 1 of [0-9a-f]{12}; brings what begins with "payments", tunes Secret read, all, replaces nothing\n/,
  );
  assert.doesNotMatch((await runCli(["trust", "status"])).out, /LAYER/, "nothing is published by signing");
  const again = await runCli(["bundle", "sign", "--add-to", out, "--dir", at.trust]);
  assert.match(again.out, / {2}gives layer payments /, "whoever adds a signature sees what it is for");
  assert.equal((await runCli(["bundle", "push", "--targets", out])).code, 0);
  const status = await runCli(["trust", "status"]);
  assert.match(status.out, /LAYER +LEVEL +CLUSTERS[^]*\npayments +team +team=payments +1 of 1 /);

  const release = join(at.path("layer"));
  await mkdir(release);
  await writeFile(
    join(release, "tune.yaml"),
    "- rule: Secret read\n  priority: ERROR\n  override: {priority: replace}\n",
  );
  const built = at.path("payments-1.0.0.json");
  const build = ["bundle", "build", release, "--kind", "layer", "--name", "payments", "--version", "1.0.0"];
  assert.equal((await runCli([...build, "--out", built])).code, 0);
  const list = at.path("layer-payments.json");
  const byOthers = await runCli(["bundle", "sign", built, "--dir", at.trust, "--out", list]);
  assert.match(byOthers.talk, /holds no layer-payments key/, "who signs bundles signs no layer");
  const signed = await runCli(["bundle", "sign", built, "--dir", team, "--out", list]);
  assert.equal(signed.code, 0, signed.talk);
  assert.match(signed.out, /: layer-payments 1 lists layer\/payments\/1\.0\.0\.json\n/);
  const pushed = await runCli(["bundle", "push", built, "--targets", list]);
  assert.equal(pushed.code, 0, pushed.talk);
  assert.match(pushed.out, /layer +payments@1\.0\.0 +sha256:/);
  assert.match((await runCli(["bundle", "show", "payments@1.0.0"])).out, /tune\.yaml +the layer's clusters/);
  assert.match((await runCli(["trust", "status"])).out, /\nlayer-payments +1 +\d\S+ +0% +1 +1 of 1 +ok\n/);
  const renew = ["bundle", "sign", "--layer", "payments", "--dir", team, "--out", list];
  assert.match(
    (await runCli([...renew, "--withdraw", "layer/payments/1.0.0.json"])).out,
    /2 lists nothing\n/,
  );
  assert.equal((await runCli(["bundle", "push", "--layer", "payments", "--targets", list])).code, 0);

  const refusals: readonly [string, RegExp, readonly string[]][] = [
    ["could meet", /can meet on a cluster.*\(trust\/malformed\)/, delegate("eu", "region=eu")],
    [
      "signs targets",
      /signs targets, too: give the layer a key of its own \(trust\/malformed\)/,
      delegate("cards", "team=cards", join(at.trust, "targets.key.json")),
    ],
    [
      "is not there",
      /delegates no layer "cards".*\(trust\/not-delegated\)/,
      ["trust", "revoke-layer", "cards", ...signing],
    ],
  ];
  for (const [what, words, argv] of refusals) {
    const refused = await runCli(argv);
    assert.equal(refused.code, 1, what);
    assert.match(refused.talk, words);
  }
  const vague = await runCli(delegate("cards", "team!=payments"));
  assert.equal(vague.code, 2);
  assert.match(vague.talk, /confined by labels with one value each/);

  const taken = await runCli(["trust", "revoke-layer", "payments", ...signing]);
  assert.match(taken.out, / {2}takes back layer payments\n/);
  assert.equal((await runCli(["bundle", "push", "--targets", out])).code, 0);
  assert.doesNotMatch((await runCli(["trust", "status"])).out, /LAYER/);
});
