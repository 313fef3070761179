import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import {
  formatJoinAddress,
  formatJoinString,
  parseJoinAddress,
  parseJoinString,
  parseSpiffeId,
  spiffeId,
} from "#trust";

import { codeOf, valueOf } from "./fixture.ts";

const secret = "S3cr3t_S3cr3t-S3cr3t_S3cr3t-S3cr3t_S3cr3t-1";
const hex = "0123456789abcdef".repeat(4);
const pins = `ca=sha256:${hex}&root=sha256:${hex}`;
const good = `falconry://jt_abc.${secret}@fleet.example.com:8443?${pins}`;

test("a join string says where to go, with which token, and whom to trust", () => {
  assert.deepEqual(valueOf(parseJoinString(` ${good}\n`)), {
    tokenId: "jt_abc",
    secret,
    host: "fleet.example.com",
    port: 8443,
    caPins: [`sha256:${hex}`],
    rootPin: `sha256:${hex}`,
  });
});

test("while the CA is being replaced a join string pins both, and never more", () => {
  const other = `sha256:${"f".repeat(64)}`;
  const both = good.replace(`ca=sha256:${hex}`, `ca=sha256:${hex},${other}`);
  assert.deepEqual(valueOf(parseJoinString(both)).caPins, [`sha256:${hex}`, other]);
  assert.equal(formatJoinString(valueOf(parseJoinString(both))), both);
  const three = parseJoinString(both.replace(other, `${other},${other}`));
  assert.match(three.ok ? "" : three.refusal.message, /pins 3 CAs, at most 2/);
});

test("what is formatted is read back, for names and addresses of both families", () => {
  const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.constant("localhost"));
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65_535 }), (host, port) => {
      const join = {
        tokenId: "jt_1",
        secret,
        host,
        port,
        caPins: [`sha256:${hex}`],
        rootPin: `sha256:${hex}`,
      };
      assert.deepEqual(valueOf(parseJoinString(formatJoinString(join))), join);
    }),
  );
});

const cases: readonly [string, string, RegExp][] = [
  ["another scheme", good.replace("falconry", "https"), /does not begin with "falconry:\/\/"/],
  ["no host", good.replace(/@.*/, ""), /no "@"/],
  ["no secret", good.replace(`.${secret}`, ""), /not TOKEN_ID.SECRET/],
  ["a secret alone", good.replace(`jt_abc.${secret}`, secret), /not TOKEN_ID.SECRET/],
  ["a secret first", good.replace(`jt_abc.${secret}`, `${secret}.jt_abc`), /secret is cut short/],
  ["a secret cut short", good.replace(secret, secret.slice(0, 10)), /secret is cut short/],
  ["an odd secret", good.replace(secret, `${secret}!`), /secret is cut short or has a character/],
  ["no port", good.replace(":8443", ""), /no port after host "fleet.example.com"/],
  ["port 0", good.replace("8443", "0"), /"0" is not a port/],
  ["port 70000", good.replace("8443", "70000"), /"70000" is not a port/],
  ["a bad host", good.replace("fleet.example.com", "fleet_example"), /"fleet_example" is not a host/],
  ["what a shell leaves of it", good.replace(/&root.*/, ""), /pin root is missing .*quotes/],
  ["no pins", good.replace(/\?.*/, ""), /pin ca is missing/],
  ["a short pin", good.slice(0, -4), /pin root is "sha256:[0-9a-f]+", not/],
  ["a pin twice", `${good}&root=sha256:${hex}`, /root occurs twice/],
  ["an unknown part", `${good}&insecure=true`, /unknown part "insecure"/],
  ["a book", good + "x".repeat(2000), /characters, at most 1024/],
];
for (const [name, text, message] of cases) {
  test(`a join string with ${name} is refused by its part, with an example, without the secret`, () => {
    const result = parseJoinString(text);
    assert.ok(!result.ok);
    assert.match(result.refusal.message, message);
    assert.match(result.refusal.message, /It looks like falconry:/);
    assert.equal(result.refusal.message.includes(secret.slice(0, 10)), false);
  });
}

test("a SPIFFE id names org, cluster and agent, and nothing else passes for one", () => {
  const identity = { org: "default", clusterId: "cl_1", agentId: "ag_1" };
  assert.deepEqual(valueOf(parseSpiffeId(spiffeId(identity))), identity);
  for (const odd of [
    "spiffe://evil/default/cluster/cl_1/agent/ag_1",
    "spiffe://falconry/default/cluster/cl_1/agent/ag_1/x",
    "spiffe://falconry/default/cluster/../agent/ag_1",
    "spiffe://falconry/default/cluster/cl_1/agent/",
    "",
  ]) {
    assert.equal(codeOf(parseSpiffeId(odd)), "trust/malformed", odd);
  }
  assert.throws(() => spiffeId({ ...identity, clusterId: "a/b" }), RangeError);
});

test("a join address has no token, is read back, and a join string does not pass for one", () => {
  const address = good.replace(/jt_abc\.[^@]+@/, "");
  const read = valueOf(parseJoinAddress(address));
  assert.deepEqual([read.host, read.port], ["fleet.example.com", 8443]);
  assert.equal(formatJoinAddress(read), address);
  assert.equal(codeOf(parseJoinString(address)), "trust/malformed");
  const refused = parseJoinAddress(good);
  assert.match(refused.ok ? "" : refused.refusal.message, /holds a token, and none belongs there/);
  assert.doesNotMatch(refused.ok ? "" : refused.refusal.message, /S3cr3t/);
});
