import assert from "node:assert/strict";
import { test } from "node:test";
import { namesBeforeRotation } from "./rotated-names.ts";

/** Names that tools give, as their manuals and sources say. */
const given: readonly (readonly [tool: string, before: string, after: string])[] = [
  ["logrotate", "audit.log", "audit.log.1"],
  ["logrotate", "audit.log", "audit.log.12.gz"],
  ["logrotate with dateext", "audit.log", "audit.log-20261122"],
  ["logrotate with dateext and extension", "audit.log", "audit-20261122.log"],
  ["logrotate with hourly dateext", "audit.log", "audit.log-2026112210.zst"],
  ["kube-apiserver", "audit.log", "audit-2026-11-22T10-00-00.000.log"],
  ["kube-apiserver", "audit.log", "audit-2026-11-22T10-00-00.000.log.gz"],
  ["kube-apiserver without extension", "audit", "audit-2026-11-22T10-00-00.000"],
  ["kubelet", "0.log", "0.log.20261122-100000"],
  ["kubelet", "0.log", "0.log.20261122-100000.gz"],
  ["docker", "abc-json.log", "abc-json.log.1"],
  ["auditd", "audit.log", "audit.log.4"],
  ["a person", "audit.log", "audit.log.gz"],
];
for (const [tool, before, after] of given) {
  test(`${after}, as ${tool} calls it, is found as a rotated ${before}`, () => {
    assert.ok(namesBeforeRotation(after).includes(before), namesBeforeRotation(after).join());
  });
}

test("other files next to a log are not taken for rotated ones", () => {
  for (const name of ["audit.log.bak", "audit.logs", "other.log", "audit.log.tmp.gz", "audit-policy.log"]) {
    assert.ok(!namesBeforeRotation(name).includes("audit.log"), name);
  }
});

test("a long name of digits costs little", () => {
  const begun = process.cpuUsage();
  for (let time = 0; time < 100; time++) namesBeforeRotation(`a${"-1".repeat(127)}`);
  assert.ok(process.cpuUsage(begun).user < 500_000);
});
