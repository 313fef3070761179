import assert from "node:assert/strict";
import { test } from "node:test";
import { parseShipperConfig, renderProblems } from "./index.ts";
import type { PipelineConfig } from "./index.ts";

const facts = { REGION: "eu", TEAM: "payments", ENVIRONMENT: "prod", CLUSTER: "c-1" };

function accepted(content: string, name = "fluent-bit.conf"): PipelineConfig {
  const parsed = parseShipperConfig([{ name, content }], facts);
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  return parsed.config;
}

function refused(content: string, name = "fluent-bit.conf"): string {
  const parsed = parseShipperConfig([{ name, content }], facts);
  assert.ok(!parsed.ok, "the config was accepted");
  return renderProblems(parsed.problems);
}

/** The talk's slides, as they stand in it: indentation, case and all. */
const talkInput = `[INPUT]
  Name          tail
  Alias         kube_audit
  Tag           kube_audit
  Buffer_Chunk_Size 512k
  Buffer_Max_Size   5m
  Path           /var/log/kubernetes/audit/kube-apiserver-audit.log
  Parser          json
  DB              /var/log/flb_kube_audit.db
  Mem_Buf_Limit   128MB
  Skip_Long_Lines On
  Refresh_Interval 10
`;
const talkFilter = `[FILTER]

Name      modify
Alias    kube_audit_modify
Match_Regex ^(kube_audit)$
Add      x_region \${REGION}
Add      x_team \${TEAM}
Add      x_environment \${ENVIRONMENT}
Add      x_cluster \${CLUSTER}
`;
const talkEs = `[OUTPUT]
Name          es
Alias         host_services_to_es
Match         host_services
Host         .elasticsearch.logging
Port          80
Index         vm
Generate_ID   Off
`;
const talkHttp = `[OUTPUT]
Name          http
Alias         kube_audit_to_falco
Match         kube_audit
Host          falco.security
Port          8765
URI           /k8s-audit
Format        json
`;

test("the talk's tail, modify and http sections mean what they mean in Fluent Bit", () => {
  const config = accepted(talkInput + talkFilter + talkHttp);
  const [input] = config.inputs;
  assert.ok(input?.plugin === "tail");
  assert.deepEqual(input.paths, ["/var/log/kubernetes/audit/kube-apiserver-audit.log"]);
  assert.equal(input.lineBytesMax, 5_000_000);
  assert.equal(input.refreshMs, 10_000);
  assert.deepEqual(config.filters[0]?.match, { kind: "regex", pattern: "^(kube_audit)$" });
  const output = config.outputs[0];
  assert.ok(output?.plugin === "http");
  assert.equal(`${output.host}:${output.port}${output.uri}`, "falco.security:8765/k8s-audit");
});

test("the talk's es section is read as it stands, host and all", () => {
  const [output] = accepted(talkInput + talkEs).outputs;
  assert.ok(output?.plugin === "es");
  assert.equal(`${output.host}:${output.port}`, ".elasticsearch.logging:80");
  assert.deepEqual([output.index, output.id], [{ kind: "fixed", name: "vm" }, { kind: "server" }]);
});

test("an unsupported output is refused by name and line, with what is supported instead", () => {
  const said = refused(`${talkInput}[OUTPUT]\nName          splunk\n`);
  assert.match(
    said,
    /fluent-bit\.conf:14:1: Output plugin "splunk" is not supported yet\. Supported outputs: detect, es, file/,
  );
});

test("an unsupported option is refused by name, line and column, with the nearest one", () => {
  const said = refused("[INPUT]\n  Name tail\n  Path /a\n    Refesh_Interval 5\n");
  assert.match(said, /:4:5: Option "refesh_interval" .*Did you mean "refresh_interval"\?/);
});

test("YAML and the classic format give the same pipeline", () => {
  const yaml = `
pipeline:
  inputs:
    - Name: tail
      alias: audit
      tag: audit
      path: /var/log/audit.log
      parser: json
      refresh_interval: 5
  filters:
    - name: modify
      alias: facts
      match: '*'
      add:
        - x_region \${REGION}
        - x_cluster \${CLUSTER}
  outputs:
    - name: "file"
      alias: out
      match: audit
      path: /var/lib/out
      format: plain
`;
  const classic = `[INPUT]
 Name tail
 Alias audit
 Tag audit
 Path /var/log/audit.log
 Parser json
 Refresh_Interval 5
[FILTER]
 Name modify
 Alias facts
 Match *
 Add x_region \${REGION}
 Add x_cluster \${CLUSTER}
[OUTPUT]
 Name file
 Alias out
 Match audit
 Path /var/lib/out
 Format plain
`;
  assert.deepEqual(withoutPlaces(accepted(yaml, "shipper.yaml")), withoutPlaces(accepted(classic)));
});

