import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { checkAllowed, globMatches, isBelow, parseShipperConfig } from "./index.ts";
import type { AllowList } from "./index.ts";

const nothing: AllowList = { destinations: [], fileDirectories: [], tailDirectories: [] };

function judged(content: string, allowed: Partial<AllowList>): readonly string[] {
  const parsed = parseShipperConfig([{ name: "a.conf", content }], {});
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return checkAllowed(parsed.config, { ...nothing, ...allowed }).map((p) => p.message);
}

const tailOf = (path: string) => `[INPUT]\n Name tail\n Path ${path}\n`;
const fileTo = (path: string) => `[OUTPUT]\n Name file\n Match *\n Format plain\n Path ${path}\n`;
const httpTo = (options: string) => `[OUTPUT]\n Name http\n Match *\n Format json\n ${options}\n`;

test("an empty allow-list lets nothing be read, written or sent", () => {
  assert.equal(judged(tailOf("/var/log/a") + fileTo("/out") + httpTo("Host h"), {}).length, 3);
});

const cases: readonly (readonly [content: string, allowed: Partial<AllowList>, ok: boolean])[] = [
  [tailOf("/var/log/audit/*.log"), { tailDirectories: ["/var/log"] }, true],
  [tailOf("/var/log*/a.log"), { tailDirectories: ["/var/log"] }, false],
  [tailOf("/var/logs/a.log"), { tailDirectories: ["/var/log"] }, false],
  [tailOf("/var/log/../../etc/shadow"), { tailDirectories: ["/var/log"] }, false],
  [tailOf("/var/log/*/../../../etc/shadow"), { tailDirectories: ["/var/log"] }, false],
  [tailOf("/var/log/a.log,/etc/shadow"), { tailDirectories: ["/var/log"] }, false],
  [fileTo("/out/a"), { fileDirectories: ["/out"] }, true],
  [fileTo("/etc/cron.d"), { fileDirectories: ["/out"] }, false],
  [httpTo("Host H\n Port 443\n tls on"), { destinations: [{ host: "h", port: 443, tls: "required" }] }, true],
  [httpTo("Host h\n Port 443"), { destinations: [{ host: "h", port: 443, tls: "required" }] }, false],
  [
    httpTo("Host h\n Port 443\n tls on\n tls.verify off"),
    { destinations: [{ host: "h", port: 443, tls: "required" }] },
    false,
  ],
  [httpTo("Host h\n Port 80"), { destinations: [{ host: "h", port: 80, tls: "optional" }] }, true],
  [httpTo("Host h\n Port 81"), { destinations: [{ host: "h", port: 80, tls: "optional" }] }, false],
  [httpTo("Host 169.254.169.254"), { destinations: [{ host: "h", port: 80, tls: "optional" }] }, false],
];
for (const [content, allowed, ok] of cases) {
  const shown = content.replaceAll(/\s+/g, " ").trim();
  test(`checkAllowed() ${ok ? "accepts" : "refuses"} ${shown} for ${JSON.stringify(allowed)}`, () => {
    assert.equal(judged(content, allowed).length === 0, ok);
  });
}

test("isBelow() holds for every path that is built below a folder, and for no sibling of it", () => {
  const name = fc.stringMatching(/^[a-z]{1,8}$/);
  fc.assert(
    fc.property(fc.array(name, { minLength: 1 }), fc.array(name), (outer, inner) => {
      const directory = `/${outer.join("/")}`;
      assert.ok(isBelow([directory, ...inner].join("/"), directory));
      assert.ok(!isBelow(`${directory}x/${inner.join("/")}`, directory));
    }),
  );
});

test("globMatches() agrees with the same pattern as a regular expression", () => {
  const letters = fc.array(fc.constantFrom("a", "b", "*"), { maxLength: 8 }).map((l) => l.join(""));
  const text = fc.array(fc.constantFrom("a", "b"), { maxLength: 10 }).map((l) => l.join(""));
  fc.assert(
    fc.property(letters, text, (pattern, text) => {
      assert.equal(globMatches(pattern, text), new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(text));
    }),
  );
});
