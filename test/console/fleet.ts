import { createHash } from "node:crypto";
import type { TestContext } from "node:test";

import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";
import type { BuiltBundle } from "#trust";

import { sql } from "../../server/store/drizzle.ts";
import type { Database } from "../../server/store/pool.ts";
import {
  deliverAlerts,
  publishRoot,
  push,
  rulesBundle,
  startTestServer,
  type TestServer,
} from "../../server/testing.ts";

/** What a cluster in wrong hands may write where people look. */
export const hostile = '<img src=x onerror="document.title=`taken`"><script>document.title="taken"</script>';

export interface ConsoleFleet extends TestServer {
  readonly bundles: readonly BuiltBundle[];
  readonly rolloutId: string;
}

/**
 * A server with a fleet that is rows: every eighth cluster silent, degraded or updating, an hour of rates, alerts, and a rollout
 * that waits for the first proofs.
 */
export async function startConsoleFleet(
  t: TestContext,
  { clusters, env = {} }: { readonly clusters: number; readonly env?: Readonly<Record<string, string>> },
): Promise<ConsoleFleet> {
  const at = await startTestServer(t, { env });
  const offline = await publishRoot(at);
  const bundles = [rulesBundle("1.0.0"), nextRules()];
  await push(at, offline, undefined, bundles);
  const [before] = bundles;
  if (before === undefined) throw new Error("There is no bundle");
  await seedFleet(at.db, { digest: before.digest, clusters });
  await deliverAlerts(at.db, alertsOf(Math.min(clusters, 24)), new Date());
  await seedResponse(at.db, alertId(0));
  const rollouts = await at.client(RolloutService, "operator");
  const { rollout } = await rollouts.startRollout({
    spec: {
      kind: BundleKind.RULES,
      bundle: "starter@1.1.0",
      selector: { requirements: [{ key: "region", operator: 1, values: ["us"] }] },
      allowCoverageLoss: true,
    },
  });
  return { ...at, bundles, rolloutId: rollout?.id ?? "" };
}

function nextRules(): BuiltBundle {
  const rule = (name: string, subresource: string) => [
    `- rule: ${name}`,
    "  desc: Somebody reached into a running pod.",
    `  condition: ka.target.subresource = ${subresource}`,
    `  output: ${subresource} by %ka.user.name`,
    "  priority: WARNING",
    "  source: k8s_audit",
    "",
  ];
  const content = [...rule("Exec into pod", "exec"), ...rule("Attach to pod", "attach")].join("\n");
  return rulesBundle("1.1.0", { files: [{ path: "rules.yaml", content }] });
}

interface Seed {
  readonly digest: string;
  readonly clusters: number;
}

async function seedFleet(db: Database, { digest, clusters }: Seed): Promise<void> {
  const rows = sql`generate_series(1, ${clusters}) i`;
  const cluster = sql`'cl_r' || lpad(i::text, 15, '0')`;
  const agent = sql`'ag_r' || lpad(i::text, 15, '0')`;
  await db.execute(sql`
    insert into clusters (id, name, uid, labels, created_at)
    select ${cluster}, r || '-' || i, 'uid-' || i, jsonb_build_object('cluster', r || '-' || i, 'region', r,
      'environment', (array['production', 'test'])[1 + i % 2], 'team', (array['payments', 'search', 'data'])[1 + i % 3]),
      now() - i * interval '1 minute'
    from ${rows}, lateral (select (array['eu', 'us', 'tr'])[1 + i % 3] as r) as of_region`);
  // The clock of whoever looks may be a while ahead: those that speak were heard of in an hour.
  await db.execute(sql`
    insert into agents (id, cluster_id, name, version, public_key, certificate_serial, certificate_expires_at, created_at,
      last_seen_at, engine_version, connected_at, transport, observed_generation, conditions)
    select ${agent}, ${cluster}, 'node-1', '0.1.0', '\\x01', '01', now() + interval '1 day', now() - interval '2 days',
      case when i % 8 = 5 and i % 3 = 0 then now() - interval '20 minutes' else now() + interval '1 hour' end,
      '0.62.0', now() - interval '1 hour', 'stream', 1,
      case when i % 8 = 4 then ${JSON.stringify([{ code: "output/unreachable", message: `Elasticsearch does not answer ${hostile}`, since: "2026-01-01T00:00:00Z" }])}::jsonb
        else '[]'::jsonb end
    from ${rows}`);
  await db.execute(sql`
    insert into assignments (cluster_id, generation, rules_digest, changed_at) select ${cluster}, 1, ${digest}, now() from ${rows}`);
  await db.execute(sql`
    insert into agent_components (agent_id, kind, running_digest, running_since, proved_generation, proved_at)
    select ${agent}, 'rules', case when i % 16 = 7 then null else ${digest} end, now(), 1, now() from ${rows}`);
  await db.execute(sql`
    insert into attempts (agent_id, kind, digest, generation, at, phase, reason, detail)
    select ${agent}, 'rules', ${digest}, 1, now(), case when i % 16 = 7 then 'applying' else 'applied' end, '', '' from ${rows}`);
  // Of ten thousand clusters an hour is more than one statement may take, and all of them mean the same minute.
  const minute = sql`date_trunc('minute', ${new Date().toISOString()}::timestamptz)`;
  for (const from of [0, 10, 20, 30, 40, 50]) {
    await db.execute(sql`
      insert into rates (agent_id, cluster_id, minute, events, bytes, alerts, dropped, parked, lag_ms, detection_us, seconds)
      select ${agent}, ${cluster}, ${minute} - m * interval '1 minute',
        (2400 + 900 * sin((m + i) / 6.0) + 40 * (i % 7))::int, 4000000, (i + m) % 4, 0, 0, 40 + 30 * (i % 5), 210000, 60
      from ${rows}, generate_series(${from}::int, ${from}::int + 9) m`);
  }
  await db.execute(sql`analyze`);
}

/** What an agent did about the first alert. */
async function seedResponse(db: Database, id: string): Promise<void> {
  await db.execute(sql`
    insert into responses (cluster_id, alert_id, response, agent_id, rule, action, namespace, pod, outcome, why,
      rules_digest, decided_at, received_at, record, signature)
    select cluster_id, id, 'kill', agent_id, rule, 'delete-pod', 'shop', 'checkout-0', 'done', '', '', time, now(), '\\x01', '\\x01'
    from alerts where id = ${id}`);
}

/** The content id of an alert of this fleet. */
export function alertId(n: number): string {
  return createHash("sha256").update(`alert ${n}`).digest("hex");
}

function alertsOf(clusters: number): Parameters<typeof deliverAlerts>[1] {
  const rules = ["Exec into pod", "Secret read by a person", "Privileged pod started", hostile];
  return Array.from({ length: clusters * 4 }, (_, n) => {
    const i = 1 + (n % clusters);
    const at = n % rules.length;
    return {
      id: alertId(n),
      timeUs: BigInt(Date.now() - n * 47_000) * 1000n,
      clusterId: `cl_r${String(i).padStart(15, "0")}`,
      agentId: `ag_r${String(i).padStart(15, "0")}`,
      rule: rules[at] ?? "",
      priority: [4, 3, 2, 5][at] ?? 4,
      source: "k8s_audit",
      output: `exec by alice@example.com in pod checkout-${n} ${n % 7 === 0 ? hostile : ""}`,
      body: JSON.stringify({
        rule: rules[at],
        tags: ["T1609"],
        output_fields: { "ka.user.name": "alice@example.com" },
      }),
      auditId: `audit-${n}`,
      tags: ["T1609"],
      rulesDigest: "",
    };
  });
}
