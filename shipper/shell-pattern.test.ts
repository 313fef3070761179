import assert from "node:assert/strict";
import { test } from "node:test";
import { shellMatches } from "./shell-pattern.ts";

const cases: readonly (readonly [pattern: string, path: string, fits: boolean])[] = [
  ["*.gz", "/var/log/a.log.1.gz", true],
  ["*.gz", "/var/log/a.log", false],
  ["/var/log/containers/*_kube-system_*.log", "/var/log/containers/a_kube-system_b-0.log", true],
  ["/var/log/*.log", "/var/log/pods/x/0.log", true],
  ["/var/log/a?.log", "/var/log/a1.log", true],
  ["/var/log/a?.log", "/var/log/a.log", false],
  ["/var/log/[ab].log", "/var/log/b.log", true],
  ["/var/log/[!ab].log", "/var/log/b.log", false],
  ["/var/log/[0-9]*.log", "/var/log/7.log", true],
  ["/var/log/[a", "/var/log/[a", true],
  ["[]]", "]", true],
  ["\\*", "*", true],
  ["\\*", "a", false],
  ["", "", true],
  ["", "a", false],
  ["**", "", true],
];
for (const [pattern, path, fits] of cases) {
  test(`exclude_path ${pattern} ${fits ? "keeps away from" : "lets"} ${path}`, () => {
    assert.equal(shellMatches(pattern, path), fits);
  });
}

test("a pattern of many stars does not stop the agent", () => {
  const begun = process.cpuUsage();
  assert.equal(shellMatches(`${"*a".repeat(200)}b`, "a".repeat(4096)), false);
  assert.ok(process.cpuUsage(begun).user < 1_000_000);
});
