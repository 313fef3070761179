import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import { codeName } from "#traces/calls";

import { createRefusalBrake } from "../../domain/audit-words.ts";
import type { Permission } from "../../domain/permission.ts";
import type { Outcome } from "../../domain/refusal.ts";
import { appendAudit, type AuditPen } from "../../store/audit-entries.ts";
import type { Database } from "../../store/pool.ts";
import { actorOf, isAudited, methodName } from "../audit.ts";
import { summarize, targetOf } from "../audit-summary.ts";
import { callerKey, type Caller } from "../caller.ts";

/** A call that was refused to somebody we know. */
export interface RefusedCall {
  readonly caller: Outcome<Caller>;
  readonly method: DescMethod;
  readonly error: ConnectError;
  /** Undefined when it was refused before it was read. */
  readonly request?: Message;
}

/** Writes a refused call into the audit log. Never throws: nothing was changed, so nothing depends on it. */
export type WriteRefusal = (call: RefusedCall) => Promise<void>;

export interface RefusalsOptions {
  readonly db: Database;
  readonly pen: AuditPen;
  readonly log: Logger;
}

/**
 * Codes that are no decision about the call: the caller went away or the database did, and whether something was done is
 * told by the row of the action itself.
 */
const undecided: readonly Code[] = [
  Code.Canceled,
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Unauthenticated,
];

export function createRefusalWriter({ db, pen, log }: RefusalsOptions): WriteRefusal {
  const brake = createRefusalBrake();
  return async ({ caller, method, error, request }) => {
    // Strangers would fill the log at will: they are counted and logged elsewhere.
    if (!caller.ok || undecided.includes(error.code)) return;
    const actor = actorOf(caller.value);
    const outcome = codeName(error);
    const name = methodName(method);
    const leftOut = brake.admit([actor.id, name, outcome].join(" "), pen.now().getTime());
    if (leftOut === undefined) return;
    const why =
      leftOut === 0 ? error.rawMessage : `${error.rawMessage} (and ${leftOut} times before, not written)`;
    try {
      await db.transaction((tx) =>
        appendAudit(tx, pen, {
          actor,
          method: name,
          target: request === undefined ? "" : targetOf(request),
          request: request === undefined ? {} : summarize(method.input, request),
          outcome,
          why,
        }),
      );
    } catch (cause) {
      log.warn(
        { err: cause, method: name, actor: actor.id, outcome },
        "a refusal is missing in the audit log",
      );
    }
  };
}

/** Writes down what was refused of calls that would have changed something. */
export function auditRefusals(
  write: WriteRefusal,
  permissions: ReadonlyMap<DescMethod, Permission>,
): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      const permission = permissions.get(request.method);
      if (permission !== undefined && isAudited(permission) && error instanceof ConnectError) {
        const { method } = request;
        const caller = request.contextValues.get(callerKey);
        await write({ caller, method, error, ...(request.stream ? {} : { request: request.message }) });
      }
      throw error;
    }
  };
}
