import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { preAuthEncoding, reportType, type BundleKind } from "#trust";
import { SyncRequestSchema } from "#proto/agent/v1/agent";

import { checkBounds, readReport } from "../sessions/read-request.ts";
import { rulesBundle } from "../testing.ts";
import { checkBundleLoads } from "../loading/check-bundle.ts";

/** Nine levels of nine: a billion scalars when somebody writes them out. */
const laughs = [
  "- &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]",
  ...Array.from("bcdefghi", (name, i) => `- &${name} [${Array(9).fill(`*${"abcdefgh"[i]}`).join(", ")}]`),
].join("\n");
const mebibyte = 1024 * 1024;

const bombs: readonly (readonly [name: string, kind: BundleKind, path: string, content: string])[] = [
  ["a billion laughs in rules", "rules", "rules.yaml", laughs],
  ["a billion laughs in a shipper config", "shipper", "fluent-bit.yaml", `pipeline:\n  inputs:\n${laughs}`],
  ["rules that nest without end", "rules", "rules.yaml", `- ${"[".repeat(100_000)}`],
  [
    "a shipper config that nests without end",
    "shipper",
    "fluent-bit.yaml",
    `pipeline: ${"[".repeat(100_000)}`,
  ],
  ["rules of more than 4 MiB", "rules", "rules.yaml", `- rule: ${"x".repeat(5 * mebibyte)}`],
  ["lists in lists by dashes", "shipper", "fluent-bit.yaml", `pipeline:\n  ${"- ".repeat(100_000)}x`],
  ["a condition that nests without end", "rules", "rules.yaml", ruleWith("(".repeat(100_000))],
];

function ruleWith(condition: string): string {
  return `- rule: r\n  desc: d\n  condition: ${condition}\n  output: o\n  priority: INFO\n  source: k8s_audit\n`;
}

for (const [name, kind, path, content] of bombs) {
  test(`a pushed bundle that would blow up is refused in words: ${name}`, () => {
    const { bundle } = rulesBundle("1.0.0");
    const before = process.memoryUsage().rss;
    const outcome = checkBundleLoads({ ...bundle, kind, files: [{ path, content }] });
    assert.equal(outcome.ok, false);
    assert.ok(process.memoryUsage().rss - before < 512 * mebibyte, "it took too much memory to refuse it");
  });
}

test("a report of thousands of empty parts is refused before it is decoded", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const report = Buffer.alloc(60_000, Buffer.from([0x3a, 0x00]));
  const signature = sign("sha256", preAuthEncoding(reportType, report), {
    key: privateKey,
    dsaEncoding: "ieee-p1363",
  });
  const request = create(SyncRequestSchema, {
    sessionId: "session-1",
    sequence: 1n,
    report,
    reportSignature: Uint8Array.from(signature),
  });
  assert.ok(checkBounds(request).ok);
  const read = readReport(request, {
    clusterId: "cl_1",
    agentId: "ag_1",
    publicKey,
  });
  assert.ok(!read.ok && read.refusal.kind === "invalid");
  assert.match(read.refusal.problems[0]?.why ?? "", /more than 2000 fields and elements/);
});
