import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { loadRules, type RuleSet, type RulesFile } from "#engine";
import { planAudit } from "../../cli/generator/stream.ts";

/** Lines as they lie in a file, and where each of them starts and ends. */
export interface EventLines {
  readonly bytes: Buffer;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

export function linesOf(bytes: Buffer): EventLines {
  const starts: number[] = [];
  const ends: number[] = [];
  for (let start = 0; start < bytes.length;) {
    const found = bytes.indexOf(0x0a, start);
    const end = found < 0 ? bytes.length : found;
    if (end > start) {
      starts.push(start);
      ends.push(end);
    }
    start = end + 1;
  }
  return { bytes, starts, ends };
}

/** The same lines over and over, until there are as many as it takes for a program to be warm. */
export function repeated({ bytes, starts, ends }: EventLines, count: number): EventLines {
  const times = Math.max(1, Math.ceil(count / starts.length));
  const again = (offsets: readonly number[]): readonly number[] =>
    Array.from({ length: times }, () => offsets).flat();
  return { bytes, starts: again(starts), ends: again(ends) };
}

/** An audit log of one busy cluster; every hundredth line is a planted threat. */
export function generatedEvents(count: number): Buffer {
  const options = { seed: "bench", cluster: "bench", threatEvery: 100 };
  const lines = planAudit({ ...options, count, startMicros: 1_700_000_000_000_000, stepMicros: 1000 });
  return Buffer.from(lines.map(({ line }) => `${line}\n`).join(""));
}

export const starterPack = join(import.meta.dirname, "..", "..", "rules", "starter", "k8s-audit.yaml");

export function readRules(files: readonly string[]): readonly RulesFile[] {
  return files.map((name) => ({ name, content: readFileSync(name, "utf8") }));
}

export function mustLoad(files: readonly RulesFile[]): RuleSet {
  const report = loadRules(files);
  if (!report.ok) {
    throw new Error(`The rules do not load: ${JSON.stringify(report.results.map(({ errors }) => errors))}`);
  }
  return report.ruleset;
}

interface Item {
  readonly rule?: string;
  readonly condition?: string;
}

/**
 * As many rules as asked for: an even choice of those of the files, or all of them and then copies of them for one tenant after the other, each of which asks for
 * that tenant's namespaces or leaves them out, so that no two rules mean the same.
 */
export function variedRules(files: readonly RulesFile[], count: number): readonly RulesFile[] {
  const items = files.flatMap(({ content }) => parse(content) as readonly Item[]);
  const rules = items.filter(({ rule }) => rule !== undefined);
  const others = items.filter(({ rule }) => rule === undefined);
  const varied = Array.from({ length: count }, (_, i) => {
    const tenant = Math.floor(i / rules.length);
    const which = count < rules.length ? Math.floor((i * rules.length) / count) : i % rules.length;
    const rule = rules[which] ?? {};
    if (tenant === 0) return rule;
    const own = tenant % 2 === 0 ? "" : "not ";
    const condition = `(${rule.condition}) and ${own}ka.target.namespace in (tenant-${tenant}, tenant-${tenant}-test)`;
    return { ...rule, rule: `${rule.rule} ${tenant}`, condition };
  });
  return [
    { name: `${count} rules`, content: stringify([...others, ...varied], { aliasDuplicateObjects: false }) },
  ];
}

const kilo = 1024;

/** Events of more than a megabyte, each heavy in its own way. The first is heavy for rules, the last for the reader. */
export function largeEvents(): ReadonlyMap<string, Buffer> {
  const audit = (resource: string, requestObject: unknown): string =>
    JSON.stringify({
      kind: "Event",
      auditID: "large",
      stage: "ResponseComplete",
      verb: "create",
      requestURI: `/api/v1/namespaces/default/${resource}?fieldManager=kubectl`,
      user: { username: "someone", groups: ["system:authenticated"] },
      userAgent: "kubectl/v1.36.0",
      objectRef: { resource, namespace: "default", name: "large", apiVersion: "v1" },
      responseStatus: { code: 201 },
      requestObject,
      stageTimestamp: "2024-01-02T03:04:05.678901Z",
    });
  const container = {
    name: "c",
    image: "registry.example/app:1",
    command: ["sleep", "1d"],
    env: [{ name: "A", value: "B" }],
  };
  const pod = { spec: { containers: Array.from({ length: 12_000 }, () => container) } };
  const text = { data: { a: "Lorem ipsum dolor. ".repeat(70 * kilo) } };
  const escaped = { data: { a: 'a"b\\c\n'.repeat(200 * kilo) } };
  const foreign = { data: { a: "äöü €".repeat(200 * kilo) } };
  const role = {
    rules: Array.from({ length: 12_000 }, () => ({
      verbs: ["get", "list"],
      apiGroups: ["", "apps"],
      resources: ["pods"],
    })),
  };
  const odd = audit("configmaps", text).replace("Lorem", "Lo\u0001rem");
  return new Map([
    ["pod of 12000 containers", Buffer.from(audit("pods", pod))],
    ["role of 12000 rules", Buffer.from(audit("clusterroles", role))],
    ["config map, one text", Buffer.from(audit("configmaps", text))],
    ["config map, escapes", Buffer.from(audit("configmaps", escaped))],
    ["config map, beyond ASCII", Buffer.from(audit("configmaps", foreign))],
    [
      "numbers",
      Buffer.from(
        audit(
          "pods",
          Array.from({ length: 300_000 }, (_, i) => i),
        ),
      ),
    ],
    ["config map with a raw control character", Buffer.from(odd)],
  ]);
}
