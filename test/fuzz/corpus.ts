import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { fieldClasses } from "#engine";
import { ingestCases, probes } from "../conformance/recorded.ts";

const pack = join(import.meta.dirname, "..", "..", "rules", "starter", "k8s-audit.yaml");

/** The starter pack as it is. */
export const starterPack: string = readFileSync(pack, "utf8");

interface Item {
  readonly rule?: string;
  readonly condition?: string;
  readonly output?: string;
}

const items = parse(starterPack) as readonly Item[];
const texts = (all: readonly (string | undefined)[]): readonly string[] =>
  all.filter((text): text is string => text !== undefined);

/** Conditions of the starter pack and, where they are, the recorded ones. */
export const conditions: readonly string[] = [
  ...texts(items.map(({ condition }) => condition)),
  ...probes.filters.map(({ filter }) => filter),
];

export const outputs: readonly string[] = [
  ...texts(items.map(({ output }) => output)),
  "%ka.verb %10ka.user.name %ka.uri.param[command] %toupper(ka.verb) %join('-', (ka.verb, ka.stage)) %evt.time",
];

/** Rules files: each piece of the starter pack alone, and the recorded ones. */
export const rulesFiles: readonly string[] = [
  ...starterPack.split(/^(?=- )/m),
  ...probes.rules.flatMap(({ rules_yaml }) => rules_yaml),
];

const pod = {
  kind: "Event",
  auditID: "id",
  stage: "ResponseComplete",
  verb: "create",
  stageTimestamp: "2024-01-02T03:04:05.000000007Z",
  requestURI: "/api/v1/namespaces/n/pods?dryRun=All&command=%2Fbin%2Fsh",
  userAgent: "kubectl",
  user: { username: "alice", groups: ["g1", "g2"] },
  objectRef: { resource: "pods", namespace: "n", name: "p" },
  responseStatus: { code: 201 },
  requestObject: {
    spec: {
      hostNetwork: true,
      containers: [
        { name: "c", image: "reg:5000/a/b:1", securityContext: { privileged: true, runAsUser: 0 } },
      ],
      volumes: [{ name: "v", hostPath: { path: "/var/run" } }],
    },
    rules: [{ verbs: ["*"], resources: ["secrets"] }],
    subjects: [{ kind: "ServiceAccount", name: "s", namespace: "n" }],
  },
};

/** Events, lists of events, and what is none. The first is a whole one. */
export const events: readonly string[] = [
  JSON.stringify(pod),
  JSON.stringify({ kind: "EventList", items: [pod, pod] }),
  JSON.stringify([pod, [pod]]),
  ...Object.values(probes.events).map((event) => JSON.stringify(event)),
  ...texts(ingestCases.map(({ input }) => input ?? undefined)).flatMap((input) => input.split("\n")),
];

export const patterns: readonly string[] = [
  "(a+)+$",
  "(a|a)*b",
  "([[:alpha:]]+)*!",
  "a{1,100}b{2}",
  "^(.*)(.*)(.*)$",
  "(a?){1000}",
  ".*a.{900}",
  "((a|b|ab)*c?){50}",
  "^(a|$\\n)*b$",
  "[^a-z]*",
  "\\.\\*",
  "é+",
  "(?i)a",
  "/etc/*",
  "/e?c/[a-z]*",
  "[!x]*",
  "a\\*b",
  "*a*b*c*d*",
  "//etc//",
  "[[:alpha:]",
];

const fieldNames = fieldClasses.flatMap(({ fields }) => fields.map(({ name }) => name));

const withArgument: ReadonlySet<string> = new Set(["key-required", "word-required"]);

/** A rule that prints every field an event of a source may have. */
export function everyFieldRule(source: string): string {
  const fields = fieldClasses
    .filter(({ name, sources }) => name !== "static" && (sources?.includes(source) ?? true))
    .flatMap((one) =>
      one.fields
        .filter(({ isFilterOnly }) => isFilterOnly !== true)
        .map(({ name, argument }) => `%${name}${withArgument.has(argument) ? "[a]" : ""}`),
    );
  const parts = { rule: "every field", desc: "d", condition: "evt.num > 0", priority: "INFO", source };
  return JSON.stringify([{ ...parts, output: fields.join(" ") }]);
}

const message = "audit(1700000000.001:7): ";
const execution = [
  `type=SYSCALL msg=${message}arch=c000003e syscall=59 success=yes exit=0 a0=7f a1=7e a2=7d a3=8 items=2 ppid=1 pid=2 auid=1000`,
  ` uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm="sh" exe="/bin/dash" key=(null)`,
].join("");

/** Lines of the Linux audit log, several of them one event. */
export const records: readonly string[] = [
  [
    execution,
    `type=EXECVE msg=${message}argc=3 a0="sh" a1="-c" a2=6C73202D6C`,
    `type=CWD msg=${message}cwd="/root"`,
    `type=PATH msg=${message}item=0 name="/bin/sh" inode=1 dev=08:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL`,
    `type=PROCTITLE msg=${message}proctitle=7368002D63006C73`,
    `type=EOE msg=${message}`,
  ].join("\n"),
  `type=SYSCALL msg=${message}arch=c000003e syscall=42 success=no exit=-115 a0=3 a1=7f a2=10 a3=0 items=0 ppid=1 pid=2 uid=0 comm="nc" exe="/bin/nc"\ntype=SOCKADDR msg=${message}saddr=0200005008080808000000000000000000`,
  `node=n1 type=SYSCALL msg=${message}arch=c00000b7 syscall=56 success=yes exit=3 a0=ffffff9c a1=7f a2=241 a3=1b6 items=1 pid=9\ntype=PATH msg=${message}item=0 name=2F746D702F610A nametype=CREATE`,
];

