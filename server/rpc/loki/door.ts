import type { IncomingHttpHeaders } from "node:http";

import type { ContextValues } from "@connectrpc/connect";
import { AlertService } from "#proto/fleet/v1/alert";

import type { Scope } from "../../domain/scope.ts";
import { scopeOf } from "../caller.ts";
import { createGate, type GateOptions } from "../gate.ts";

/** Names of the two kinds of call, under which they are admitted: what asks once, and what waits for news. */
export type LokiRoute = "Query" | "Tail";

export const lokiService = "loki.v1";

export type LokiDoor = (
  route: LokiRoute,
  headers: IncomingHttpHeaders,
  values: ContextValues,
  signal: AbortSignal,
) => Promise<Scope>;

/**
 * The same doors as for Connect's calls, with the permission of `ListAlerts`, which tells the same. Gives the scope of the caller, or
 * throws a Connect error. `signal` is aborted when the call ends.
 */
export function lokiDoor(options: GateOptions): LokiDoor {
  const pass = createGate(options);
  const counterpart = AlertService.method.listAlerts;
  return async (route, headers, values, signal) => {
    const requestHeader = new Headers();
    const authorization = asBearer(headers.authorization);
    if (authorization !== undefined) requestHeader.set("authorization", authorization);
    const service = { typeName: lokiService };
    await pass({ service, method: { name: route }, values, signal, requestHeader, counterpart });
    return scopeOf({ values });
  };
}

/** Grafana sends what it was given as a password as Basic; whatever the name is, the password is the API token. */
function asBearer(authorization: string | undefined): string | undefined {
  const [, encoded] = /^Basic +([A-Za-z0-9+/=]{1,2000})$/i.exec(authorization ?? "") ?? [];
  const text = Buffer.from(encoded ?? "", "base64").toString();
  const at = text.indexOf(":");
  return at === -1 ? authorization : `Bearer ${text.slice(at + 1)}`;
}
