import type { KeyObject } from "node:crypto";

import { Code, ConnectError, createContextKey, type HandlerContext } from "@connectrpc/connect";

import type { AgentId, ApiTokenId, ClusterId } from "../domain/ids.ts";
import type { Role } from "../domain/permission.ts";
import { refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";

/** A person or a program with an API token, made by an admin or by a login. */
export interface Operator {
  readonly kind: "operator";
  readonly tokenId: ApiTokenId;
  readonly name: string;
  readonly role: Role;
  /** The clusters that exist for the caller. */
  readonly scope: Scope;
  readonly expiresAt: Date;
  /** The identity that logged in; absent for a token that an admin made. */
  readonly login?: { readonly issuer: string; readonly subject: string };
}

/** An agent with a client certificate that this fleet issued, neither revoked nor retired. */
export interface AgentCaller {
  readonly kind: "agent";
  readonly clusterId: ClusterId;
  readonly agentId: AgentId;
  /** The key of the certificate on this connection, as TLS has read it: it has to have signed the agent's reports. */
  readonly publicKey: KeyObject;
  readonly certificateSerial: string;
  readonly certificateExpiresAt: Date;
  /** Pin of the CA that issued it. */
  readonly certificateCa: string;
  /** The certificate that this newer one takes the place of when a session begins with it. */
  readonly replacesSerial?: string;
}

export type Caller = Operator | AgentCaller;

/** Who calls, or why nobody is known; set before the request's body is read. */
export const callerKey = createContextKey<Outcome<Caller>>(
  refuse({ kind: "unauthenticated", why: "No credentials were given" }),
);

/** The agent that calls. Only for methods whose permission is `agent`: anything else never gets there. */
export function agentOf(context: Pick<HandlerContext, "values">): AgentCaller {
  const caller = context.values.get(callerKey);
  if (caller.ok && caller.value.kind === "agent") return caller.value;
  throw new ConnectError("This call takes an agent's client certificate", Code.Unauthenticated);
}

/** The operator that calls. Only for methods with an API permission. */
export function operatorOf(context: Pick<HandlerContext, "values">): Operator {
  const caller = context.values.get(callerKey);
  if (caller.ok && caller.value.kind === "operator") return caller.value;
  throw new ConnectError("This call takes an API token", Code.Unauthenticated);
}

/** The clusters that exist for the operator that calls: what every query of clusters takes. */
export function scopeOf(context: Pick<HandlerContext, "values">): Scope {
  return operatorOf(context).scope;
}

/** The credential in words, for refusals. */
export function credentialText({ name, login }: Operator): string {
  return login === undefined ? `API token "${name}"` : `login of "${name}"`;
}
