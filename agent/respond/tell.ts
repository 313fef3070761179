import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { ResponseRecordSchema } from "#proto/agent/v1/response";
import { signResponse } from "#trust";
import type { Identity } from "../identity/identity.ts";
import type { AgentConnection } from "../link/clients.ts";
import { retryAfterOf } from "../link/retry-after.ts";
import type { BookStore, Entry } from "./book.ts";
import { isAbout } from "./responder.ts";

export interface TellPorts {
  readonly book: BookStore;
  readonly identity: () => Identity;
  /** Undefined while there is no connection. */
  readonly client: () => AgentConnection["client"] | undefined;
  readonly log: Logger;
}

/** Tells the server what was done about alerts, until it has taken it. */
export interface Teller {
  nudge(): void;
  stop(): void;
}

const batchMax = 100;
const soonMs = 200;
const retryMs = 15_000;
/** A server that does not know the call is not asked again until it may have become another. */
const unknownMs = 600_000;
const callMs = 20_000;

export function createTeller(ports: TellPorts): Teller {
  let timer: NodeJS.Timeout | undefined;
  let dueMs = Number.POSITIVE_INFINITY;
  /** What the server asked to be left alone for holds against news, too. */
  let notBeforeMs = 0;
  let size = batchMax;
  let isStopped = false;
  let isTelling = false;

  const within = (ms: number): void => {
    const nowMs = performance.now();
    const atMs = Math.max(nowMs + ms, notBeforeMs);
    if (isStopped || isTelling || atMs >= dueMs) return;
    clearTimeout(timer);
    dueMs = atMs;
    timer = setTimeout(() => void tell(), atMs - nowMs).unref();
  };
  const later = (ms: number): number => {
    notBeforeMs = performance.now() + ms;
    return ms;
  };
  const tell = async (): Promise<void> => {
    dueMs = Number.POSITIVE_INFINITY;
    isTelling = true;
    const nextMs = await tellSome();
    isTelling = false;
    if (nextMs !== undefined) within(nextMs);
  };
  const tellSome = async (): Promise<number | undefined> => {
    const entries = settled(ports.book).slice(0, size);
    const client = ports.client();
    if (entries.length === 0) return undefined;
    if (client === undefined) return retryMs;
    try {
      const identity = ports.identity();
      const responses = entries.map((entry) => signedOf(entry, identity));
      await client.reportResponses({ responses }, { timeoutMs: callMs });
    } catch (error) {
      const code = error instanceof ConnectError ? error.code : undefined;
      if (code === Code.Unimplemented) return later(unknownMs);
      // By chance, so that a fleet does not come back together; never before the time that the server asked for.
      const least = Math.max(retryMs, retryAfterOf(error) ?? 0);
      if (code !== Code.InvalidArgument) return later(least * (1 + Math.random() / 2));
      if (entries.length > 1) {
        // One of them is out of bounds: alone it shows.
        size = 1;
        return 0;
      }
      ports.log.error({ err: error, entry: entries[0] }, "the server refuses a response record for good");
    }
    forget(ports.book, entries);
    if (settled(ports.book).length === 0) size = batchMax;
    return 0;
  };
  return {
    nudge: () => within(soonMs),
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

function settled(book: BookStore): readonly Entry[] {
  return book.get().outbox.filter(({ outcome }) => outcome !== "begun");
}

function forget(book: BookStore, told: readonly Entry[]): void {
  const before = book.get();
  const outbox = before.outbox.filter((entry) => !told.some(({ decision }) => isAbout(entry, decision)));
  try {
    book.set({ ...before, outbox });
  } catch {
    // Told again later, which changes nothing.
  }
}

function signedOf({ decision, decidedMs, outcome, why }: Entry, identity: Identity) {
  const { alertId, rule, policy, action, namespace, pod, rulesDigest } = decision;
  const record = toBinary(
    ResponseRecordSchema,
    create(ResponseRecordSchema, {
      clusterId: identity.clusterId,
      agentId: identity.agentId,
      alertId,
      rule,
      response: policy,
      action,
      namespace,
      pod,
      outcome,
      why: why.slice(0, 500),
      decidedAt: timestampFromMs(decidedMs),
      rulesDigest: Buffer.from(rulesDigest.replace("sha256:", ""), "hex"),
    }),
  );
  return { record, signature: signResponse(identity.privateKey, record) };
}
