import type { Suspicion } from "./instance.ts";

/** The beginning of a session of an agent, as it is remembered. */
export interface SessionBegin {
  readonly atMs: number;
  /** The same as text (RFC 3339), for people. */
  readonly at: string;
  /** Whether another process began it than the session before. */
  readonly isOtherProcess: boolean;
  readonly transport: string;
  /** The run of a server that held the session before it last; empty for the first. */
  readonly lostBy: string;
  /** The run of a server that it began at. */
  readonly heldBy: string;
}

/**
 * So many sessions that begin within so long are too many. A fleet that comes back spreads its agents over up to 100 s, so an agent
 * of the largest fleet that loses every connection at once still begins about ten.
 */
export const flappingBegins = 6;
export const flappingWithinMs: number = 10 * 60_000;
/** More than are judged, because some are not counted. */
export const beginsKept = 16;

/** The beginnings with a new one, oldest first: those that may be judged. */
export function withBegin(begins: readonly SessionBegin[], begin: SessionBegin): readonly SessionBegin[] {
  const recent = begins.filter(({ atMs }) => begin.atMs - atMs <= flappingWithinMs);
  return [...recent, begin].slice(-beginsKept);
}

/** What is wrong with an agent whose sessions began like this; undefined while they last long enough. */
export function judgeBegins(begins: readonly SessionBegin[]): Suspicion | undefined {
  const [first, ...others] = begins.filter(isCounted).slice(-flappingBegins);
  const last = others.at(-1);
  if (first === undefined || last === undefined || others.length + 1 < flappingBegins) return undefined;
  const tookMs = last.atMs - first.atMs;
  if (tookMs > flappingWithinMs) return undefined;
  const processes = others.filter(({ isOtherProcess }) => isOtherProcess).length;
  const what = `${flappingBegins} of its sessions began within ${durationOf(tookMs)}`;
  const why =
    processes * 2 >= others.length
      ? `, ${processes} of them by another process than the one before: the agent ends again and again, or two processes use its identity; look at its log, at what ended it, and at its limit of memory`
      : ", by a process that goes on: something between it and the server cuts the connection, or the agent is too busy to answer; look at its log and at proxies on the way";
  return { code: "session/flapping", message: `${what}${why}`, since: first.at };
}

/**
 * Whether a beginning says something about the agent. A process that tries its other transport says nothing: it does so where a
 * proxy holds answers back. Neither does one whose session was lost with its server. That a server goes on is told by what
 * follows: a session was held by the same run again.
 */
function isCounted(begin: SessionBegin, i: number, begins: readonly SessionBegin[]): boolean {
  const before = begins[i - 1];
  if (before !== undefined && before.transport !== begin.transport && !begin.isOtherProcess) return false;
  const { lostBy } = begin;
  if (lostBy === "" || lostBy === begin.heldBy) return true;
  return begins.slice(i + 1).some((later) => later.heldBy === lostBy || later.lostBy === lostBy);
}

/** Clocks of two servers differ, so what began later may seem to have begun before. */
function durationOf(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
}