/** Words that hold blanks and commas of their own, written with a bar between them. */
function cut(words: string): readonly string[] {
  return words.split("¦");
}

export const conditionWords: readonly string[] = [
  ...fieldNames,
  ...cut(" and ¦ or ¦not ¦not(¦(¦)¦()¦,¦ = ¦==¦!=¦<=¦>¦ in ¦ in (¦ pmatch ¦ intersects ¦ contains "),
  ...cut(" icontains ¦ startswith ¦ endswith ¦ glob ¦ iglob ¦ regex ¦ exists¦ bcontains ¦oneof ¦anyof ("),
  ...cut('allof (¦val(¦tolower(¦toupper(¦b64(¦basename(¦len(¦join(¦concat(¦getopt(¦\'¦"¦\\¦\\"¦[¦]¦[0]'),
  ...cut(
    "[99999999999999999999]¦[a]¦0x¦1e+9¦-1¦<NA>¦true¦\t¦\n¦\b¦__proto__¦constructor¦a¦ka.¦ka.nope¦.¦..¦\u0000",
  ),
  ...cut("\uFEFF¦\ud800¦é¦😀"),
];

export const outputWords: readonly string[] = [
  ...fieldNames.map((name) => `%${name}`),
  ...cut("%¦%%¦*¦%5¦%0¦%4096¦%99999999999¦%tolower(¦%join(¦%(¦)¦[¦]¦[a]¦(¦,¦'¦\"¦\n¦%container.info"),
  ...cut("%__proto__¦%constructor¦\ud800¦\u0000¦é¦😀¦ ¦%ka.uri.param[¦static.a"),
];

const keys =
  "rule list macro condition output desc priority source enabled tags exceptions items append override name fields comps values";

export const yamlWords: readonly string[] = [
  ...keys.split(" ").map((key) => `${key}: `),
  ...cut("- ¦\n¦\n- ¦\n  ¦\n    ¦  ¦\t¦: ¦?¦|\n¦>\n¦|-\n¦|9¦[¦]¦{¦}¦,¦'¦\"¦#¦~¦&a ¦*a¦<<: ¦!!binary ¦!x "),
  ...cut("%YAML 1.2\n¦---\n¦...\n¦null¦yes¦1.50¦0x10¦required_engine_version: ¦required_plugin_versions: "),
  ...cut("alternatives: ¦__proto__: ¦constructor: ¦append¦replace¦k8s_audit¦skip-if-unknown-filter: "),
  ...cut("warn_evttypes: ¦capture: ¦\uFEFF¦\ud800¦\u0000¦\r¦\u2028¦é¦\\¦@¦`"),
];

export const jsonWords: readonly string[] = [
  ...cut('{¦}¦[¦]¦"¦:¦,¦null¦true¦false¦0¦-0¦1e999¦1E-400¦123456789012345678901234567890¦-¦"\\ud800"'),
  ...cut('"\\u0000"¦\\¦\\u¦"__proto__":¦"constructor":¦"kind":"Event",¦"kind":"EventList",'),
  ...cut('"items":[¦"auditID":¦"stageTimestamp":¦"requestObject":¦"spec":¦"containers":¦"user":'),
  ...cut('"groups":¦\u0000¦\uFEFF¦\t¦\ud800¦\udc00¦é¦😀¦[[[[¦]]]]¦{"a":¦//¦NaN¦\'¦"2024-01-02T03:04:05Z"'),
  ...cut('"9999-99-99T00:00:00Z"'),
];

export const patternWords: readonly string[] = [
  ...cut(
    "(¦)¦(?:¦(?i)¦[¦]¦[^¦[[:alpha:]]¦[[:nope:]]¦[a-¦*¦+¦?¦{¦}¦{2}¦{1,1000}¦{,3}¦|¦^¦$¦.¦.*¦\\¦\\d¦\\b¦\\1",
  ),
  ...cut("\\pL¦\\x{10FFFF}¦a¦b¦/¦//¦é¦\ud800¦\u0000¦\n¦!¦-"),
];

export const recordWords: readonly string[] = [
  ...cut(
    `type=¦SYSCALL¦EXECVE¦PATH¦CWD¦SOCKADDR¦PROCTITLE¦EOE¦ msg=audit(¦1700000000.001:7): ¦99999999999.999:99999999999999): `,
  ),
  ...cut(
    `arch=c000003e¦arch=40000003¦syscall=59¦syscall=-1¦syscall=2¦success=no¦exit=-2¦argc=1000000¦argc=-1¦a0=¦a1[0]=¦a1_len=`,
  ),
  ...cut(
    `items=99¦item=-1¦name=¦(null)¦"¦saddr=¦saddr=0100¦saddr=0A00¦2F746D70¦6¦ZZ¦proctitle=00¦pid=¦ppid=¦pid=-1¦uid=4294967295`,
  ),
  ...cut(
    `\n¦ ¦=¦\x1d¦ARCH=x86_64 SYSCALL=execve¦node=a ¦__proto__=¦constructor=¦nametype=DELETE¦mode=0100755¦comm=¦exe=¦\0¦é`,
  ),
];
