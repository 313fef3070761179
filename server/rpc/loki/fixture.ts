import { once } from "node:events";
import { request as open } from "node:https";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";

import { priorityNumber } from "../../domain/priority.ts";
import type { Db } from "../../store/pool.ts";
import { clusters } from "../../store/schema.ts";
import { deliverAlerts, type TestServer } from "../../testing.ts";

/** When the alerts of the fixture begin: the start of a minute, not long ago, because the server drops what is old. */
export const beganMs: number = 60_000 * Math.floor(Date.now() / 60_000) - 900_000;

export interface Seen {
  readonly cluster: string;
  readonly rule: string;
  readonly priority: string;
  readonly user: string;
  /** Of the rule; `k8s` alone, if it is not said. */
  readonly tags?: readonly string[];
  /** After `beganMs`. */
  readonly seconds: number;
}

/** An alert in the words of Falco's JSON, as our engine and Falco itself write it. */
export function falcoLine({ rule, priority, user, tags = ["k8s"], seconds }: Seen): string {
  return JSON.stringify({
    output: `${rule} by ${user}`,
    priority,
    rule,
    source: "k8s_audit",
    tags,
    time: new Date(beganMs + 1000 * seconds).toISOString(),
    output_fields: { "ka.user.name": user, "ka.target.namespace": "payments" },
  });
}

/** Three clusters of two teams, with labels as the shipper's configs give them. */
export async function storeClusters(db: Db): Promise<void> {
  const labels = {
    "eu-1": { region: "eu", team: "pay", environment: "production" },
    "eu-2": { region: "eu", team: "web", environment: "staging" },
    "us-1": { region: "us", team: "pay", environment: "production", "app.io/tier": "1" },
  };
  await db.insert(clusters).values(
    Object.entries(labels).map(([name, more]) => ({
      id: `cl_${name.replace("-", "")}`,
      name,
      uid: `uid-${name}`,
      labels: { cluster: name, ...more },
      createdAt: new Date(beganMs),
    })),
  );
}

export async function storeSeen(db: Db, seen: readonly Seen[], from: number = 1): Promise<void> {
  const rows = seen.map((each, index) => ({
    id: (from + index).toString(16).padStart(64, "0"),
    timeUs: BigInt(beganMs + 1000 * each.seconds) * 1000n,
    clusterId: `cl_${each.cluster.replace("-", "")}`,
    agentId: "ag_1",
    rule: each.rule,
    priority: priorityNumber(each.priority) ?? 7,
    source: "k8s_audit",
    output: "",
    body: falcoLine(each),
    auditId: "",
    tags: [...(each.tags ?? ["k8s"])],
    rulesDigest: "sha256:aa",
  }));
  for (let left = 20; ; left -= 1) {
    try {
      await deliverAlerts(db, rows, new Date(beganMs));
      return;
    } catch (error) {
      // A server that starts makes the partition of the day: what is stored meanwhile is refused, and comes again, as from an agent.
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const exec = "Exec into pod";
const secret = "Secret read";

/** What a morning brings. */
export const morning: readonly Seen[] = [
  { cluster: "eu-1", rule: exec, priority: "Warning", user: "alice", seconds: 10 },
  { cluster: "eu-1", rule: exec, priority: "Warning", user: "bob", seconds: 70 },
  { cluster: "eu-1", rule: secret, priority: "Notice", user: "alice", seconds: 80 },
  { cluster: "eu-2", rule: exec, priority: "Warning", user: "alice", seconds: 130 },
  { cluster: "us-1", rule: secret, priority: "Notice", user: "carol", seconds: 190 },
  { cluster: "us-1", rule: "Shell 100% odd_name", priority: "Critical", user: "mallory", seconds: 200 },
];

export interface Answered {
  readonly status: number;
  readonly text: string;
  readonly headers: IncomingMessage["headers"];
}

/** Asks as an honest client of Loki does: a GET or a form over TLS with parameters, and Basic or Bearer. */
export async function ask(
  at: Pick<TestServer, "baseUrl" | "ca">,
  path: string,
  params: Readonly<Record<string, string | readonly string[]>>,
  authorization: string | undefined,
  form?: { readonly type: string; readonly body?: string },
): Promise<Answered> {
  const search = new URLSearchParams(
    Object.entries(params).flatMap(([name, value]) =>
      [value].flat().map((each): [string, string] => [name, each]),
    ),
  );
  const headers = {
    ...(authorization === undefined ? {} : { authorization }),
    ...(form === undefined ? {} : { "content-type": form.type }),
  };
  const url = `${at.baseUrl}/loki/api/v1/${path}${form === undefined ? `?${search.toString()}` : ""}`;
  const method = form === undefined ? "GET" : "POST";
  const request = open(url, { ca: at.ca, headers, agent: false, method });
  request.end(form === undefined ? undefined : (form.body ?? search.toString()));
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, text: await text(response), headers: response.headers };
}
