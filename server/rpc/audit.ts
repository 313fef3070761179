import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";

import type { AuditActor } from "../domain/audit-words.ts";
import type { Permission } from "../domain/permission.ts";
import { appendAudit, type AuditNote, type AuditPen } from "../store/audit-entries.ts";
import { callerKey, type Caller } from "./caller.ts";
import { summarize, targetOf } from "./audit-summary.ts";

/** How methods come to the note that they hand on to the transaction of their change. */
export interface Audit {
  /** The note for a call of a person or an agent. */
  note(context: Pick<HandlerContext, "values" | "method">, request: Message): AuditNote;
  /** The note for what somebody else did: a join token, the server itself. */
  noteOf(actor: AuditActor, method: string): AuditNote;
}

export function createAudit(pen: AuditPen): Audit {
  return {
    note: (context, request) => (tx, more) => {
      const caller = context.values.get(callerKey);
      const { method } = context;
      return appendAudit(tx, pen, {
        actor: caller.ok ? actorOf(caller.value) : nobody,
        method: methodName(method),
        target: targetOf(request),
        request: summarize(method.input, request),
        outcome: "ok",
        why: "",
        ...more,
      });
    },
    noteOf: (actor, method) => (tx, more) =>
      appendAudit(tx, pen, { actor, method, target: "", request: {}, outcome: "ok", why: "", ...more }),
  };
}

const nobody: AuditActor = { kind: "operator", id: "", name: "", role: "" };

export function actorOf(caller: Caller): AuditActor {
  if (caller.kind === "operator") {
    const { tokenId: id, name, role } = caller;
    return { kind: "operator", id, name, role };
  }
  return { kind: "agent", id: caller.agentId, name: caller.clusterId, role: "" };
}

/** As people know it: "RolloutService/PauseRollout". */
export function methodName(method: DescMethod): string {
  return `${method.parent.name}/${method.name}`;
}

/** Whether calls that take the permission change something, so that each of them is a row. */
export function isAudited(permission: Permission): boolean {
  return permission !== "public" && permission !== "agent" && !permission.endsWith(":read");
}
