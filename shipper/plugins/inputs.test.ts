import assert from "node:assert/strict";
import { test } from "node:test";
import { checkAllowed, parseShipperConfig, renderProblems } from "../index.ts";
import type { AllowList, InputConfig, PipelineConfig } from "../index.ts";

function parse(options: string): PipelineConfig {
  const parsed = parseShipperConfig([{ name: "a.conf", content: `[INPUT]\n${options}\n` }], {});
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  return parsed.config;
}

function input<P extends InputConfig["plugin"]>(
  plugin: P,
  options = "",
): Extract<InputConfig, { plugin: P }> {
  const [found] = parse(` Name ${plugin}\n${options}`).inputs;
  assert.ok(found?.plugin === plugin);
  return found as Extract<InputConfig, { plugin: P }>;
}

function refused(options: string): string {
  const parsed = parseShipperConfig([{ name: "a.conf", content: `[INPUT]\n${options}\n` }], {});
  assert.ok(!parsed.ok, "the config is accepted");
  return renderProblems(parsed.problems);
}

test("an http input listens on loopback unless told otherwise, and takes the webhook's largest batches", () => {
  const config = input("http");
  assert.deepEqual([config.listen, config.port, config.paths], ["127.0.0.1", 9880, ["/"]]);
  assert.deepEqual([config.successStatus, config.bodyBytesMax], [201, 16_000_000]);
  assert.deepEqual([config.tls, config.bearerTokenFile, config.tag], [undefined, undefined, "http.0"]);
});

test("the options of Fluent Bit's in_http mean here what they mean there", () => {
  const config = input(
    "http",
    " Tag audit\n Listen 0.0.0.0\n Port 8443\n Uri /audit, /k8s\n Buffer_Max_Size 32M\n" +
      " Successful_Response_Code 204\n Bearer_Token_File /run/token\n storage.total_limit_size 5G\n" +
      " tls on\n tls.crt_file /c\n tls.key_file /k\n tls.ca_file /a\n tls.verify_client_cert on\n Http2 on",
  );
  assert.deepEqual([config.tag, config.listen, config.port], ["audit", "0.0.0.0", 8443]);
  assert.deepEqual(config.paths, ["/audit", "/k8s"]);
  assert.deepEqual([config.bodyBytesMax, config.successStatus, config.spoolBytesMax], [32e6, 204, 5e9]);
  assert.deepEqual(config.tls, { certFile: "/c", keyFile: "/k", caFile: "/a", verifyClient: true });
  assert.equal(config.bearerTokenFile, "/run/token");
});

const refusals: readonly (readonly [what: string, options: string, said: RegExp])[] = [
  [
    "tag_key, which lets clients choose outputs",
    "Name http\n Tag_Key k",
    /Option "tag_key" .* is not supported/,
  ],
  ["TLS without a certificate", "Name http\n tls on\n tls.key_file /k", /"tls.crt_file" is missing/],
  [
    "a certificate that is no path",
    "Name http\n tls on\n tls.key_file /k\n tls.crt_file c",
    /has to be absolute/,
  ],
  [
    "client certificates without a CA",
    "Name http\n tls on\n tls.crt_file /c\n tls.key_file /k\n tls.verify_client_cert on",
    /needs "tls.ca_file"/,
  ],
  ["a path with a query", "Name http\n Uri /a?b", /has to be a path/],
  ["a tag with *", "Name http\n Tag a.*", /one word without \*/],
  ["a status that is no success", "Name http\n Successful_Response_Code 302", /200, 201, 204/],
  ["a dummy that is no object", "Name dummy\n Dummy [1]", /has to be a JSON object/],
  ["a dummy without pace", "Name dummy\n Rate 0", /a whole number from 1/],
  ["an unknown parser of stdin", "Name stdin\n Parser syslog", /Parser "syslog" is not defined/],
];
for (const [what, options, said] of refusals) {
  test(`an input with ${what} is refused`, () => {
    assert.match(refused(` ${options}`), said);
  });
}

test("stdin reads JSON lines unless a parser says otherwise, and dummy one record a second", () => {
  assert.deepEqual(input("stdin").format, { kind: "json" });
  assert.deepEqual(input("stdin", " Parser auditd").format, { kind: "auditd" });
  assert.deepEqual(input("stdin", " Parser none\n Key line").format, { kind: "text", key: "line" });
  const { record, rate, copies, samples } = input("dummy");
  assert.deepEqual([record, rate, copies, samples], ['{"message":"dummy"}', 1, 1, undefined]);
  assert.equal(input("dummy", " Samples 3").samples, 3);
});

test("an address that the agent's allow-list does not list is not listened on", () => {
  const config = parse(" Name http\n Listen 0.0.0.0\n Port 9880");
  const nothing: AllowList = { destinations: [], fileDirectories: [], tailDirectories: [] };
  const judge = (listen: AllowList["listen"]) =>
    checkAllowed(config, listen === undefined ? nothing : { ...nothing, listen }).map(
      ({ message }) => message,
    );
  assert.deepEqual(judge([{ host: "0.0.0.0", port: 9880 }]), []);
  for (const listen of [
    undefined,
    [],
    [{ host: "127.0.0.1", port: 9880 }],
    [{ host: "0.0.0.0", port: 9881 }],
  ]) {
    assert.match(judge(listen).join(), /may not listen on 0\.0\.0\.0:9880: it may listen on /);
  }
});

test("a token, certificate or key of an http input lies where the agent's allow-list has secrets", () => {
  const listen = [{ host: "127.0.0.1", port: 9880 }];
  const nothing: AllowList = { destinations: [], fileDirectories: [], tailDirectories: [], listen };
  const judge = (options: string, secretDirectories: readonly string[]) =>
    checkAllowed(parse(` Name http\n${options}`), { ...nothing, secretDirectories }).map(
      (one) => one.message,
    );
  const tls = " tls on\n tls.crt_file /run/secrets/crt\n tls.key_file /run/secrets/key";
  for (const options of [tls, " Bearer_Token_File /run/secrets/token"]) {
    assert.deepEqual(judge(options, ["/run/secrets"]), []);
    assert.match(judge(options, []).join(), /may not use the secret "\/run\/secrets\/\w+"/);
  }
});
