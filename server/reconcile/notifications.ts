import type { AlertFacts } from "../domain/alert-matcher.ts";
import { silentAfterMs } from "../domain/liveness.ts";
import {
  entryKey,
  groupOf,
  withOccurrence,
  withStandings,
  withStates,
  type Group,
  type Occurrence,
} from "../domain/notify/group.ts";
import type { Message } from "../domain/notify/message.ts";
import { planGroup } from "../domain/notify/plan.ts";
import type { Route } from "../domain/notify/route.ts";
import { createRouter, type Router } from "../domain/notify/router.ts";
import { newId } from "../secrets.ts";
import { readStandings } from "../store/alert-groups.ts";
import { listHoldingSilences } from "../store/alert-silences.ts";
import { lastArrival } from "../store/alerts.ts";
import { listFleetStates } from "../store/fleet-states.ts";
import {
  listArrived,
  readHorizon,
  saveCursor,
  takeCursor,
  type Cursor,
} from "../store/notification-cursor.ts";
import { countWaiting, insertDelivery, waitingMax } from "../store/notification-deliveries.ts";
import {
  countGroups,
  lockGroups,
  removeGroup,
  saveGroup,
  takeDueGroups,
  type KeptGroup,
} from "../store/notification-groups.ts";
import { listRoutes } from "../store/notification-routes.ts";
import { itemsWithin } from "../store/pattern-time.ts";
import { inTurns } from "../turns.ts";
import type { Database, Transaction } from "../store/pool.ts";

export interface NotificationPorts {
  readonly db: Database;
  readonly org: string;
  /** States that the database does not tell, such as metadata that expires. */
  readonly states: (now: Date) => readonly Occurrence[];
  /** When this server began: who was not heard of before that may be well. */
  readonly startedAt: Date;
}

/** Alerts that are routed in one transaction. */
const batchMax = 1_000;
/** Milliseconds in which silences are tried on them: the transaction has the fleet's cursor, and may say nothing for ten seconds. */
const silencesMs = 3_000;
/** Rounds of one activation; the next one goes on. */
const roundsMax = 20;
/** How often the states of the fleet are looked at. */
export const statesEveryMs = 15_000;
/** Groups of one route; what would be a further one is told with others, without labels. */
const groupsMax = 1_000;
const flushMax = 100;

/** Routes what happened since the last time, and has every group speak whose time has come. Safe on any number of servers. */
export async function reconcileNotifications(ports: NotificationPorts, now: () => Date): Promise<void> {
  const routes = await listRoutes(ports.db);
  const router = createRouter(routes);
  for (let round = 0; round < roundsMax; round += 1) {
    if (!(await gather(ports, routes.length > 0 ? router : undefined, now()))) break;
  }
  const byName = new Map(routes.map((route) => [route.name, route]));
  for (let round = 0; round < roundsMax; round += 1) {
    if ((await speak(ports, byName, now())) < flushMax) break;
  }
}

/** Takes up what arrived and how the fleet is. Answers whether there is more. */
function gather(
  { db, ...ports }: NotificationPorts,
  router: Router | undefined,
  now: Date,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    // Before the cursor, with which this transaction gets its number: whoever has a lower place has a lower number then.
    const last = await lastArrival(tx);
    const cursor = await takeCursor(tx);
    if (cursor === undefined) return false;
    const horizon = await readHorizon(tx);
    const isSettled = horizon.xmin >= cursor.seenXid;
    const arrived =
      isSettled && router !== undefined && cursor.seenArrival > cursor.arrival
        ? await listArrived(tx, cursor.arrival, cursor.seenArrival, batchMax)
        : [];
    const { told, last: lastTried } = await tryArrived(tx, arrived, now);
    const isMore = arrived.length === batchMax || lastTried !== arrived.at(-1);
    const isTaken = isSettled && !isMore;
    // Either way, because another server's clock may be ahead.
    const sinceLookMs = Math.abs(now.getTime() - cursor.lookedAt.getTime());
    const looks = router !== undefined && sinceLookMs >= statesEveryMs;
    const look = looks ? await lookAt(tx, ports, now) : undefined;
    if (router !== undefined && (arrived.length > 0 || look !== undefined)) {
      await putIntoGroups(tx, router, told, look, now);
    }
    const next: Cursor = {
      arrival: isTaken ? cursor.seenArrival : (lastTried?.arrival ?? cursor.arrival),
      // What is there now may still miss one that has its place already and is not written yet: it is awaited next time.
      ...(isTaken
        ? { seenArrival: later(last, cursor.seenArrival), seenXid: later(horizon.xid, cursor.seenXid) }
        : { seenArrival: cursor.seenArrival, seenXid: cursor.seenXid }),
      lookedAt: looks ? now : cursor.lookedAt,
    };
    await saveCursor(tx, next);
    return isMore;
  });
}

