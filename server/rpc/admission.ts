import { createContextKey, type HandlerContext } from "@connectrpc/connect";

import type { Permission } from "../domain/permission.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { createBuckets, type Rate } from "../domain/token-bucket.ts";
import { routePolicy, type CallLimits } from "../limits.ts";
import type { Caller } from "./caller.ts";
import { createWork, type Turn } from "./work.ts";

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
export type CallRefusal = "overload" | "newcomer-rate" | "caller-rate" | "route-busy" | "line-late";

export interface AdmissionOptions {
  readonly limits: CallLimits;
  /** Queries that wait for a connection of the database. */
  readonly databaseWaiting: () => number;
  readonly onRefused: (reason: CallRefusal) => void;
  /** Called for each call that has to wait in line for its turn. */
  readonly onLinedUp?: (route: string) => void;
  readonly now?: () => number;
}

/** What admission has to know of a call. */
export interface CallContext extends Pick<HandlerContext, "values" | "signal"> {
  readonly service: { readonly typeName: string };
  readonly method: { readonly name: string };
}

/** Decides whether a call is taken, before its body is read. */
export interface Admission {
  /** Before anybody knows who calls: nothing has been asked of the database yet. */
  arrive(context: CallContext, permission: Permission, hasCertificate: boolean): Outcome<true>;
  /**
   * When it is known who calls, which for public calls is the address. Where the route has a line, it resolves when it is
   * the call's turn. The call counts as work from then to its end.
   */
  enter(context: CallContext, permission: Permission, caller: Caller | undefined): Promise<Outcome<true>>;
  readonly inWork: number;
  readonly inLine: number;
}

export function createAdmission(options: AdmissionOptions): Admission {
  const { limits, databaseWaiting, onRefused, now = () => performance.now() } = options;
  const { onLinedUp = () => undefined } = options;
  // Strangers can make addresses up as they like, so they cannot push callers out of their book.
  const books = { address: createBuckets(limits.keysMax), caller: createBuckets(limits.keysMax) };
  const work = createWork({ lineMsMax: limits.lineMsMax, onLinedUp });
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
    async enter(context, permission, caller) {
      const route = `${context.service.typeName}/${context.method.name}`;
      const policy = routePolicy(route, permission, limits.ratePercent);
      const { book, key, name } = keyOf(caller, context);
      const waitMs = books[book].take(`${route} ${key}`, policy.rate, now());
      if (waitMs > 0) {
        onRefused("caller-rate");
        return later("over-limit", tooOften(name, policy.rate), waitMs);
      }
      const bounds = {
        weight: policy.isWaiting === true ? 0 : 1,
        inWorkMax: policy.inWorkMax ?? Number.POSITIVE_INFINITY,
        inLineMax: policy.inLineMax ?? 0,
        ...(policy.ofCaller === undefined ? {} : { ofCaller: { key, ...policy.ofCaller } }),
      };
      const turn = await work.begin(route, bounds, context.signal);
      if (turn === "busy") onRefused("route-busy");
      if (turn === "late") onRefused("line-late");
      return outcomeOf(turn, context.method.name, work.of(route));
    },
    get inWork() {
      return work.total;
    },
    get inLine() {
      return work.inLine;
    },
  };
}

function outcomeOf(turn: Turn, method: string, same: number): Outcome<true> {
  const busy = `The server does ${same} calls of ${method} already, and no more at the same time`;
  switch (turn) {
    // Who has gone is served nothing; what serves it finds that out by itself.
    case "begun":
    case "gone":
      return accept(true);
    case "busy":
      return later("unavailable", busy, routeBusyRetryMs);
    case "late":
      return later("unavailable", `${busy}, and this one waited too long for its turn`, routeBusyRetryMs);
  }
}

const routeBusyRetryMs = 1_000;

function tooOften(who: string, { burst, perSecond }: Rate): string {
  return `${who} may make ${burst} such calls at once and ${perSecond} per second`;
}

function later(kind: "over-limit" | "unavailable", what: string, retryAfterMs: number): Outcome<true> {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return refuse({ kind, why: `${what}: try again in ${seconds} s`, retryAfterMs });
}

interface CallerKey {
  readonly book: "caller" | "address";
  readonly key: string;
  /** For the refusal. */
  readonly name: string;
}

function keyOf(caller: Caller | undefined, context: CallContext): CallerKey {
  if (caller === undefined) {
    return { book: "address", key: context.values.get(connectionKey).address, name: "Your address" };
  }
  const isAgent = caller.kind === "agent";
  const name = isAgent ? `The agent ${caller.agentId}` : `The API token "${caller.name}"`;
  return { book: "caller", key: isAgent ? caller.agentId : caller.tokenId, name };
}
