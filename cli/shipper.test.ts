import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parse } from "yaml";
import { parseShipperConfig } from "#shipper";
import { runCli, temporaryDirectory } from "../test/support/run-cli.ts";

async function write(
  t: TestContext,
  files: Readonly<Record<string, string>>,
): Promise<(name: string) => string> {
  const root = await temporaryDirectory(t);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(root, name, ".."), { recursive: true });
    await writeFile(join(root, name), content);
  }
  return (name) => join(root, name);
}

const input =
  "[INPUT]\n    Name tail\n    Alias audit\n    Tag audit\n    Path ${AUDIT_LOG}\n    Parser json\n    DB /x\n";
const facts =
  "[FILTER]\n    Name modify\n    Match audit\n    Add x_region ${REGION}\n    Rename verb action\n    Add x_cluster ${CLUSTER}\n";
const http =
  "[OUTPUT]\n    Name http\n    Alias store\n    Match audit\n    Host logs\n    Format json\n    http_passwd hunter2\n";

test("shipper render shows values, origins and Fluent Bit's defaults, and what it prints loads again", async (t) => {
  const path = await write(t, { "a.conf": `@INCLUDE in.conf\n${facts}${http}`, "in.conf": input });
  const shown = await runCli(["shipper", "render", path("a.conf"), path("in.conf"), "--set", "REGION=eu"]);
  assert.equal(shown.code, 0, shown.talk);
  assert.match(shown.out, /path: "\$\{AUDIT_LOG\}" +# .*in\.conf:5$/m);
  assert.match(
    shown.out,
    /- "x_region eu" +# .*a\.conf:5; replaces what the record says.*; applies as rule 1$/m,
  );
  assert.match(shown.out, /read_from_head: on +# default \(Fluent Bit: off\)$/m);
  assert.match(shown.out, /db: \/x +# .*in\.conf:7; changes nothing: positions/m);
  assert.doesNotMatch(shown.out + shown.talk, /hunter2/);
  assert.doesNotThrow(() => parse(shown.out));
  const again = parseShipperConfig([{ name: "a.yaml", content: shown.out }], {
    AUDIT_LOG: "/l",
    CLUSTER: "c",
  });
  assert.ok(again.ok, JSON.stringify(again));
});

test("shipper render of a folder applies the layers that the labels choose", async (t) => {
  const path = await write(t, {
    "base.conf": input + http,
    "layers/team-a/selector.yaml": "team: a\n",
    "layers/team-a/out.conf": "[OUTPUT]\n    Name null\n    Alias store\n    Match audit\n",
  });
  const plain = await runCli(["shipper", "render", path(".")]);
  assert.match(plain.out, /- name: http +# base\.conf:9$/m);
  const layered = await runCli(["shipper", "render", path("."), "--label", "team=a", "-o", "json"]);
  const { sections } = JSON.parse(layered.out) as {
    readonly sections: readonly { readonly alias: string; readonly name: string }[];
  };
  assert.equal(sections.find(({ alias }) => alias === "store")?.name, "null");
});

test("shipper render and validate refuse a config with the lines that are wrong, and show no secret", async (t) => {
  const path = await write(t, {
    "a.conf": `${input}    Pth x\n${http.replace("http_passwd", "http_password")}`,
  });
  for (const command of ["render", "validate"]) {
    const refused = await runCli(["shipper", command, path("a.conf")]);
    assert.equal(refused.code, 1);
    const said = refused.out + refused.talk;
    assert.match(
      said,
      /a\.conf:8:5: Option "pth" of input "tail" is not supported.*\n {2}8 \| {5}Pth x\n {4}\| {5}\^/,
    );
    assert.match(said, /2 problems in the shipper config/);
    assert.doesNotMatch(said, /hunter2/);
  }
});

test("shipper validate says what is there, what is a warning and what changes nothing", async (t) => {
  const path = await write(t, { "a.conf": input + http });
  const valid = await runCli(["shipper", "validate", path("a.conf")]);
  assert.equal(valid.code, 0);
  assert.match(valid.out, /a\.conf:14:5: warning: "http_passwd" stands in the bundle/);
  assert.match(valid.out, /^ok: 1 input, 0 filters, 1 output$/m);
  assert.match(valid.out, /^note: db may be written, and nothing changes here$/m);
  const json = await runCli(["shipper", "validate", path("a.conf"), "-o", "json"]);
  const answer = JSON.parse(json.out) as Record<string, unknown>;
  assert.deepEqual(answer["plugins"], [
    { kind: "input", name: "tail", alias: "audit" },
    { kind: "output", name: "http", alias: "store" },
  ]);
  assert.equal(answer["ok"], true);
});
