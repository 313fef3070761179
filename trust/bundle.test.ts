import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import * as fc from "fast-check";

import {
  buildBundle,
  bundleDigest,
  checkEngine,
  effectiveFiles,
  olderEngine,
  parseBundle,
  responseText,
  type Bundle,
} from "#trust";

import { codeOf, valueOf } from "./fixture.ts";

const file = (path: string, content = "x") => ({ path, content });
const base: Omit<Bundle, "format"> = {
  org: "default",
  kind: "rules",
  name: "starter",
  version: "1.0.0",
  requires: { engine: ">=0.62.0" },
  files: [file("k8s/exec.yaml", "- rule: exec\n"), file("k8s/secrets.yaml")],
  layers: [
    { name: "payments", level: "team", selector: { team: "payments" }, files: [file("tune.yaml", "team")] },
    {
      name: "prod-eu",
      level: "cluster",
      selector: { cluster: "prod-eu" },
      files: [file("tune.yaml", "cluster")],
    },
    { name: "eu", level: "base", selector: { region: "eu" }, files: [file("eu.yaml", "region")] },
    { name: "all", level: "base", selector: {}, files: [file("all.yaml", "all")] },
    {
      name: "commerce",
      level: "tribe",
      selector: { tribe: "commerce" },
      files: [file("tune.yaml", "tribe")],
    },
  ],
};

test("a bundle is read back as it was built, and its digest is the hash of its bytes", () => {
  const { bundle, bytes, digest, target } = valueOf(buildBundle(base));
  assert.deepEqual(valueOf(parseBundle(bytes)), bundle);
  assert.deepEqual(bundle, { format: 1, ...base });
  assert.equal(digest, `sha256:${createHash("sha256").update(bytes).digest("hex")}`);
  assert.equal(bundleDigest(bytes), digest);
  assert.deepEqual(target, {
    kind: "rules",
    path: "rules/starter/1.0.0.json",
    length: bytes.length,
    sha256: digest.slice(7),
  });
});

test("layers apply where their selector matches, from base to cluster, whatever order the author wrote", () => {
  const names = (labels: Record<string, string>) =>
    effectiveFiles({ format: 1, ...base }, labels).map((f) => f.name);
  const own = ["k8s/exec.yaml", "k8s/secrets.yaml"];
  assert.deepEqual(names({}), [...own, "layers/base-all/all.yaml"]);
  assert.deepEqual(names({ team: "orders", region: "" }), [...own, "layers/base-all/all.yaml"]);
  assert.deepEqual(names({ team: "payments", tribe: "commerce", region: "eu", cluster: "prod-eu" }), [
    ...own,
    "layers/base-eu/eu.yaml",
    "layers/base-all/all.yaml",
    "layers/tribe-commerce/tune.yaml",
    "layers/team-payments/tune.yaml",
    "layers/cluster-prod-eu/tune.yaml",
  ]);
});

test("a label that every object inherits matches no selector", () => {
  const layers = [
    { name: "odd", level: "team", selector: { constructor: "x" }, files: [file("a.yaml")] },
  ] as const;
  const { bundle } = valueOf(buildBundle({ ...base, layers }));
  assert.equal(effectiveFiles(bundle, {}).length, 2);
});

test("responses are those of rules; a file of that name in a shipper's config is one of its files", () => {
  const files = [file("a.yaml"), file("response.yaml", "policies: []")];
  const namesOf = ({ bundle }: { readonly bundle: Bundle }) =>
    effectiveFiles(bundle, {}).map(({ name }) => name);
  const rules = valueOf(buildBundle({ ...base, files, layers: [] }));
  assert.deepEqual([responseText(rules.bundle), namesOf(rules)], ["policies: []", ["a.yaml"]]);
  const shipper = valueOf(buildBundle({ ...base, kind: "shipper", files, layers: [] }));
  assert.deepEqual(
    [responseText(shipper.bundle), namesOf(shipper)],
    [undefined, ["a.yaml", "response.yaml"]],
  );
});

test("where two engines load a bundle, it may need what the older one has", () => {
  for (const [one, other, older] of [
    ["0.62.0", "0.9.1", "0.9.1"],
    ["0.9.1", "0.62.0", "0.9.1"],
    ["0.62.0", "0.62.0", "0.62.0"],
  ] as const) {
    assert.equal(olderEngine(one, other), older);
  }
});

test("a bundle that no agent would take is not built", () => {
  const files = [file("a.yaml", "x".repeat(16 * 1024 * 1024))];
  assert.equal(codeOf(buildBundle({ ...base, files })), "trust/too-large");
});

test("only the canonical bytes of a bundle are accepted, so no two readers can differ", () => {
  const text = Buffer.from(valueOf(buildBundle(base)).bytes).toString();
  const read = (changed: string) => codeOf(parseBundle(Buffer.from(changed)));
  assert.equal(read(text), "accepted");
  assert.equal(read(`${text}\n`), "trust/malformed");
  assert.equal(read(`\ufeff${text}`), "trust/malformed");
  assert.equal(read(text.replace('"name":"starter"', '"name":"evil","name":"starter"')), "trust/malformed");
  assert.equal(read(text.replace("starter", "\\u0073tarter")), "trust/malformed");
  assert.equal(read(text.replace("{", '{"__proto__":{},')), "trust/malformed");
  assert.equal(read(text.replace("{", '{"\\u005f_proto__":{},')), "trust/malformed");
  assert.equal(read("[".repeat(1_000_000)), "trust/malformed");
  assert.equal(codeOf(parseBundle(Buffer.alloc(16 * 1024 * 1024 + 1, " "))), "trust/too-large");
  assert.equal(codeOf(parseBundle(Buffer.from([0x22, 0xff, 0x22]))), "trust/malformed");
});

test("whatever text is in the files, building and reading agree", () => {
  const content = fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0"));
  fc.assert(
    fc.property(content, (text) => {
      const built = valueOf(buildBundle({ ...base, files: [file("a.yaml", text)] }));
      return valueOf(parseBundle(built.bytes)).files[0]?.content === text;
    }),
  );
});

test("parseBundle() never throws, whatever arrives", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => !parseBundle(bytes).ok));
  fc.assert(fc.property(fc.json(), (text) => !parseBundle(Buffer.from(text)).ok));
});

test("checkEngine() refuses an engine older than the bundle requires and says what to do", () => {
  const { bundle } = valueOf(buildBundle(base));
  for (const version of ["0.62.0", "0.62.0-rc.1", "0.62.1", "0.100.0", "1.0.0", "10.0.0"]) {
    assert.equal(checkEngine(bundle, version).ok, true);
  }
  for (const version of ["0.61.9", "0.9.0", "unknown"]) {
    assert.equal(codeOf(checkEngine(bundle, version)), "trust/engine-too-old", version);
  }
  const { requires: _, ...rest } = base;
  assert.equal(codeOf(checkEngine(valueOf(buildBundle(rest)).bundle, "0.1.0")), "accepted");
});
