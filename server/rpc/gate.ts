import type { DescMethod } from "@bufbuild/protobuf";
import { Code, type ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { Logger } from "pino";
import { codeName } from "#traces/calls";

import type { Permission } from "../domain/permission.ts";
import { refuse, type Outcome } from "../domain/refusal.ts";
import type { Throttle } from "../log-throttle.ts";
import { connectionKey, type Admission, type CallContext } from "./admission.ts";
import { isAudited } from "./audit.ts";
import { callerKey, type Caller } from "./caller.ts";
import { peerKey } from "./interceptors/authenticate.ts";
import { authorize } from "./interceptors/authorize.ts";
import type { WriteRefusal } from "./interceptors/audit-refusals.ts";
import { toWire } from "./interceptors/refusals.ts";
import type { ObserveCall } from "./interceptors/request-log.ts";
import { standingKey } from "./interceptors/standing.ts";
import type { Mounted } from "./mount.ts";
import { orRefuse } from "./refusals.ts";

export interface GateOptions {
  readonly admission: Admission;
  readonly services: readonly Mounted[];
  readonly authenticate: (
    context: Pick<HandlerContext, "requestHeader" | "values">,
  ) => Promise<Outcome<Caller>>;
  readonly isDraining: () => boolean;
  readonly observe: ObserveCall;
  /** Writes down what a known caller may not do. */
  readonly writeRefusal: WriteRefusal;
  readonly log: Logger;
  /** Keeps strangers from filling the log. */
  readonly throttle: Throttle;
}

/** What the doors know of a call. */
export interface Arrival extends CallContext, Pick<HandlerContext, "requestHeader"> {
  /** The method whose permission the call demands, and under whose name a refusal is written down. */
  readonly counterpart: DescMethod;
}

/**
 * Decides about a call before its body is read: who calls, and whether they may. So a stranger cannot make the server
 * read, unpack or parse anything. Leaves the caller in the context for what comes after.
 */
export function gate(options: GateOptions): (context: HandlerContext) => Promise<void> {
  const pass = createGate(options);
  return (context) => pass({ ...callContext(context), counterpart: context.method });
}

function callContext({ service, method, values, signal, requestHeader }: HandlerContext) {
  return { service, method, values, signal, requestHeader };
}

/** The same for calls of every kind. */
export function createGate(options: GateOptions): (arrival: Arrival) => Promise<void> {
  const permissions = new Map<DescMethod, Permission>(
    options.services.flatMap((mounted) => [...mounted.permissions]),
  );
  return async (context) => {
    const permission = permissions.get(context.counterpart);
    try {
      if (options.isDraining()) {
        const why = "The server is going away: try again";
        orRefuse(refuse({ kind: "unavailable", why, retryAfterMs: 1_000 }));
      }
      if (permission === undefined) throw new Error(`${context.method.name} has no permission`);
      const connection = context.values.get(connectionKey);
      orRefuse(options.admission.arrive(context, permission, context.values.get(peerKey).ok));
      if (permission === "public") {
        orRefuse(await options.admission.enter(context, permission, undefined));
        return;
      }
      const caller = await options.authenticate(context);
      context.values.set(callerKey, caller);
      context.values.set(standingKey, async () => authorize(await options.authenticate(context), permission));
      if (caller.ok) connection.proved();
      else connection.strike();
      orRefuse(authorize(caller, permission));
      if (caller.ok) orRefuse(await options.admission.enter(context, permission, caller.value));
    } catch (error) {
      const answer = toWire(error, context.signal, context.method.name, options.log);
      const method = context.counterpart;
      // A flood of reads that are over their limit is for the metrics; what somebody may not do is for the log.
      const isTold =
        permission !== undefined && (answer.code === Code.PermissionDenied || isAudited(permission));
      if (isTold) {
        await options.writeRefusal({ caller: context.values.get(callerKey), method, error: answer });
      }
      throw refused(answer, context, options);
    }
  };
}

function refused(error: ConnectError, context: Arrival, options: GateOptions): ConnectError {
  const { service, method } = context;
  options.observe({ service: service.typeName, method: method.name, code: codeName(error), seconds: 0 });
  if (error.code !== Code.Internal) {
    options.throttle(`gate ${codeName(error)}`, (leftOut) => {
      const rpc = `${service.typeName}/${method.name}`;
      options.log.info({ rpc, refusal: error.rawMessage, leftOut }, "call refused at the gate");
    });
  }
  return error;
}
