import assert from "node:assert/strict";
import { test } from "node:test";
import type { ForwardConfig } from "./index.ts";
import { checkAllowed, parseShipperConfig, renderProblems } from "./index.ts";

function read(options: string) {
  const content = `[INPUT]\n Name tail\n Tag a\n Path /var/log/a\n[OUTPUT]\n Name forward\n Match *\n${options}`;
  return parseShipperConfig([{ name: "a.conf", content }], { KEY: "k", PW: "p" });
}

function accepted(options: string): ForwardConfig {
  const parsed = read(options);
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  const [output] = parsed.config.outputs;
  assert.ok(output?.plugin === "forward");
  return output;
}

test("forward has Fluent Bit's defaults, but that each message has to be acknowledged", () => {
  const { host, port, requiresAck, timeAsInteger, compress, sharedKey, keepsConnection } = accepted("");
  assert.deepEqual(
    { host, port, requiresAck, timeAsInteger, compress, sharedKey, keepsConnection },
    {
      host: "127.0.0.1",
      port: 24_224,
      requiresAck: true,
      timeAsInteger: false,
      compress: "none",
      sharedKey: undefined,
      keepsConnection: true,
    },
  );
});

test("forward reads the options of a secure destination, secrets from variables or files", () => {
  const output = accepted(
    " Host logs.test\n Port 24284\n Shared_Key ${KEY}\n Username u\n Password_File /etc/pw\n Self_Hostname me.test\n tls on\n Require_Ack_Response off\n Net.Keepalive off\n",
  );
  assert.deepEqual(output.sharedKey, { kind: "text", text: "k" });
  assert.deepEqual([output.user, output.password], ["u", { kind: "file", path: "/etc/pw" }]);
  assert.deepEqual(
    [output.requiresAck, output.keepsConnection, output.selfHostname],
    [false, false, "me.test"],
  );
  assert.equal(output.tls?.verify, true);
});

test("an empty shared key is a key: the handshake takes place", () => {
  assert.deepEqual(accepted(" Empty_Shared_Key on\n").sharedKey, { kind: "text", text: "" });
});

for (const [what, options, expected] of [
  [
    "an upstream",
    " Upstream /etc/upstream.conf\n",
    /a\.conf:8:2: .*"upstream".*not supported: name one destination/,
  ],
  ["a unix socket", " Unix_Path /run/x.sock\n", /"unix_path".*not supported/],
  ["a tag that a record makes", " Tag $kubernetes['x']\n", /"tag" is .*a tag that a record makes/],
  [
    "a user without a handshake",
    " Username u\n",
    /"username" is only asked for in a handshake: add "shared_key"/,
  ],
  [
    "a password without a user",
    " Shared_Key ${KEY}\n Password ${PW}\n",
    /"password" is there without "username"/,
  ],
  [
    "compression that the protocol does not know",
    " Compress zstd\n",
    /"compress" is "zstd" and has to be none, gzip/,
  ],
] as const) {
  test(`forward: ${what} is refused with its place`, () => {
    const parsed = read(options);
    assert.ok(!parsed.ok, "the config was accepted");
    assert.match(renderProblems(parsed.problems), expected);
  });
}

test("the allow-list holds for forward: destination, TLS, and files with secrets", () => {
  const parsed = read(" Host logs.test\n Shared_Key_File /etc/keys/shared\n");
  assert.ok(parsed.ok);
  const denied = (
    destinations: { host: string; port: number; tls: "required" | "optional" }[],
    secrets: string[],
  ) =>
    renderProblems(
      checkAllowed(parsed.config, {
        destinations,
        fileDirectories: [],
        tailDirectories: ["/var/log"],
        secretDirectories: secrets,
      }),
    );
  const here = { host: "logs.test", port: 24_224 };
  assert.match(denied([], ["/etc/keys"]), /may not send to logs\.test:24224/);
  assert.match(denied([{ ...here, tls: "required" }], ["/etc/keys"]), /only with "tls on"/);
  assert.match(denied([{ ...here, tls: "optional" }], []), /may not use the secret "\/etc\/keys\/shared"/);
  assert.equal(denied([{ ...here, tls: "optional" }], ["/etc/keys"]), "");
});
