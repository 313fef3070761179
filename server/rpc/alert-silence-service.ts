import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  AlertSilenceSchema,
  type AddAlertSilenceRequest,
  type AlertSilence,
  type AlertSilenceService,
} from "#proto/fleet/v1/alert_silence";

import { matchersText, parseMatchers } from "../domain/alert-matcher.ts";
import { reasonCharsMax } from "../domain/people/spec.ts";
import type { Permission } from "../domain/permission.ts";
import { accept, invalid, type Outcome } from "../domain/refusal.ts";
import { newId } from "../secrets.ts";
import { addSilence, listSilences, removeSilence, type ShownSilence } from "../store/alert-silences.ts";
import type { Database } from "../store/pool.ts";
import type { Audit } from "./audit.ts";
import { operatorOf, scopeOf } from "./caller.ts";
import { fromTimestamp, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

export const alertSilencePermissions = {
  listAlertSilences: "alert:read",
  addAlertSilence: "alert:write",
  removeAlertSilence: "alert:write",
} satisfies Record<keyof (typeof AlertSilenceService)["method"], Permission>;

export interface AlertSilenceServiceOptions {
  readonly db: Database;
  readonly audit: Audit;
  readonly clock: () => Date;
}

export function alertSilenceService({
  db,
  audit,
  clock,
}: AlertSilenceServiceOptions): ServiceImpl<typeof AlertSilenceService> {
  return {
    async listAlertSilences(request, context) {
      const found = await listSilences(db, scopeOf(context), clock(), request.includeEnded);
      return { silences: found.map(toSilence) };
    },
    async addAlertSilence(request, context) {
      const createdAt = clock();
      const wanted = orRefuse(readSilence(request, createdAt));
      const { name: author, scope } = operatorOf(context);
      const silence = { id: newId("silence"), ...wanted, author, scope, createdAt };
      const added = await addSilence(db, silence, audit.note(context, request));
      return { silence: toSilence(orRefuse(added)) };
    },
    async removeAlertSilence(request, context) {
      const { name, scope } = operatorOf(context);
      const note = audit.note(context, request);
      const removed = await removeSilence(db, scope, request.id, { name, at: clock() }, note);
      return { silence: toSilence(orRefuse(removed)) };
    },
  };
}

const silenceMsMax = 366 * 86_400_000;

function readSilence(
  request: AddAlertSilenceRequest,
  now: Date,
): Outcome<{ readonly matchers: string; readonly reason: string; readonly expiresAt: Date }> {
  const matchers = parseMatchers("matchers", request.matchers);
  if (!matchers.ok) return matchers;
  if (matchers.value.length === 0) {
    return invalid("matchers", "is empty: a silence over every alert hides what nobody thought of");
  }
  const text = matchersText(matchers.value);
  if (!parseMatchers("matchers", text).ok) {
    return invalid("matchers", "is too long with each value in quotes: use fewer or shorter values");
  }
  const reason = request.reason.trim();
  if (reason === "") return invalid("reason", "is missing: whoever finds the silence wants to know why");
  if (reason.length > reasonCharsMax) return invalid("reason", `is longer than ${reasonCharsMax} characters`);
  const expiresAt = fromTimestamp(request.expiresAt);
  const ahead = (expiresAt?.getTime() ?? 0) - now.getTime();
  if (expiresAt === undefined || !(ahead > 0)) {
    return invalid("expires_at", "is missing or over: take a time ahead");
  }
  if (ahead > silenceMsMax) return invalid("expires_at", "is more than a year away");
  return accept({ matchers: text, reason, expiresAt });
}

function toSilence(row: ShownSilence): AlertSilence {
  const [createdAt, expiresAt, removedAt] = [row.createdAt, row.expiresAt, row.removedAt].map(toTimestamp);
  return create(AlertSilenceSchema, {
    id: row.id,
    matchers: row.matchers,
    author: row.author,
    reason: row.reason,
    removedBy: row.removedBy ?? "",
    groups: row.groups,
    ...(createdAt === undefined ? {} : { createdAt }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(removedAt === undefined ? {} : { removedAt }),
  });
}
