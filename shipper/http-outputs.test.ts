import assert from "node:assert/strict";
import { test } from "node:test";
import { checkAllowed, parseShipperConfig, renderProblems } from "./index.ts";
import type { AllowList, OutputConfig } from "./index.ts";

const facts = { REGION: "eu", CLUSTER: "c-1", ES_PASSWORD: "s3cret", BAD: "two\nlines" };

function parse(section: string) {
  return parseShipperConfig([{ name: "a.conf", content: `[OUTPUT]\n${section}` }], facts);
}

function accepted(section: string): { readonly output: OutputConfig; readonly warnings: string } {
  const parsed = parse(section);
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  const [output] = parsed.config.outputs;
  assert.ok(output !== undefined);
  return { output, warnings: renderProblems(parsed.warnings) };
}

function refused(section: string): string {
  const parsed = parse(section);
  assert.ok(!parsed.ok, "the config was accepted");
  return renderProblems(parsed.problems);
}

function es(options: string) {
  const { output, warnings } = accepted(` Name es\n Match *\n${options}`);
  assert.ok(output.plugin === "es");
  return { ...output, warnings };
}

function loki(options: string) {
  const { output } = accepted(` Name loki\n Match *\n${options}`);
  assert.ok(output.plugin === "loki");
  return output;
}

test("es begins where Fluent Bit begins, but sends no type and makes ids that last", () => {
  const { host, port, index, operation, type, id, timeKey, path } = es("");
  assert.deepEqual([host, port, operation, timeKey], ["127.0.0.1", 9200, "create", "@timestamp"]);
  assert.deepEqual(index, { kind: "fixed", name: "fluent-bit" });
  assert.deepEqual([type, id], [undefined, { kind: "source" }]);
  assert.equal(path, "/_bulk?filter_path=errors,items.*.status,items.*.error");
});

test("es reads the options that people write", () => {
  const config = es(` Path /search/
 Pipeline geo ip
 Logstash_Format On
 Logstash_Prefix kube-\${REGION}
 Logstash_Prefix_Key $kubernetes['namespace_name']
 Logstash_DateFormat %Y.%V
 Current_Time_Index On
 Include_Tag_Key On
 Replace_Dots On
 Write_Operation index
 Suppress_Type_Name Off
 Time_Key when
 Time_Key_Format %Y-%m-%d
 Id_Key auditID
 Buffer_Size False
 Trace_Error On
 AWS_Auth Off
`);
  assert.equal(
    config.path,
    "/search/_bulk?pipeline=geo%20ip&filter_path=errors,items.*.status,items.*.error",
  );
  assert.deepEqual(config.index, {
    kind: "dated",
    prefix: "kube-eu",
    prefixPath: [
      { kind: "key", name: "kubernetes" },
      { kind: "key", name: "namespace_name" },
    ],
    separator: "-",
    dateFormat: "%Y.%V",
    isSendingDay: true,
  });
  assert.deepEqual(
    [config.operation, config.type, config.timeKey, config.timeFormat],
    ["index", "_doc", "when", "%Y-%m-%d"],
  );
  assert.deepEqual([config.tagKey, config.replaceDots], ["flb-key", true]);
  assert.deepEqual(config.id, { kind: "field", path: [{ kind: "key", name: "auditID" }] });
});

test("opensearch is read as es is", () => {
  const { output } = accepted(" Name opensearch\n Match *\n Index vm\n");
  assert.ok(output.plugin === "opensearch");
  assert.deepEqual(output.index, { kind: "fixed", name: "vm" });
});

test("what may surprise is said when the config is checked", () => {
  assert.match(es(" Generate_ID Off\n").warnings, /stands there twice/);
  assert.match(es(" Type mine\n").warnings, /type is not sent/);
  assert.match(
    es(" http_User me\n http_Passwd plain\n").warnings,
    /a\.conf:5:2: "http_passwd" stands in the bundle/,
  );
  assert.equal(es(" http_User me\n http_Passwd ${ES_PASSWORD}\n").warnings, "");
  assert.match(es(" http_Passwd ${ES_PASSWORD}\n").warnings, /does nothing without "http_user"/);
});

test("credentials are a user, a token or a key, each as text or from a file", () => {
  assert.deepEqual(es(" http_User me\n http_Passwd ${ES_PASSWORD}\n").auth, {
    kind: "basic",
    user: "me",
    password: { kind: "text", text: "s3cret" },
  });
  assert.deepEqual(es(" http_User me\n http_Passwd_File /run/secrets/es\n").auth, {
    kind: "basic",
    user: "me",
    password: { kind: "file", path: "/run/secrets/es" },
  });
  assert.deepEqual(es(" http_Api_Key_File /run/key\n").auth, {
    kind: "api-key",
    token: { kind: "file", path: "/run/key" },
  });
  assert.deepEqual(loki(" bearer_token ${ES_PASSWORD}\n").auth, {
    kind: "bearer",
    token: { kind: "text", text: "s3cret" },
  });
});

test("loki reads labels of both kinds, and takes the fields that became labels out of the line", () => {
  const config = loki(` Labels job=audit, region=\${REGION}, ns=$objectRef['namespace']
 Label_Keys $verb,$user['groups'][0]
 Structured_Metadata $auditID
 Remove_Keys kind, $annotations['a,b']
 Tenant_ID team-a
`);
  const key = (...names: string[]) => names.map((name) => ({ kind: "key", name }));
  assert.deepEqual(config.labels, [
    { name: "job", value: "audit" },
    { name: "region", value: "eu" },
    { name: "ns", path: key("objectRef", "namespace") },
    { name: "verb", path: key("verb") },
    { name: "user_groups_0", path: [...key("user", "groups"), { kind: "index", index: 0 }] },
  ]);
  assert.deepEqual(config.metadata, [{ name: "auditID", path: key("auditID") }]);
  assert.deepEqual(config.removed.slice(0, 2), [key("kind"), key("annotations", "a,b")]);
  assert.equal(config.removed.length, 5);
  assert.deepEqual([config.uri, config.port, config.tenantId], ["/loki/api/v1/push", 3100, "team-a"]);
});

