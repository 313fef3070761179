import { X509Certificate } from "node:crypto";
import { join } from "node:path";

import { sql } from "../../../server/store/drizzle.ts";
import { BundleService } from "#proto/fleet/v1/bundle";
import {
  certificateToPem,
  createCsr,
  generatePrivateKey,
  issueAgentCertificate,
  type BuiltBundle,
} from "#trust";

import { buildBundleFromDirectory } from "../../../cli/trust/build-bundle.ts";
import { param } from "../../../server/store/assignments.ts";
import type { Database } from "../../../server/store/pool.ts";
import { publishRoot, signTargets, type TestServer } from "../../../server/testing.ts";
import type { ServerProcess } from "../../floods/server-process.ts";
import type { StoredIdentity } from "./protocol.ts";

type Admin = Pick<TestServer, "client" | "bare">;

const org = "default";

/** Releases two versions of the starter rules, in the size that people run. Answers with the root and the bundles. */
export async function releaseBundles(
  admin: Admin,
): Promise<{ readonly root: Uint8Array; readonly bundles: readonly BuiltBundle[] }> {
  const dir = join(import.meta.dirname, "..", "..", "..", "rules", "starter");
  const build = (version: string) =>
    buildBundleFromDirectory(dir, { org, kind: "rules", name: "starter", version });
  const bundles = ["1.0.0", "1.1.0"].map(build);
  const offline = await publishRoot(admin);
  const targets = await signTargets(offline, undefined, bundles);
  const service = await admin.client(BundleService);
  await service.pushBundles({
    bundles: bundles.map(({ bytes }) => Uint8Array.from(bytes)),
    targets: Uint8Array.from(targets),
  });
  return { root: offline.bytes, bundles };
}

interface Made {
  readonly identity: StoredIdentity;
  readonly spki: Uint8Array;
  readonly serial: string;
}

/**
 * Clusters with an agent each, as enrolment leaves them: certificates are issued by the fleet's CA, and the rows are written
 * at once. Enrolment by itself is no part of this benchmark.
 */
export async function seedAgents(
  db: Database,
  server: ServerProcess,
  root: Uint8Array,
  count: number,
): Promise<readonly StoredIdentity[]> {
  const made: Made[] = [];
  for (let i = 0; i < count; i += 1) made.push(await makeOne(server, root, i));
  const column = (of: (each: Made) => string) => param(made.map(of));
  const expires = new Date(Date.now() + 20 * 3_600_000).toISOString();
  await db.execute(sql`
    insert into clusters (id, name, uid, labels, created_at)
    select x.id, x.name, x.uid, ${JSON.stringify({ region: "bench" })}::jsonb, now()
    from unnest(${column(({ identity }) => identity.clusterId)}::text[],
      ${column(({ identity }) => identity.labels["cluster"] ?? "")}::text[],
      ${column(({ identity }) => identity.clusterUid)}::text[]) as x (id, name, uid)`);
  await db.execute(sql`
    insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at, created_at)
    select x.id, x.cluster, 'node-1', decode(x.spki, 'hex'), x.serial, ${expires}::timestamptz, now()
    from unnest(${column(({ identity }) => identity.agentId)}::text[],
      ${column(({ identity }) => identity.clusterId)}::text[],
      ${column(({ spki }) => Buffer.from(spki).toString("hex"))}::text[],
      ${column(({ serial }) => serial)}::text[]) as x (id, cluster, spki, serial)`);
  return made.map(({ identity }) => identity);
}

async function makeOne({ baseUrl, ca, state }: ServerProcess, root: Uint8Array, i: number): Promise<Made> {
  const number = String(i).padStart(16, "0");
  const [clusterId, agentId] = [`cl_${number}`, `ag_${number}`];
  const key = generatePrivateKey();
  const issued = await issueAgentCertificate({
    ca: state.ca,
    csr: await createCsr(key),
    identity: { org, clusterId, agentId },
    now: new Date(),
  });
  if (!issued.ok) throw new Error(issued.refusal.message);
  const cert = certificateToPem(issued.value);
  const read = new X509Certificate(cert);
  const name = `bench-${i}`;
  return {
    identity: {
      org,
      clusterId,
      agentId,
      clusterUid: `uid-${name}`,
      labels: {
        region: "bench",
        cluster: name,
      },
      baseUrl,
      ca,
      cert,
      key,
      root: Buffer.from(root).toString("base64"),
      localAddress: `127.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
    },
    spki: read.publicKey.export({ type: "spki", format: "der" }),
    serial: read.serialNumber.toLowerCase(),
  };
}

/** Clusters that are only rows, for the inventory: ten labels each, an agent, an assignment, proofs and a minute of rates. */
export async function seedRows(db: Database, digest: string, count: number): Promise<void> {
  await db.execute(sql`
    insert into clusters (id, name, uid, labels, created_at)
    select 'cl_r' || lpad(i::text, 15, '0'), 'row-' || i, 'uid-row-' || i, jsonb_build_object('cluster', 'row-' || i,
      'region', (array['eu', 'us', 'ap', 'tr', 'me'])[1 + i % 5], 'environment', (array['prod', 'test'])[1 + i % 2],
      'team', 'team-' || i % 40, 'tribe', 'tribe-' || i % 8, 'project', 'project-' || i % 200, 'zone', 'z' || i % 3,
      'provider', (array['aws', 'gcp', 'own'])[1 + i % 3], 'tier', 't' || i % 4, 'cost-center', 'c' || i % 50),
      now() - i * interval '1 second'
    from generate_series(1, ${count}) i`);
  await db.execute(sql`
    insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at, created_at,
      last_seen_at, engine_version, connected_at, transport, observed_generation)
    select 'ag_r' || lpad(i::text, 15, '0'), 'cl_r' || lpad(i::text, 15, '0'), 'node-1', '\\x01', '01', now() + interval '1 day',
      now() - interval '1 hour', now() + interval '1 hour', '0.62.0', now(), 'stream', 1
    from generate_series(1, ${count}) i`);
  await db.execute(sql`
    insert into assignments (cluster_id, generation, rules_digest, changed_at)
    select 'cl_r' || lpad(i::text, 15, '0'), 1, ${digest}, now() from generate_series(1, ${count}) i`);
  await db.execute(sql`
    insert into agent_components (agent_id, kind, running_digest, running_since, proved_generation, proved_at)
    select 'ag_r' || lpad(i::text, 15, '0'), 'rules', ${digest}, now(), 1, now() from generate_series(1, ${count}) i`);
  await db.execute(sql`
    insert into attempts (agent_id, kind, digest, generation, at, phase, reason, detail)
    select 'ag_r' || lpad(i::text, 15, '0'), 'rules', ${digest}, 1, now(), 'applied', '', ''
    from generate_series(1, ${count}) i`);
  await db.execute(sql`
    insert into rates (agent_id, cluster_id, minute, events, bytes, alerts, dropped, parked, lag_ms, detection_us, seconds)
    select 'ag_r' || lpad(i::text, 15, '0'), 'cl_r' || lpad(i::text, 15, '0'), date_trunc('minute', now()), 1000, 1500000, 3, 0, 0,
      40, 900, 60 from generate_series(1, ${count}) i`);
  await db.execute(sql`analyze`);
}