type Arrived = Awaited<ReturnType<typeof listArrived>>[number];

/** Those of the first alerts, as many as there is time for, that no silence covers; and the last that was tried. */
async function tryArrived(
  tx: Transaction,
  arrived: readonly Arrived[],
  now: Date,
): Promise<{ readonly told: readonly Occurrence[]; readonly last: Arrived | undefined }> {
  if (arrived.length === 0) return { told: [], last: undefined };
  const silences = await listHoldingSilences(tx, now);
  const told: Occurrence[] = [];
  let last: Arrived | undefined;
  for await (const each of inTurns(itemsWithin(arrived, silencesMs))) {
    if (!silences.some(({ meets }) => meets(each.facts))) told.push(each);
    last = each;
  }
  return { told, last };
}

/** Another server may have looked since this one did. */
function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** A look at the fleet. */
interface Look {
  readonly found: readonly Occurrence[];
  /** Rules of states that nobody can tell all of now: what was told of them goes on. */
  readonly notLookedFor: ReadonlySet<string>;
}

async function lookAt(
  tx: Transaction,
  { states, startedAt }: Pick<NotificationPorts, "states" | "startedAt">,
  now: Date,
): Promise<Look> {
  const { found, cut } = await listFleetStates(tx, now);
  // After a start agents need a while to be heard of again.
  const isEarly = now.getTime() - startedAt.getTime() < 2 * silentAfterMs;
  const early = new Set(isEarly ? ["Agent silent", "Agent left"] : []);
  const all = [...states(now), ...found];
  return {
    found: all.filter(({ facts }) => !early.has(facts.rule)),
    notLookedFor: new Set([...early, ...cut]),
  };
}

const placeOf = (route: string, key: string): string => JSON.stringify([route, key]);

/** What goes into one group. */
interface Share {
  readonly route: Route;
  readonly key: string;
  readonly labels: Group["labels"];
  readonly occurrences: Occurrence[];
}

function sharesOf(router: Router, occurrences: readonly Occurrence[]): Map<string, Share> {
  const shares = new Map<string, Share>();
  for (const occurrence of occurrences) {
    for (const route of router(occurrence.facts)) {
      const { key, labels } = groupOf(route.groupBy, occurrence.facts);
      const place = placeOf(route.name, key);
      const share = shares.get(place) ?? { route, key, labels, occurrences: [] };
      share.occurrences.push(occurrence);
      shares.set(place, share);
    }
  }
  return shares;
}

async function putIntoGroups(
  tx: Transaction,
  router: Router,
  arrived: readonly Occurrence[],
  look: Look | undefined,
  now: Date,
): Promise<void> {
  const wanted = sharesOf(router, [...arrived, ...(look?.found ?? [])]);
  const rest = [...wanted.values()].map(({ route }) => ({ route: route.name, key: "" }));
  const places = [...wanted.values()].map(({ route, key }) => ({ route: route.name, key }));
  const kept = await lockGroups(tx, [...places, ...rest], look !== undefined);
  const known = new Map(kept.map((each) => [placeOf(each.route, each.key), each]));
  const shares = withinBounds(wanted, known, await countGroups(tx));
  const nowMs = now.getTime();
  for (const place of new Set([...known.keys(), ...shares.keys()])) {
    const before = known.get(place);
    const share = shares.get(place);
    const [route, key] = JSON.parse(place) as [string, string];
    let group: Group = before?.group ?? { labels: share?.labels ?? {}, entries: [], leftOut: 0 };
    const occurrences = share?.occurrences ?? [];
    for (const occurrence of occurrences) group = withOccurrence(group, occurrence, nowMs);
    if (look !== undefined) {
      const found = occurrences.filter(({ kind }) => kind === "state").map(entryKey);
      group = withStates(group, new Set(found), nowMs, look.notLookedFor);
    }
    if (group.entries.length === 0 && group.leftOut === 0) continue;
    // A state that goes on as it was is nothing to write down.
    if (before !== undefined && isSame(before.group, group)) continue;
    await saveGroup(tx, { route, key, group }, now, now);
  }
}

