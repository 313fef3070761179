import assert from "node:assert/strict";
import { test } from "node:test";

import { readConfig } from "./config.ts";

test("readConfig() fills in every default", () => {
  const config = readConfig({});
  assert.deepEqual(
    [config.listenHost, config.listenPort, config.publicAddress],
    ["0.0.0.0", 8443, undefined],
  );
  assert.deepEqual(
    [config.databaseUrl, config.org, config.agentCertificateMs],
    [undefined, "default", 86_400_000],
  );
});

test("readConfig() takes the port off a public URL, and IPv6 addresses out of their brackets", () => {
  const address = (url: string) => readConfig({ FALCONRY_PUBLIC_URL: url }).publicAddress;
  assert.deepEqual(address("https://fleet.example.com"), { host: "fleet.example.com", port: 443 });
  assert.deepEqual(address("https://fleet.example.com:8443/"), { host: "fleet.example.com", port: 8443 });
  assert.deepEqual(address("https://[::1]:8443"), { host: "::1", port: 8443 });
});

const wrong: readonly (readonly [name: string, value: string, why: RegExp])[] = [
  ["FALCONRY_LISTEN", "8443", /is no HOST:PORT/],
  ["FALCONRY_LISTEN", "0.0.0.0:99999", /is no HOST:PORT/],
  ["FALCONRY_PUBLIC_URL", "http://fleet.example.com", /is no https URL/],
  ["FALCONRY_PUBLIC_URL", "https://fleet.example.com/path", /is no https URL/],
  ["DATABASE_URL", "mysql://localhost/x", /is no postgres:\/\/ URL/],
  ["FALCONRY_DATABASE_CONNECTIONS", "1", /from 2 to 200/],
  ["FALCONRY_LOG_LEVEL", "loud", /is none of trace, debug/],
  ["FALCONRY_ORG", "No Org", /is no name/],
  ["FALCONRY_AGENT_CERTIFICATE_TTL", "1s", /is no duration from 60s/],
  ["FALCONRY_AGENT_CERTIFICATE_TTL", "24", /is no duration/],
  ["FALCONRY_ALERT_RETENTION_DAYS", "0", /from 1 to 3650/],
];

for (const [name, value, why] of wrong) {
  test(`readConfig() names ${name}=${value} and what would be right`, () => {
    assert.throws(
      () => readConfig({ [name]: value }),
      (error: Error) => why.test(error.message) && error.message.includes(name),
    );
  });
}

test("readConfig() lists every problem at once", () => {
  const env = Object.fromEntries(wrong.map(([name, value]) => [name, value]));
  assert.throws(
    () => readConfig(env),
    (error: Error) => error.message.split("\n").length === Object.keys(env).length + 1,
  );
});

test("readConfig() reads which rollouts take a second person, and refuses what would ask nobody by mistake", () => {
  const read = (env: Record<string, string>) => readConfig(env).approvals;
  assert.deepEqual(read({}), { labels: [], lifeMs: 7 * 86_400_000 });
  const labels = "environment=prod, tier=critical";
  assert.deepEqual(read({ FALCONRY_APPROVAL_CLUSTERS: "0", FALCONRY_APPROVAL_LABELS: labels }), {
    clustersMax: 0,
    labels: [
      { key: "environment", value: "prod" },
      { key: "tier", value: "critical" },
    ],
    lifeMs: 7 * 86_400_000,
  });
  assert.throws(() => read({ FALCONRY_APPROVAL_LABELS: "environment:prod" }), /no list of KEY=VALUE/);
  assert.throws(() => read({ FALCONRY_APPROVAL_CLUSTERS: "many" }), /no whole number/);
});