const refusals = [
  ["Name es\n Index Audit", /a\.conf:3:2: "index" is "Audit" and has to be lower case/],
  ["Name es\n Cloud_ID x:y", /"cloud_id" of output "es" is not supported: write the host of the deployment/],
  [
    "Name es\n AWS_Auth On",
    /"aws_auth" of output "es" is not supported: requests are not signed: send through a proxy/,
  ],
  ["Name es\n Write_Operation upsert", /only create and index are supported/],
  [
    "Name es\n Logstash_Format On\n Logstash_DateFormat %Y-%B",
    /"logstash_dateformat" cannot be used: %B is not supported/,
  ],
  ["Name es\n Generate_Ids On", /Did you mean "generate_id"\?/],
  ["Name es\n Host https://es", /"host" is "https:\/\/es" and has to be a name or an address/],
  ["Name es\n http_User a\n bearer_token ${ES_PASSWORD}", /Both "http_user" and "bearer_token" are there/],
  ["Name es\n http_User a\n http_Passwd ${BAD}", /"http_passwd" holds a control character/],
  ["Name es\n http_User a\n http_Passwd x\n http_Passwd_File /y", /are both there: keep one/],
  ["Name es\n http_User a\n http_Passwd_File y", /has to be absolute/],
  ["Name es\n tls.crt_file /a", /"tls.crt_file" has no effect: add "tls on"/],
  ["Name es\n tls on\n tls.crt_file /a", /belong together: add the other one/],
  ["Name es\n tls on\n tls.ca_file ca.pem", /"tls.ca_file" is "ca.pem" and has to be absolute/],
  [
    "Name http\n Format json\n Header Content-Length 5",
    /The header "Content-Length" is set by the output itself/,
  ],
  ["Name http\n Format json\n Header X-A ${BAD}", /has to be "header NAME VALUE"/],
  ["Name http\n Format json\n Proxy https://p", /"proxy" has to be http:\/\/HOST:PORT/],
  ["Name http\n Format json\n Compress snappy", /"compress" is "snappy" and has to be none, gzip, zstd/],
  ["Name loki\n auto_kubernetes_labels on", /labels of pods would make streams without number/],
  ["Name loki\n Label_Keys verb", /fields begin with \$: write \$verb/],
  ["Name loki\n Labels job", /has to hold NAME=VALUE, NAME=\$FIELD or \$FIELD/],
  ["Name loki\n Labels a=1, $a", /The label "a" is there twice/],
  ["Name loki\n Tenant_ID_Key $x", /a record may not choose its tenant/],
  ["Name loki\n Storage.Overflow drop", /"storage.overflow" is "drop" and has to be wait, drop_oldest/],
] as const;
for (const [section, said] of refusals) {
  test(`${section.replaceAll("\n", ",")} is refused with what to write`, () => {
    assert.match(refused(` ${section}\n Match *\n`), said);
  });
}

const nothing: AllowList = { destinations: [], fileDirectories: [], tailDirectories: [] };
const here = { host: "es.example.com", port: 9200, tls: "required" } as const;
const proxy = { host: "proxy", port: 3128, tls: "optional" } as const;

function judged(section: string, allowed: Partial<AllowList>): readonly string[] {
  const parsed = parse(` Match *\n Host es.example.com\n Port 9200\n${section}`);
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  return checkAllowed(parsed.config, { ...nothing, ...allowed }).map(({ message }) => message);
}

for (const name of ["es", "opensearch", "loki", "http\n Format json"]) {
  test(`${name.split("\n", 1)[0]} goes only to destinations of the allow-list, with TLS where it says so`, () => {
    const tls = ` Name ${name}\n tls on\n`;
    assert.match(judged(tls, {})[0] ?? "", /may not send to es\.example\.com:9200: it may send to nothing/);
    assert.deepEqual(judged(tls, { destinations: [here] }), []);
    assert.match(judged(` Name ${name}\n`, { destinations: [here] })[0] ?? "", /only with "tls on"/);
    assert.match(judged(`${tls} tls.verify off\n`, { destinations: [here] })[0] ?? "", /"tls\.verify on"/);
  });
}

test("a proxy has to be allowed, too", () => {
  const through = " Name es\n tls on\n Proxy http://proxy:3128\n";
  assert.match(judged(through, { destinations: [here] })[0] ?? "", /may not send to proxy:3128/);
  assert.deepEqual(judged(through, { destinations: [here, proxy] }), []);
});

test("secrets come only from folders of the allow-list", () => {
  const section = " Name es\n tls on\n http_User me\n http_Passwd_File /run/secrets/../shadow\n";
  const allowed = { destinations: [here], secretDirectories: ["/run/secrets"] };
  assert.match(judged(section, allowed)[0] ?? "", /may not use the secret "\/run\/secrets\/\.\.\/shadow"/);
  const certificate = " Name es\n tls on\n tls.crt_file /run/secrets/c\n tls.key_file /etc/key\n";
  assert.match(
    judged(certificate, allowed)[0] ?? "",
    /may not use the secret "\/etc\/key": it may use files below/,
  );
  assert.match(judged(certificate, { destinations: [here] })[0] ?? "", /secret "\/run\/secrets\/c"/);
  assert.deepEqual(judged(certificate.replace("/etc/key", "/run/secrets/k"), allowed), []);
});