/** Those that would be one group too many for their route, in the one group of its rest. */
function withinBounds(
  wanted: ReadonlyMap<string, Share>,
  known: ReadonlyMap<string, KeptGroup>,
  counts: ReadonlyMap<string, number>,
): Map<string, Share> {
  const shares = new Map<string, Share>();
  const used = new Map(counts);
  for (const [place, share] of wanted) {
    const { name } = share.route;
    const count = used.get(name) ?? 0;
    const isNew = !known.has(place);
    if (!isNew || count < groupsMax) {
      if (isNew) used.set(name, count + 1);
      shares.set(place, share);
      continue;
    }
    const restPlace = placeOf(name, "");
    const rest = shares.get(restPlace) ?? { route: share.route, key: "", labels: {}, occurrences: [] };
    rest.occurrences.push(...share.occurrences);
    shares.set(restPlace, rest);
  }
  return shares;
}

function isSame(a: Group, b: Group): boolean {
  const text = ({ entries, leftOut }: Group) =>
    JSON.stringify([leftOut, entries.toSorted((x, y) => (x.key < y.key ? -1 : 1)).map(sorted)]);
  return text(a) === text(b);
}

/** Postgres keeps objects with their names in an order of its own. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const pairs = Object.entries(value).toSorted(([x], [y]) => (x < y ? -1 : 1));
  return pairs.map(([name, inner]) => [name, sorted(inner)]);
}

/** Looks at the groups whose time has come. Answers with how many. */
function speak(
  { db, org }: NotificationPorts,
  routes: ReadonlyMap<string, Route>,
  now: Date,
): Promise<number> {
  return db.transaction(async (tx) => {
    const due = await takeDueGroups(tx, now, flushMax);
    if (due.length === 0) return 0;
    const silences = await listHoldingSilences(tx, now);
    // A silence that names tags or fields was asked when the alert arrived. Of an entry it cannot be: what it leaves out would be silenced.
    const isSilenced = (facts: AlertFacts, kind: Occurrence["kind"]) =>
      silences.some(({ isBroad, meets }) => (isBroad || kind === "state") && meets(facts));
    const told = due.flatMap(({ group }) => group.entries.flatMap(({ alert }) => alert?.groupId ?? []));
    const standings = await readStandings(tx, [...new Set(told)]);
    const waiting = new Map(await countWaiting(tx));
    for (const kept of due) {
      const route = routes.get(kept.route);
      // A route that was added a moment ago is known next time.
      if (route === undefined) continue;
      const queued = waiting.get(route.receiver) ?? 0;
      const group = withStandings(kept.group, standings, now.getTime());
      const plan = planGroup(group, route, now.getTime(), isSilenced);
      if (plan.send !== undefined && queued >= waitingMax) {
        // The receiver is behind: the group goes on gathering.
        await saveGroup(tx, kept, new Date(now.getTime() + route.intervalMs), now);
        continue;
      }
      if (plan.send !== undefined) {
        const message = messageOf(org, route, kept, plan.send, now.getTime());
        await insertDelivery(tx, message, route.receiver, now);
        waiting.set(route.receiver, queued + 1);
      }
      if (plan.dueMs === undefined) await removeGroup(tx, kept);
      else await saveGroup(tx, { ...kept, group: plan.after }, new Date(plan.dueMs), now);
    }
    return due.length;
  });
}

function messageOf(
  org: string,
  { name, repeatMs, intervalMs }: Route,
  { key, group: { labels } }: KeptGroup,
  told: Pick<Message, "firing" | "resolved" | "leftOut" | "goesOn">,
  atMs: number,
): Message {
  // Long enough that it is still standing when it is told again.
  const untilMs = atMs + repeatMs + intervalMs;
  return { id: newId("delivery"), org, route: name, group: key, labels, atMs, untilMs, ...told };
}
