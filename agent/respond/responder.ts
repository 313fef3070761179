import type { Logger } from "pino";
import type { ResponsePolicy } from "#layers";
import type { Conditions } from "../conditions.ts";
import { decideResponses, withoutTarget } from "../domain/response.ts";
import type { AlertView, Decision, ResponseGrant } from "../domain/response.ts";
import type { BookStore, Entry } from "./book.ts";
import { execute } from "./execute.ts";
import type { ExecutePorts } from "./execute.ts";

/** An alert with the responses of the running bundle that are about its rule. */
export interface ResponseCandidate {
  readonly alert: AlertView;
  readonly policies: readonly ResponsePolicy[];
}

export interface ResponderPorts extends ExecutePorts {
  readonly book: BookStore;
  /** Undefined where the allow-list says nothing of responses: then none is looked at. */
  readonly grant: ResponseGrant | undefined;
  readonly conditions: Conditions;
  readonly log: Logger;
  /** Called when there is more to tell the server. */
  readonly onNews: () => void;
}

/** What became of decisions since the agent began, by action and outcome. */
export interface ResponseStats {
  readonly counts: readonly { readonly action: string; readonly outcome: string; readonly count: number }[];
  readonly queued: number;
  /** What the server was not told yet. */
  readonly untold: number;
  /** Alerts that were left out in silence: of events long ago, or beyond what is told. */
  readonly leftOut: number;
  /** What the server was never told, because it was away for too long. */
  readonly lost: number;
}

export interface Responder {
  /** Decides about an alert, and does what was decided when its turn comes. `missed` were left out before it. */
  take(candidate: ResponseCandidate, missed: number): void;
  stats(): ResponseStats;
  /** Begins nothing more, and resolves when what was begun has ended. */
  stop(): Promise<void>;
}

/** Far above what any allow-list lets through in a minute. */
const queueMax = 64;

export function createResponder(ports: ResponderPorts): Responder {
  const { book, grant, conditions } = ports;
  const tally = createTally(grant?.actions ?? []);
  const executor = createExecutor(ports, tally);
  let leftOut = 0;
  return {
    take({ alert, policies }, missed) {
      leftOut += missed;
      if (grant === undefined || executor.isStopping()) {
        leftOut += 1;
        if (grant === undefined) conditions.raise("response/off", off);
        return;
      }
      const before = book.get();
      const decided = decideResponses(alert, policies, before.ledger, grant, Date.now());
      leftOut += decided.leftOut;
      if (decided.decisions.length === 0) return;
      let room = queueMax - executor.queued();
      const entries = decided.decisions.map((decision) =>
        newEntry(decision, decision.kind === "act" && room-- > 0),
      );
      const dropped = entries.filter(({ outcome }) => outcome === "dropped");
      const ledger = dropped.reduce((known, each) => withoutTarget(known, each.decision), decided.ledger);
      // What is not written down is not done: after a restart it would be done again.
      if (!save(ports, { ...before, ledger, outbox: [...before.outbox, ...entries] })) return;
      for (const { decision, outcome } of entries) {
        if (outcome === "begun") executor.add(decision);
        else tally.count(decision, outcome);
      }
      ports.onNews();
    },
    stats: () => ({
      counts: tally.counts(),
      queued: executor.queued(),
      untold: book.get().outbox.length,
      leftOut,
      lost: book.get().lost,
    }),
    stop: () => executor.stop(),
  };
}

/** Failures are counted from 0 on, so that who looks now and then sees the first one as one more. */
function createTally(actions: readonly Decision["action"][]) {
  const counts = new Map(actions.map((action): [string, number] => [`${action} failed`, 0]));
  return {
    count({ action }: Decision, outcome: string): void {
      const key = `${action} ${outcome}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    },
    counts: (): ResponseStats["counts"] =>
      [...counts].map(([key, count]) => {
        const [action = "", outcome = ""] = key.split(" ");
        return { action, outcome, count };
      }),
  };
}

/** Does one thing after the other, and writes down how each ended. */
function createExecutor(ports: ResponderPorts, tally: ReturnType<typeof createTally>) {
  const { book, conditions, log } = ports;
  const queue: Decision[] = [];
  const stopping = new AbortController();
  let acting: Promise<void> | undefined;
  const note = createFailing(conditions);
  /** What ended and could not be written down yet: no more than had been begun before the disk was full. */
  let unwritten: readonly Pick<Entry, "decision" | "outcome" | "why">[] = [];
  const settle = (decision: Decision, outcome: Entry["outcome"], why: string): void => {
    tally.count(decision, outcome);
    log.warn({ ...decision, outcome, why }, "responded to an alert");
    note(decision.action, outcome, why);
    unwritten = [...unwritten, { decision, outcome, why }];
    // Should that fail, the next to end writes it too, or the next start says that nobody knows.
    if (save(ports, unwritten.reduce(afterEnd, book.get()))) unwritten = [];
    ports.onNews();
  };
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { outcome, why } = await execute(next, ports);
      settle(next, outcome, why);
      if (stopping.signal.aborted) break;
    }
    acting = undefined;
  };
  return {
    queued: () => queue.length,
    isStopping: () => stopping.signal.aborted,
    add(decision: Decision): void {
      queue.push(decision);
      acting ??= work();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await acting;
    },
  };
}

function afterEnd(
  book: ReturnType<BookStore["get"]>,
  { decision, outcome, why }: Pick<Entry, "decision" | "outcome" | "why">,
): ReturnType<BookStore["get"]> {
  const outbox = book.outbox.map((entry) => (isAbout(entry, decision) ? { ...entry, outcome, why } : entry));
  // A pod to which nothing was done must not be left alone for an hour as if it were.
  const ledger = outcome === "done" ? book.ledger : withoutTarget(book.ledger, decision);
  return { ...book, ledger, outbox };
}

/** Says which actions fail. Another one that works is no sign that they do again. */
function createFailing(conditions: Conditions) {
  const failing = new Map<string, string>();
  return (action: string, outcome: Entry["outcome"], why: string): void => {
    if (outcome === "failed") failing.set(action, `${action} could not be done: ${why}`);
    if (outcome === "done") failing.delete(action);
    if (failing.size === 0) return conditions.clear("response/failing");
    conditions.raise("response/failing", [...failing.values()].join("; "));
  };
}

const off =
  "The rules have responses to alerts, and the allow-list of this agent permits none: nothing is done";

function newEntry(decision: Decision, hasRoom: boolean): Entry {
  const entry = { decision, decidedMs: Date.now(), why: decision.why };
  if (decision.kind !== "act") return { ...entry, outcome: decision.kind };
  if (hasRoom) return { ...entry, outcome: "begun" };
  return { ...entry, outcome: "dropped", why: `${queueMax} others wait to be done` };
}

/** Whether an entry of the outbox is about a decision. */
export function isAbout(
  { decision }: Entry,
  { alertId, policy }: Pick<Decision, "alertId" | "policy">,
): boolean {
  return decision.alertId === alertId && decision.policy === policy;
}

function save({ book, conditions }: ResponderPorts, next: ReturnType<BookStore["get"]>): boolean {
  try {
    book.set(next);
    conditions.clear("response/state");
    return true;
  } catch (error) {
    const why = (error as Error).message;
    conditions.raise(
      "response/state",
      `Nothing is done about alerts, because it cannot be written down: ${why}`,
    );
    return false;
  }
}
