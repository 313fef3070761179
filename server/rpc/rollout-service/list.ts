import type { ListRolloutsRequest, Rollout as RolloutMessage } from "#proto/fleet/v1/rollout";

import { pageSize, pageToken, parsePageToken } from "../../domain/page.ts";
import { accept, invalid, type Outcome } from "../../domain/refusal.ts";
import type { Scope } from "../../domain/scope.ts";
import type { Db } from "../../store/pool.ts";
import type { Rollout } from "../../domain/rollout.ts";
import { countRolloutClusters, listRollouts, type RolloutPage } from "../../store/rollouts.ts";
import { orRefuse } from "../refusals.ts";
import { loadMessage } from "./message.ts";

/** Each rollout comes with its clusters, so a page is smaller than elsewhere. */
const rolloutsMax = 50;

export async function list(
  db: Db,
  scope: Scope,
  request: ListRolloutsRequest,
  now: Date,
): Promise<{ readonly rollouts: RolloutMessage[]; readonly nextPageToken: string }> {
  const before = orRefuse(parsePlace(request.pageToken));
  const size = Math.min(pageSize(request.pageSize), rolloutsMax);
  const { unfinished } = request;
  const page = { size: size + 1, unfinished, ...(before === undefined ? {} : { before }) };
  const found = await listRollouts(db, scope, page);
  const shown = found.slice(0, await fitting(db, found.slice(0, size)));
  const rollouts: RolloutMessage[] = [];
  for (const rollout of shown) rollouts.push(await loadMessage(db, scope, rollout, now));
  const last = found.length > shown.length ? shown.at(-1) : undefined;
  return { rollouts, nextPageToken: last === undefined ? "" : pageToken(`${last.createdAtMs}:${last.id}`) };
}

/** A page ends early with as many rollouts of a big fleet as one answer can hold, and never without any. */
const clustersMax = 20_000;

async function fitting(db: Db, rollouts: readonly Rollout[]): Promise<number> {
  const counts = await countRolloutClusters(
    db,
    rollouts.map(({ id }) => id),
  );
  let total = 0;
  const tooMuch = rollouts.findIndex(({ id }) => (total += counts.get(id) ?? 0) > clustersMax);
  return tooMuch < 0 ? rollouts.length : Math.max(tooMuch, 1);
}

function parsePlace(token: string): Outcome<RolloutPage["before"]> {
  const text = parsePageToken(token);
  if (!text.ok) return text;
  if (text.value === "") return accept(undefined);
  const match = /^(\d{1,14}):([0-9a-z_]{1,40})$/.exec(text.value);
  if (match === null) {
    return invalid("page_token", "was not made by this server: leave it empty to begin at the first page");
  }
  return accept({ createdAtMs: Number(match[1]), id: match[2] ?? "" });
}
