import { createContextKey, type HandlerContext } from "@connectrpc/connect";

import type { Permission } from "../domain/permission.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { createBuckets, type Rate } from "../domain/token-bucket.ts";
import { routePolicy, type CallLimits } from "../limits.ts";
import type { Caller } from "./caller.ts";

/** What a call has to know of the connection that it came over. */
export interface CallConnection {
  readonly address: string;
  readonly isProved: boolean;
  proved(): void;
  strike(): void;
}

/** The connection that a call came over. Without a network there is nothing to bound. */
export const connectionKey = createContextKey<CallConnection>({
  address: "",
  isProved: true,
  proved: () => undefined,
  strike: () => undefined,
});

/** Why a call was refused for its rate or for load; the label of the metric. */
export type CallRefusal = "overload" | "newcomer-rate" | "caller-rate" | "route-busy";

export interface AdmissionOptions {
  readonly limits: CallLimits;
  /** Queries that wait for a connection of the database. */
  readonly databaseWaiting: () => number;
  readonly onRefused: (reason: CallRefusal) => void;
  readonly now?: () => number;
}

/** Decides whether a call is taken, before its body is read. */
export interface Admission {
  /** Before anybody knows who calls: nothing has been asked of the database yet. */
  arrive(context: HandlerContext, permission: Permission, hasCertificate: boolean): Outcome<true>;
  /** When it is known who calls, which for public calls is the address. The call counts as work from here to its end. */
  enter(context: HandlerContext, permission: Permission, caller: Caller | undefined): Outcome<true>;
  readonly inWork: number;
}

export function createAdmission(options: AdmissionOptions): Admission {
  const { limits, databaseWaiting, onRefused, now = () => performance.now() } = options;
  // Strangers can make addresses up as they like, so they cannot push callers out of their book.
  const books = { address: createBuckets(limits.keysMax), caller: createBuckets(limits.keysMax) };
  const work = createWork();
  return {
    arrive(context, permission, hasCertificate) {
      // People get through for longer than agents: somebody has to be able to look, and agents come back by themselves.
      const share = permission === "agent" || permission === "public" ? 1 : 2;
      const waiting = databaseWaiting();
      if (work.total >= share * limits.inWorkMax || waiting >= share * limits.databaseWaitingMax) {
        onRefused("overload");
        const what = `The server has more to do than it can (${work.total} calls in work, ${waiting} queries waiting)`;
        return later("unavailable", what, limits.overloadRetryMs);
      }
      const connection = context.values.get(connectionKey);
      if (connection.isProved || hasCertificate) return accept(true);
      const waitMs = books.address.take(connection.address, limits.newcomers, now());
      if (waitMs === 0) return accept(true);
      onRefused("newcomer-rate");
      return later("over-limit", tooOften("Your address", limits.newcomers), waitMs);
    },
    enter(context, permission, caller) {
      const route = `${context.service.typeName}/${context.method.name}`;
      const policy = routePolicy(route, permission, limits.ratePercent);
      const { book, key, name } = keyOf(caller, context);
      const waitMs = books[book].take(`${route} ${key}`, policy.rate, now());
      if (waitMs > 0) {
        onRefused("caller-rate");
        return later("over-limit", tooOften(name, policy.rate), waitMs);
      }
      const same = work.of(route);
      if (policy.inWorkMax !== undefined && same >= policy.inWorkMax) {
        onRefused("route-busy");
        const what = `The server does ${same} calls of ${context.method.name} already, and no more at the same time`;
        return later("unavailable", what, routeBusyRetryMs);
      }
      work.begin(route, policy.isWaiting === true ? 0 : 1, context.signal);
      return accept(true);
    },
    get inWork() {
      return work.total;
    },
  };
}

const routeBusyRetryMs = 1_000;

function tooOften(who: string, { burst, perSecond }: Rate): string {
  return `${who} may make ${burst} such calls at once and ${perSecond} per second`;
}

function later(kind: "over-limit" | "unavailable", what: string, retryAfterMs: number): Outcome<true> {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return refuse({ kind, why: `${what}: try again in ${seconds} s`, retryAfterMs });
}

/** The calls in work, in all and by route. There are as many routes as methods. */
function createWork() {
  const byRoute = new Map<string, number>();
  let total = 0;
  return {
    of: (route: string) => byRoute.get(route) ?? 0,
    begin(route: string, weight: number, signal: AbortSignal) {
      // Connect aborts the signal of a call at its end, however it ends.
      if (signal.aborted) return;
      total += weight;
      byRoute.set(route, this.of(route) + 1);
      const end = () => {
        total -= weight;
        byRoute.set(route, this.of(route) - 1);
      };
      signal.addEventListener("abort", end, { once: true });
    },
    get total() {
      return total;
    },
  };
}

interface CallerKey {
  readonly book: "caller" | "address";
  readonly key: string;
  /** For the refusal. */
  readonly name: string;
}

function keyOf(caller: Caller | undefined, context: HandlerContext): CallerKey {
  if (caller === undefined) {
    return { book: "address", key: context.values.get(connectionKey).address, name: "Your address" };
  }
  const isAgent = caller.kind === "agent";
  const name = isAgent ? `The agent ${caller.agentId}` : `The API token "${caller.name}"`;
  return { book: "caller", key: isAgent ? caller.agentId : caller.tokenId, name };
}
