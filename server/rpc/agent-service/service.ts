import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";

import {
  AgentService,
  type FetchBlobRequestSchema,
  type SyncRequestSchema,
  type SyncResponse,
} from "#proto/agent/v1/agent";

import type { Permission } from "../../domain/permission.ts";
import type { SessionPorts } from "../../sessions/sessions.ts";
import type { TakeAlertsInTurn } from "./alert-turns.ts";
import type { AlertRow } from "../../store/alert-intake.ts";
import type { Database } from "../../store/pool.ts";
import { storeResponses, type ResponseRow } from "../../store/responses.ts";
import type { Audit } from "../audit.ts";
import { agentOf } from "../caller.ts";
import { cutKey } from "../cut.ts";
import { orRefuse } from "../refusals.ts";
import { connect, type Line } from "./connect.ts";
import { readAlerts } from "./deliver-alerts.ts";
import { mapped } from "../iterators.ts";
import { onlyOf, type Frame, type PlainMethod } from "../plain-call.ts";
import { fetchBlob, fetchFrames } from "./fetch-blob.ts";
import { frameOf } from "./frame.ts";
import { readResponses } from "./report-responses.ts";
import { sync } from "./sync.ts";

export const agentPermissions = {
  connect: "agent",
  sync: "agent",
  fetchBlob: "agent",
  deliverAlerts: "agent",
  reportResponses: "agent",
} satisfies Record<keyof (typeof AgentService)["method"], Permission>;

/** What a push to thousands of agents consists of: sessions, and a bundle that is encoded once. */
export function plainMethods(ports: SessionPorts): readonly PlainMethod[] {
  const talk: PlainMethod<typeof SyncRequestSchema> = {
    method: AgentService.method.connect,
    frames: (messages, context) => encoded(connect(ports, agentOf(context), messages, lineOf(context))),
  };
  const fetch: PlainMethod<typeof FetchBlobRequestSchema> = {
    method: AgentService.method.fetchBlob,
    frames: async function* (messages, context) {
      const takesGzip = context.requestHeader.get("connect-accept-encoding") === "gzip";
      // The envelope of each message says whether this holds for it.
      if (takesGzip) context.responseHeader.set("connect-content-encoding", "gzip");
      const caller = { clusterId: agentOf(context).clusterId, takesGzip };
      yield* await fetchFrames(ports, caller, await onlyOf(messages));
    },
  };
  return [talk, fetch];
}

function encoded(responses: AsyncGenerator<SyncResponse>): AsyncIterable<Frame> {
  return mapped(responses, frameOf);
}

function lineOf({ signal, values }: HandlerContext): Line {
  return { signal, cut: values.get(cutKey) };
}

/** What agents are served with, besides their sessions. */
export interface AgentServiceOptions {
  readonly ports: SessionPorts;
  readonly takeAlerts: TakeAlertsInTurn;
  readonly db: Database;
  readonly audit: Audit;
  /** Called when alerts were stored; must not throw. */
  readonly onAlerts: (rows: readonly AlertRow[]) => void;
}

export function agentService({
  ports,
  takeAlerts,
  db,
  audit,
  onAlerts,
}: AgentServiceOptions): ServiceImpl<typeof AgentService> {
  return {
    connect(requests, context) {
      return connect(ports, agentOf(context), requests, lineOf(context));
    },
    sync(request, context) {
      return sync(ports, agentOf(context), request, context.signal);
    },
    fetchBlob(request, context) {
      return fetchBlob(ports, agentOf(context).clusterId, request);
    },
    async deliverAlerts(request, context) {
      const { clusterId, agentId } = agentOf(context);
      const rows = orRefuse(readAlerts(request, { clusterId, agentId }));
      orRefuse(await takeAlerts(clusterId, rows, ports.clock()));
      if (rows.length > 0) onAlerts(rows);
      return { accepted: rows.length };
    },
    async reportResponses(request, context) {
      const caller = agentOf(context);
      const rows = orRefuse(readResponses(request, caller, ports.clock()));
      const note = audit.note(context, request);
      const stored = await storeResponses(
        db,
        caller.clusterId,
        rows,
        (row) => (tx) => note(tx, factsOf(row)),
        ports.clock(),
      );
      return { accepted: orRefuse(stored) };
    },
  };
}

/** What people read of it in the audit log. */
function factsOf({ alertId, clusterId, response, rule, action, namespace, pod, outcome, why }: ResponseRow) {
  return {
    target: pod === "" ? clusterId : `${clusterId}/${namespace}/${pod}`,
    request: { response, rule, action, alert_id: alertId },
    outcome: outcome === "done" ? "ok" : outcome,
    why: why ?? "",
  };
}