test("Add of an x_ key made of agent facts overrides the record; other Adds leave it alone", () => {
  const config = accepted(`[FILTER]
 Name modify
 Match *
 Add x_cluster \${CLUSTER}
 Add x_note hello
 Add where \${REGION}
`);
  const [filter] = config.filters;
  assert.ok(filter?.plugin === "modify");
  assert.deepEqual(
    filter.rules.map((rule) => rule.kind),
    ["set", "add", "add"],
  );
});

test("an unset variable is refused by name instead of becoming empty", () => {
  assert.match(
    refused("[INPUT]\n Name tail\n Path /logs/${TRIBE}/a.log\n"),
    /:3:2: Variable \$\{TRIBE\} is not set/,
  );
});

test("the config's own env cannot change what the agent knows about its cluster", () => {
  const config = accepted(
    "env:\n  CLUSTER: evil\n  LOGS: /logs\npipeline:\n  inputs:\n    - {name: tail, path: '${LOGS}/${CLUSTER}'}\n",
    "a.yaml",
  );
  const [input] = config.inputs;
  assert.ok(input?.plugin === "tail");
  assert.deepEqual(input.paths, ["/logs/c-1"]);
});

test("where Fluent Bit's defaults lose data the defaults here do not", () => {
  const config = accepted(talkInput + talkHttp);
  const [input] = config.inputs;
  assert.ok(input?.plugin === "tail");
  assert.equal(input.readFromHead, true);
  assert.equal(config.outputs[0]?.retryLimit, undefined);
});

test("a later file replaces what has the same alias, so that a layer can override", () => {
  const layer = "[OUTPUT]\n Name http\n Alias kube_audit_to_falco\n Match *\n Host other\n Format json\n";
  const files = [
    { name: "base.conf", content: talkInput + talkHttp },
    { name: "team.conf", content: layer },
  ];
  const parsed = parseShipperConfig(files, facts);
  assert.ok(parsed.ok);
  assert.deepEqual(
    parsed.config.outputs.map((o) => o.plugin === "http" && o.host),
    ["other"],
  );
});

test("the same alias twice in one file is refused", () => {
  assert.match(refused(talkHttp + talkHttp), /:9:1: Alias "kube_audit_to_falco" is there twice/);
});

const hostile: readonly (readonly [name: string, content: string, said: RegExp])[] = [
  ["an alias", "a: &x [1]\nb: *x\n", /Anchor &x is not supported/],
  [
    "a billion laughs",
    `a: &a ["x"]\n${Array.from({ length: 20 }, (_, i) => `b${i}: &b${i} [*a,*a]`).join("\n")}`,
    /not supported/,
  ],
  ["deep nesting", `service: ${"[".repeat(50_000)}`, /./],
  ["a custom tag", "service: !!js/function 'x'\n", /Tag|not valid|mapping/i],
  ["a duplicate key", "service:\n  flush: 1\n  Flush: 2\n", /:3:3: "Flush" is there twice/],
  ["a file that is too long", `# ${"x".repeat(300_000)}`, /longer than/],
  [
    "many keys",
    `service:\n${Array.from({ length: 20_000 }, (_, i) => `  k${i}: 1`).join("\n")}`,
    /More than 256 options/,
  ],
  ["__proto__", "service:\n  __proto__: 1\n", /Option "__proto__"/],
  ["a file of the machine", "includes:\n  - /etc/passwd\n", /"\/etc\/passwd" is no file of this bundle/],
  [
    "variables that double and double",
    `env:\n  A0: "${"x".repeat(1000)}"\n${Array.from({ length: 60 }, (_, i) => `  A${i + 1}: "\${A${i}}\${A${i}}"`).join("\n")}`,
    /The value is longer than 16384 characters/,
  ],
  [
    "a regular expression that repeats repeats",
    `pipeline:\n  outputs:\n    - {name: "null", match_regex: "${"[a-z]{1000}".repeat(50)}"}`,
    /it repeats too much/,
  ],
  ["problems without end", Array.from({ length: 5000 }, (_, i) => `s${i}: 1`).join("\n"), /s49/],
];
for (const [name, content, said] of hostile) {
  test(`YAML with ${name} is refused in words, and hangs nobody`, () => {
    assert.match(refused(content, "a.yaml"), said);
  });
}

test("what reaches outside the bundle is refused in the classic format, too", () => {
  assert.match(refused("@INCLUDE /etc/*.conf\n"), /:1:1: "\/etc\/\*\.conf" is no file of this bundle/);
  assert.match(refused("@INCLUDE ../../etc/passwd\n"), /:1:1: "\.\.\/\.\.\/etc\/passwd" is no file/);
  assert.match(
    refused("[PLUGINS]\n  Path /x.so\n"),
    /Section \[PLUGINS\] is not supported: nothing can be loaded/,
  );
});

test("a regular expression that cannot be had in linear time is refused", () => {
  assert.match(refused("[OUTPUT]\n Name null\n Match_Regex (?=a)b\n"), /:3:2: "match_regex" cannot be used/);
});

function withoutPlaces(config: PipelineConfig): unknown {
  return JSON.parse(JSON.stringify(config, (key, value: unknown) => (key === "at" ? undefined : value)));
}
