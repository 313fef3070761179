import type { ServiceImpl } from "@connectrpc/connect";

import type { AgentService } from "#proto/agent/v1/agent";

import type { Permission } from "../../domain/permission.ts";
import type { SessionPorts } from "../../sessions/sessions.ts";
import { storeAlerts } from "../../store/alerts.ts";
import { agentOf } from "../caller.ts";
import { cutKey } from "../cut.ts";
import { orRefuse } from "../refusals.ts";
import { connect } from "./connect.ts";
import { readAlerts } from "./deliver-alerts.ts";
import { fetchBlob } from "./fetch-blob.ts";
import { sync } from "./sync.ts";

export const agentPermissions = {
  connect: "agent",
  sync: "agent",
  fetchBlob: "agent",
  deliverAlerts: "agent",
} satisfies Record<keyof (typeof AgentService)["method"], Permission>;

/** `onAlerts` is called when alerts were stored; it must not throw. */
export function agentService(ports: SessionPorts, onAlerts: () => void): ServiceImpl<typeof AgentService> {
  return {
    connect(requests, context) {
      const { signal, values } = context;
      return connect(ports, agentOf(context), requests, { signal, cut: values.get(cutKey) });
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
      await storeAlerts(ports.db, rows, ports.clock());
      if (rows.length > 0) onAlerts();
      return { accepted: rows.length };
    },
  };
}
