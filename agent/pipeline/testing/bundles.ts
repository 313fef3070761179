import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildBundle } from "#trust";
import type { BundleKind } from "#trust";
import type { BundleSource, PipelineFacts } from "../pipeline.ts";

/** Facts of a cluster for tests. */
export const facts: PipelineFacts = {
  clusterId: "cl_1",
  agentId: "ag_1",
  labels: { region: "eu", team: "payments" },
  variables: { REGION: "eu", TEAM: "payments", ENVIRONMENT: "prod", CLUSTER: "c-1" },
  hostname: "node-1",
};

let built = 0;

/** Writes a real bundle with one file, and says where it is and what it hashes to. */
export function writeBundle(dir: string, kind: BundleKind, content: string): BundleSource {
  const isClassic = kind === "shipper" && content.trimStart().startsWith("[");
  const path = isClassic ? "fluent-bit.conf" : `${kind}.yaml`;
  const version = `1.0.${++built}`;
  const bundle = buildBundle({
    org: "default",
    kind,
    name: "starter",
    version,
    files: [{ path, content }],
    layers: [],
  });
  if (!bundle.ok) throw new Error(bundle.refusal.message);
  mkdirSync(dir, { recursive: true });
  const file = join(dir, `${kind}-${version}.json`);
  writeFileSync(file, bundle.value.bytes);
  return { path: file, digest: bundle.value.digest };
}

/** Tails `log` and adds the facts. */
export function tailOnly(log: string): string {
  return `[INPUT]
  Name tail
  Alias audit
  Tag audit
  Path ${log}
  Parser json
  Refresh_Interval 1
  Rotate_Wait 1
[FILTER]
  Name modify
  Match *
  Add x_region \${REGION}
  Add x_cluster \${CLUSTER}
`;
}

/** The same, and appends to `out/audit.jsonl`. */
export function tailToFile(log: string, out: string, more: string = ""): string {
  return `${tailOnly(log)}[OUTPUT]
  Name file
  Alias kept
  Match audit
  Path ${out}
  File audit.jsonl
  Format plain
${more}`;
}

/** One rule that every exec fires. */
export const execRule = `- rule: Exec into a pod
  desc: Somebody runs a command in a container.
  condition: jevt.value[/objectRef/subresource] = exec
  output: Exec (user=%jevt.value[/user/username])
  priority: WARNING
  source: k8s_audit
`;

/** One audit event as the API server writes it, without the newline. */
export function auditLine(id: string, more: Readonly<Record<string, unknown>> = {}): string {
  const stageTimestamp = new Date().toISOString().replace("Z", "000Z");
  return JSON.stringify({
    kind: "Event",
    apiVersion: "audit.k8s.io/v1",
    level: "Metadata",
    auditID: id,
    stage: "ResponseComplete",
    requestURI: "/api/v1/namespaces/default/pods",
    verb: "list",
    user: { username: "system:serviceaccount:default:app", groups: ["system:authenticated"] },
    sourceIPs: ["10.0.0.1"],
    objectRef: { resource: "pods", namespace: "default", apiVersion: "v1" },
    responseStatus: { metadata: {}, code: 200 },
    requestReceivedTimestamp: stageTimestamp,
    stageTimestamp,
    ...more,
  });
}
