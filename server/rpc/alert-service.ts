import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  AlertCountSchema,
  type Alert,
  type AlertService,
  type GetAlertStatsRequest,
  type TailAlertsResponseSchema,
} from "#proto/fleet/v1/alert";

import { clockSlackMs } from "../domain/alert-time.ts";
import { planBuckets, type Buckets } from "../domain/alert-stats.ts";
import { pageSize, pageToken, parsePageToken } from "../domain/page.ts";
import type { Permission } from "../domain/permission.ts";
import { priorityWord } from "../domain/priority.ts";
import { accept, invalid, type Outcome } from "../domain/refusal.ts";
import { createTailPlace, overlapMs } from "../domain/tail-place.ts";
import { createSignal, type Signal } from "../sessions/signal.ts";
import { alertGroupings, countAlerts } from "../store/alert-counts.ts";
import { listAlerts, type AlertPosition } from "../store/alert-pages.ts";
import { countNotStored } from "../store/alerts-not-stored.ts";
import { lastArrival, listArrivals, placeAt, type AlertFilter, type StoredAlert } from "../store/alerts.ts";
import type { Db } from "../store/pool.ts";
import { listResponsesTo } from "../store/responses.ts";
import { fromFilter, fromUs, toAlert } from "./alert-message.ts";
import { scopeOf } from "./caller.ts";
import { eitherEnd, sayWhyEnded, type Until } from "./leaving.ts";
import { toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";
import { toResponse } from "./response-message.ts";

export const alertPermissions = {
  listAlerts: "alert:read",
  tailAlerts: "alert:read",
  getAlertStats: "alert:read",
} satisfies Record<keyof (typeof AlertService)["method"], Permission>;

export interface AlertServiceOptions {
  readonly db: Db;
  /** Rings when alerts were stored by this server. */
  readonly arrivals: Signal;
  readonly clock: () => Date;
  /** Aborted when the server drains: tails end then. */
  readonly leaving: AbortSignal;
}

export function alertService(options: AlertServiceOptions): ServiceImpl<typeof AlertService> {
  const { db, leaving } = options;
  return {
    async listAlerts(request, context) {
      const now = options.clock();
      const given = orRefuse(fromFilter(scopeOf(context), request.filter));
      const filter = { untilUs: endOfLists(now), ...given };
      const before = orRefuse(parsePlace(request.pageToken));
      const size = pageSize(request.pageSize);
      const one = orRefuse(parseAlertId(request.alertId));
      const { alerts, next } = await listAlerts(db, { ...filter, ...one }, size, before);
      return {
        alerts: await withResponses(db, alerts),
        nextPageToken: next === undefined ? "" : pageToken(`${next.timeUs}:${next.id}:${next.clusterId}`),
        notStored: request.countNotStored ? await countNotStored(db, filter) : 0n,
        ...(next === undefined ? {} : { lookedBackTo: fromUs(next.timeUs) }),
        lookedAt: toTimestamp(now),
      };
    },
    tailAlerts(request, context) {
      const filter = orRefuse(fromFilter(scopeOf(context), request.filter));
      const begin = orRefuse(parseTailPlace(request.place));
      return tail(options, filter, begin, { caller: context.signal, leaving });
    },
    async getAlertStats(request, context) {
      const filter = orRefuse(fromFilter(scopeOf(context), request.filter));
      const by = alertGroupings.find((each) => each === request.by);
      if (by === undefined) return orRefuse(invalid("by", `is none of ${alertGroupings.join(", ")}`));
      const buckets = orRefuse(readBuckets(request, filter, options.clock()));
      const untilUs = buckets?.untilUs ?? filter.untilUs ?? endOfHour(endOfLists(options.clock()));
      const { counts, total } = orRefuse(await countAlerts(db, { ...filter, untilUs }, by, buckets));
      return {
        counts: counts.map(({ value, lastUs, ...sums }) =>
          create(AlertCountSchema, {
            value: by === "priority" ? priorityWord(Number(value)) : value,
            count: sums.count,
            lastAt: fromUs(lastUs),
            buckets: [...sums.buckets],
          }),
        ),
        total,
        ...(buckets === undefined ? {} : { first: fromUs(BigInt(buckets.firstMs) * 1000n) }),
      };
    },
  };
}

/** Where what has no end ends: what lies further ahead is the mistake of a clock, and would be the newest of all. */
function endOfLists(now: Date): bigint {
  return BigInt(now.getTime() + clockSlackMs) * 1000n;
}

/** Counted hours answer for whole hours alone. */
function endOfHour(us: bigint): bigint {
  const hourUs = 3_600_000_000n;
  return (us / hourUs + 1n) * hourUs;
}

/** Alerts, each with what was done about it. */
async function withResponses(db: Db, alerts: readonly StoredAlert[]): Promise<Alert[]> {
  const found = await listResponsesTo(
    db,
    alerts.map(({ id }) => id),
  );
  return alerts.map((alert) => {
    const own = found.filter((each) => each.alertId === alert.id && each.clusterId === alert.clusterId);
    return { ...toAlert(alert), responses: own.map(toResponse) };
  });
}

/** The parts of time that are asked for, up to now when no end is given. */
function readBuckets(
  { every }: GetAlertStatsRequest,
  { sinceUs, untilUs }: AlertFilter,
  now: Date,
): Outcome<(Buckets & { readonly untilUs: bigint }) | undefined> {
  const everyMs = every === undefined ? 0 : Number(every.seconds) * 1000 + every.nanos / 1e6;
  if (everyMs === 0) return accept(undefined);
  if (sinceUs === undefined) return invalid("filter.since", "is missing: parts of time have a beginning");
  const endUs = untilUs ?? BigInt(now.getTime()) * 1000n;
  const buckets = planBuckets(Number(sinceUs / 1000n), Number(endUs / 1000n), everyMs);
  return buckets.ok ? accept({ ...buckets.value, untilUs: endUs }) : buckets;
}

const tailBatch = 200;
const lookMs = 1_000;
/** A tail that has nothing to tell says this often where it is, so that another one need not look at all that since then. */
const placeToldMs = 60_000;

/** Each look leaves out what was told in the last seconds: with so many of these a tail looks once a second, until they are settled. */
const toldMax = 5_000;

/** Where a tail begins that is given no place: behind all that is there, or before what was stored since a time. */
function firstPlace(db: Db, sinceUs: bigint | undefined): Promise<bigint> {
  if (sinceUs === undefined) return lastArrival(db);
  // Places are taken seconds apart from the times: rather some too many than one too few.
  const fromUs = sinceUs - BigInt(overlapMs) * 1000n;
  return placeAt(db, fromUs > 0n ? fromUs : 0n);
}

/**
 * Alerts as they arrive on whatever server, each once, from a place on; without one from what was stored since the filter's `since`, or
 * from now on. When the events were is all the same: alerts of a cluster that was cut off come late. Ends as unavailable when the server
 * drains.
 */
async function* tail(
  { db, arrivals, clock }: AlertServiceOptions,
  { sinceUs, ...filter }: AlertFilter,
  begin: bigint | undefined,
  until: Until,
): AsyncGenerator<MessageInitShape<typeof TailAlertsResponseSchema>> {
  const signal = eitherEnd(until);
  const place = createTailPlace(begin ?? (await firstPlace(db, sinceUs)));
  let toldMs = -Infinity;
  while (!signal.aborted) {
    const rung = arrivals.wait(lookMs, signal);
    const nowMs = clock().getTime();
    // Asked for before the alerts, so that everything up to it is among them.
    const last = await lastArrival(db);
    const { alerts, looked, lookedUpTo } = await listArrivals(db, filter, place, tailBatch);
    if (alerts.length > 0 || nowMs - toldMs > placeToldMs) {
      // Where this look began: who goes on there is told of nothing too late.
      yield { alerts: alerts.map(toAlert), place: String(place.after) };
      toldMs = nowMs;
    }
    const isAll = lookedUpTo === undefined;
    place.advance(looked, { upTo: lookedUpTo ?? last, last }, nowMs);
    if (place.toldCount >= toldMax) await createSignal().wait(lookMs, signal);
    else if (isAll) await rung;
  }
  sayWhyEnded(until);
}

function parseTailPlace(text: string): Outcome<bigint | undefined> {
  if (text === "") return accept(undefined);
  if (/^\d{1,18}$/.test(text)) return accept(BigInt(text));
  return invalid("place", "was not told by a tail: leave it empty to begin now");
}

function parseAlertId(text: string): Outcome<{ readonly id?: string }> {
  if (text === "") return accept({});
  if (/^[0-9a-f]{64}$/.test(text)) return accept({ id: text });
  return invalid("alert_id", "is no id of an alert, which has 64 hexadecimal digits");
}

function parsePlace(token: string): Outcome<AlertPosition | undefined> {
  const text = parsePageToken(token);
  if (!text.ok) return text;
  if (text.value === "") return accept(undefined);
  const match = /^(\d{1,18}):([0-9a-f]{64}):(cl_[0-9a-z]{1,32})$/.exec(text.value);
  if (match === null) {
    return invalid("page_token", "was not made by this server: leave it empty to begin at the first page");
  }
  return accept({ timeUs: BigInt(match[1] ?? ""), id: match[2] ?? "", clusterId: match[3] ?? "" });
}
