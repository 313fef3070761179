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

const to = (host: string, tls: "required" | "optional", serverName = host): Partial<AllowList> => ({
  destinations: [{ host, port: 80, tls, serverName }],
});
const metadataAllowed = to("169.254.169.254", "optional");
const served = (host: string) => `[SERVICE]\n http_server on\n http_listen ${host}\n`;

const cases: readonly (readonly [content: string, allowed: Partial<AllowList>, ok: boolean | "invalid"])[] = [
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
  // An address in another form is another host, and a name in front of it is none.
  [httpTo("Host 2852039166"), metadataAllowed, false],
  [httpTo("Host 0xa9.0xfe.0xa9.0xfe"), metadataAllowed, false],
  [httpTo("Host ::ffff:169.254.169.254"), metadataAllowed, false],
  [httpTo("Host 169.254.169.254."), metadataAllowed, false],
  [httpTo("Host [::1]"), {}, "invalid"],
  [httpTo("Host logs@evil.example.com"), to("logs", "optional"), "invalid"],
  [httpTo("Host evil.example.com/logs"), to("logs", "optional"), "invalid"],
  [httpTo("Host logs\n Uri http://evil.example.com/"), to("logs", "optional"), "invalid"],
  [httpTo("Host ${REGION}"), to("logs", "optional"), "invalid"],
  ["@SET H=evil.example.com\n" + httpTo("Host ${H}"), to("logs", "optional"), false],
  [httpTo("Host logs\n Proxy http://evil.example.com:80"), to("logs", "optional"), false],
  [httpTo("Host logs\n Proxy http://logs@evil.example.com:80"), to("logs", "optional"), "invalid"],
  [httpTo("Host logs\n Header Host evil.example.com"), to("logs", "optional"), false],
  [httpTo("Host logs\n Header Host logs:80"), to("logs", "optional"), true],
  [httpTo("Host logs\n tls on\n tls.vhost evil.example.com\n Port 80"), to("logs", "required"), false],
  [
    httpTo("Host logs\n tls on\n tls.vhost l.example.com\n Port 80"),
    to("logs", "required", "l.example.com"),
    true,
  ],
  [httpTo("Host logs\n tls on\n tls.ca_file /dev/zero\n Port 80"), to("logs", "required"), false],
  [httpTo("Host logs\n tls on\n tls.ca_file /etc/ssl/certs/a.pem\n Port 80"), to("logs", "required"), true],
  [served("0.0.0.0"), {}, false],
  [served("::"), {}, false],
  [served("0"), {}, false],
  [served("0.0.0.0"), { listen: [{ host: "0.0.0.0", port: 2020 }] }, true],
  [served("127.0.0.1"), {}, true],
];
for (const [content, allowed, ok] of cases) {
  const shown = content.replaceAll(/\s+/g, " ").trim();
  test(`checkAllowed() ${ok === true ? "accepts" : "refuses"} ${shown} for ${JSON.stringify(allowed)}`, () => {
    if (ok !== "invalid") return assert.equal(judged(content, allowed).length === 0, ok);
    return assert.equal(parseShipperConfig([{ name: "a.conf", content }], {}).ok, false);
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
