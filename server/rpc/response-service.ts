import type { ServiceImpl } from "@connectrpc/connect";
import type { ResponseService } from "#proto/fleet/v1/response";

import { pageSize, pageToken, parsePageToken } from "../domain/page.ts";
import type { Permission } from "../domain/permission.ts";
import { accept, invalid, type Outcome } from "../domain/refusal.ts";
import type { Db } from "../store/pool.ts";
import { listResponses, type ResponsePosition, type StoredResponse } from "../store/responses.ts";
import { responseOutcomes } from "./agent-service/report-responses.ts";
import { scopeOf } from "./caller.ts";
import { fromSelector, fromTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";
import { toResponse } from "./response-message.ts";

export const responsePermissions = {
  listResponses: "alert:read",
} satisfies Record<keyof (typeof ResponseService)["method"], Permission>;

export function responseService(db: Db): ServiceImpl<typeof ResponseService> {
  return {
    async listResponses({ selector, alertId, outcomes, since, pageSize: wanted, pageToken: token }, context) {
      const unknown = outcomes.find((outcome) => !responseOutcomes.some((each) => each === outcome));
      if (unknown !== undefined) {
        return orRefuse(invalid("outcomes", `hold one that is none of ${responseOutcomes.join(", ")}`));
      }
      const from = fromTimestamp(since);
      const filter = {
        scope: scopeOf(context),
        selector: orRefuse(fromSelector("selector", selector)),
        alertId: alertId.slice(0, 100),
        outcomes,
        ...(from === undefined ? {} : { since: from }),
      };
      const before = orRefuse(parsePlace(token));
      const size = pageSize(wanted);
      const found = await listResponses(db, filter, size + 1, before);
      const shown = found.slice(0, size);
      const last = found.length > size ? shown.at(-1) : undefined;
      return { responses: shown.map(toResponse), nextPageToken: last === undefined ? "" : placeOf(last) };
    },
  };
}

function placeOf({ receivedAt, clusterId, alertId, response }: StoredResponse): string {
  return pageToken(`${receivedAt.getTime()}:${clusterId} ${alertId} ${response}`);
}

function parsePlace(token: string): Outcome<ResponsePosition | undefined> {
  const last = parsePageToken(token);
  if (!last.ok || last.value === "") return last.ok ? accept(undefined) : last;
  const [, ms, key] = /^(\d{1,15}):(.{1,180})$/.exec(last.value) ?? [];
  if (ms === undefined || key === undefined) {
    return invalid("page_token", "was not made by this server: leave it empty to begin at the first page");
  }
  return accept({ receivedMs: Number(ms), key });
}
