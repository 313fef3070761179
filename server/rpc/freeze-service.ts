import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { FreezeSchema, type Freeze, type FreezeService } from "#proto/fleet/v1/freeze";

import { reasonCharsMax } from "../domain/people/spec.ts";
import type { Permission } from "../domain/permission.ts";
import { accept, invalid, type Outcome } from "../domain/refusal.ts";
import { findFreeze, insertFreeze, liftFreeze, listFreezes, type FreezeRow } from "../store/freezes.ts";
import type { Database } from "../store/pool.ts";
import type { Audit } from "./audit.ts";
import { operatorOf } from "./caller.ts";
import { fromTimestamp, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

export const freezePermissions = {
  setFreeze: "freeze:write",
  liftFreeze: "freeze:write",
  getFreeze: "rollout:read",
} satisfies Record<keyof (typeof FreezeService)["method"], Permission>;

export interface FreezeServiceOptions {
  readonly db: Database;
  readonly audit: Audit;
  readonly now: () => Date;
}

export function freezeService({ db, audit, now }: FreezeServiceOptions): ServiceImpl<typeof FreezeService> {
  return {
    async setFreeze(request, context) {
      const at = now();
      const reason = orRefuse(parseReason(request.reason));
      const until = fromTimestamp(request.until);
      const isOver = until !== undefined && !(until > at);
      if (isOver) orRefuse(invalid("until", "is over: take a time ahead, or none"));
      const by = operatorOf(context).name;
      const note = audit.note(context, request);
      const row = await db.transaction(async (tx) => {
        const made = await insertFreeze(tx, { reason, by, ...(until === undefined ? {} : { until }) }, at);
        await note(tx, { target: "fleet" });
        return made;
      });
      return { freeze: toMessage(row) };
    },
    async liftFreeze(request, context) {
      const note = audit.note(context, request);
      const row = await db.transaction(async (tx) => {
        const lifted = orRefuse(await liftFreeze(tx, operatorOf(context).name, now()));
        await note(tx, { target: "fleet" });
        return lifted;
      });
      return { freeze: toMessage(row) };
    },
    async getFreeze() {
      const holding = await findFreeze(db, now());
      const past = (await listFreezes(db)).filter(({ id }) => id !== holding?.id).map(toMessage);
      return { ...(holding === undefined ? {} : { freeze: toMessage(holding) }), past: past.slice(0, 20) };
    },
  };
}

function parseReason(text: string): Outcome<string> {
  const reason = text.trim();
  if (reason === "") return invalid("reason", "is missing: whoever waits wants to know why");
  if (reason.length > reasonCharsMax) return invalid("reason", `is longer than ${reasonCharsMax} characters`);
  return accept(reason);
}

function toMessage(row: FreezeRow): Freeze {
  const [createdAt, until, liftedAt] = [row.createdAt, row.untilAt, row.liftedAt].map(toTimestamp);
  return create(FreezeSchema, {
    reason: row.reason,
    createdBy: row.createdBy,
    liftedBy: row.liftedBy ?? "",
    ...(createdAt === undefined ? {} : { createdAt }),
    ...(until === undefined ? {} : { until }),
    ...(liftedAt === undefined ? {} : { liftedAt }),
  });
}
