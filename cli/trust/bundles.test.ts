import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { effectiveFiles, parseBundle } from "#trust";
import { buildBundleFromDirectory, buildBundleFromFiles, type BuildOptions } from "./build-bundle.ts";
import { compareRules } from "./compare-rules.ts";
import { diffBundles, inspectBundle } from "./diff-bundles.ts";

const options: BuildOptions = { org: "default", kind: "rules", name: "starter", version: "1.0.0" };

function folder(t: TestContext, files: Readonly<Record<string, string | Uint8Array>>): string {
  const dir = mkdtempSync(join(tmpdir(), "fleetctl-bundle-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), content);
  }
  return dir;
}

test("a folder becomes a bundle: rules in order, layers with their selectors, tests and notes left out", (t) => {
  const dir = folder(t, {
    "20-b.yaml": "b",
    "10-a.yaml": "a",
    "k8s/c.yml": "c",
    "README.md": "notes",
    ".hidden.yaml": "x",
    "tests/a.yaml": "not a rule",
    "layers/team-payments/selector.yaml": "team: payments\n",
    "layers/team-payments/tune.yaml": "t",
    "layers/base-eu/selector.yaml": "region: eu\n",
    "layers/base-eu/eu.yaml": "e",
  });
  symlinkSync("/etc/passwd", join(dir, "link.yaml"));
  const built = buildBundleFromDirectory(dir, { ...options, engine: ">=0.62.0" });
  assert.deepEqual(
    built.bundle.files.map(({ path }) => path),
    ["10-a.yaml", "20-b.yaml", "k8s/c.yml"],
  );
  assert.deepEqual(effectiveFiles(built.bundle, { team: "payments", region: "eu" }).slice(3), [
    { name: "layers/base-eu/eu.yaml", content: "e" },
    { name: "layers/team-payments/tune.yaml", content: "t" },
  ]);
  assert.deepEqual(
    built.skipped.map((path) => path.slice(dir.length + 1)),
    [".hidden.yaml", "README.md", "link.yaml"],
  );
  assert.equal(parseBundle(built.bytes).ok, true);
  assert.deepEqual(inspectBundle(built.bytes), {
    digest: built.digest,
    length: built.bytes.length,
    path: "rules/starter/1.0.0.json",
    org: "default",
    requires: ">=0.62.0",
    files: ["10-a.yaml", "20-b.yaml", "k8s/c.yml"],
    layers: [
      { id: "base-eu", selector: { region: "eu" }, files: ["eu.yaml"] },
      { id: "team-payments", selector: { team: "payments" }, files: ["tune.yaml"] },
    ],
  });
});

test("the same folder gives the same digest, whenever and wherever it is built", (t) => {
  const files = {
    "b.yaml": "b",
    "a.yaml": "a",
    "layers/team-x/selector.yaml": "team: x",
    "layers/team-x/a.yaml": "l",
  };
  const one = buildBundleFromDirectory(folder(t, files), options);
  const reversed = Object.fromEntries(Object.entries(files).reverse());
  assert.equal(buildBundleFromDirectory(folder(t, reversed), options).digest, one.digest);
});

test("a shipper bundle takes classic configs as well", (t) => {
  const dir = folder(t, { "fluent-bit.yaml": "pipeline: {}", "parsers.conf": "[PARSER]", "x.lua": "" });
  const built = buildBundleFromDirectory(dir, { ...options, kind: "shipper" });
  assert.deepEqual(
    built.bundle.files.map(({ path }) => path),
    ["fluent-bit.yaml", "parsers.conf"],
  );
});

const refusals: readonly [string, Readonly<Record<string, string | Uint8Array>>, RegExp][] = [
  ["no rules at all", { "README.md": "x" }, /holds no rules files \(\*\.yaml\)/],
  [
    "a layer without a level",
    { "a.yaml": "", "layers/payments/a.yaml": "" },
    /layers\/payments: .*LEVEL-NAME.*base, tribe/,
  ],
  [
    "a layer without a selector",
    { "a.yaml": "", "layers/team-x/a.yaml": "" },
    /layers\/team-x\/selector\.yaml/,
  ],
  [
    "a selector that is a list",
    { "layers/team-x/selector.yaml": "- a", "layers/team-x/a.yaml": "" },
    /selector\.yaml does not hold labels/,
  ],
  [
    "a selector with an alias bomb",
    { "layers/team-x/selector.yaml": "a: &a x\nb: *a", "layers/team-x/a.yaml": "" },
    /selector\.yaml.*alias/i,
  ],
  [
    "an empty selector for a team",
    { "layers/team-x/selector.yaml": "{}", "layers/team-x/a.yaml": "" },
    /would match every cluster/,
  ],
  ["a file that is not UTF-8", { "a.yaml": Uint8Array.of(0xff, 0xfe, 0x00) }, /a\.yaml is not text in UTF-8/],
  ["a name that no bundle takes", { "a b.yaml": "x" }, /files\[0\]\.path is "a b\.yaml"/],
];
for (const [name, files, message] of refusals) {
  test(`a folder with ${name} is refused with the place`, (t) => {
    assert.throws(() => buildBundleFromDirectory(folder(t, files), options), message);
  });
}

test("a folder that is not there is refused by its path", () => {
  assert.throws(() => buildBundleFromDirectory("/nowhere/rules", options), /\/nowhere\/rules/);
});

test("diffBundles() names what a person has to look at: files, lines, selectors, rules", () => {
  const layer = (selector: Record<string, string>, content: string) =>
    ({ name: "x", level: "team", selector, files: [{ path: "t.yaml", content }] }) as const;
  const before = buildBundleFromFiles(
    [
      { path: "a.yaml", content: "1\n2\n3\n" },
      { path: "gone.yaml", content: "" },
    ],
    [layer({ team: "x" }, "t")],
    options,
  ).bundle;
  const after = buildBundleFromFiles(
    [
      { path: "a.yaml", content: "1\n2\nthree\nfour\n" },
      { path: "new.yaml", content: "" },
    ],
    [layer({ team: "x", region: "eu" }, "t")],
    { ...options, version: "1.1.0" },
  ).bundle;
  const seen: string[] = [];
  const compareRules = (...sides: readonly (readonly { readonly name: string }[])[]) => {
    seen.push(...sides.map((files) => files.map(({ name }) => name).join(",")));
    return { added: ["r"], removed: [], changed: [] };
  };
  assert.deepEqual(diffBundles(before, after, { labels: { team: "x" }, compareRules }), {
    identical: false,
    files: {
      added: ["new.yaml"],
      removed: ["gone.yaml"],
      changed: [{ name: "a.yaml", linesAdded: 2, linesRemoved: 1 }],
    },
    selectors: ["team-x"],
    rules: { added: ["r"], removed: [], changed: [] },
  });
  assert.deepEqual(
    seen,
    ["a.yaml,gone.yaml,layers/team-x/t.yaml", "a.yaml,new.yaml"],
    "as that cluster runs them",
  );
  assert.equal(diffBundles(before, before).identical, true);
});

test("diffBundles() compares rules by what they mean in the layer that applies, not by their text", () => {
  const rule = (name: string, verb: string) =>
    `- rule: ${name}\n  desc: d\n  condition: ka.verb = ${verb}\n  output: o\n  priority: INFO\n  source: k8s_audit\n`;
  const layer = (content: string) =>
    ({ name: "x", level: "team", selector: { team: "x" }, files: [{ path: "t.yaml", content }] }) as const;
  const build = (content: string, own: string, version: string) =>
    buildBundleFromFiles([{ path: "a.yaml", content }], [layer(own)], { ...options, version }).bundle;
  const before = build(rule("same", "get") + rule("other", "list"), rule("own", "get"), "1.0.0");
  const after = build(
    `# moved\n${rule("other", "watch")}${rule("same", "get")}`,
    rule("mine", "get"),
    "1.1.0",
  );
  const rulesFor = (labels: Record<string, string>) =>
    diffBundles(before, after, { labels, compareRules }).rules;
  assert.deepEqual(rulesFor({}), { added: [], removed: [], changed: ["other"] });
  assert.deepEqual(rulesFor({ team: "x" }), { added: ["mine"], removed: ["own"], changed: ["other"] });
  const broken = build("- rule: broken\n", rule("own", "get"), "2.0.0");
  assert.throws(() => diffBundles(before, broken, { compareRules }), /do not load.*a\.yaml/s);
});
