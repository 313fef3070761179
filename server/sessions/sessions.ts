import { randomUUID } from "node:crypto";

import type { Logger } from "pino";

import type { Db } from "../store/pool.ts";
import { storeRates } from "../store/rates.ts";
import { createAuditBook } from "./audit-book.ts";
import { createBatcher } from "./batcher.ts";
import { createBlobBook, type BlobBook } from "./blobs.ts";
import type { CaKeeper } from "../ca-keeper.ts";
import { createCaBook, type SignCas } from "./cas.ts";
import { createChangeFeed, type Changed } from "./change-feed.ts";
import { createDesiredBook, type SignAssignment, type SignBacktest, type SignShadow } from "./desired.ts";
import type { SyncPorts } from "./handle-sync.ts";
import { createPresenceBook } from "./presence.ts";
import { createRegistry, type Registry } from "./registry.ts";
import { createReportBook } from "./report-book.ts";
import { defaultTuning, type Tuning } from "./tuning.ts";

export interface SessionsOptions {
  readonly db: Db;
  readonly org: string;
  readonly sign: SignAssignment;
  readonly signShadow: SignShadow;
  readonly signBacktest: SignBacktest;
  readonly signCas: SignCas;
  readonly cas: CaKeeper;
  /** How long agents' certificates hold. */
  readonly certificateMs: number;
  /** Called when an agent proved or tried something; must not throw. */
  readonly onReport: () => void;
  readonly log: Logger;
  readonly clock: () => Date;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  readonly tuning?: Partial<Tuning>;
}

/** What the transports work with. */
export interface SessionPorts extends SyncPorts {
  readonly registry: Registry;
  readonly blobs: BlobBook;
  readonly random: () => number;
}

/** The live sessions of this server, and the loops that keep them right. Nothing here is lost that matters. */
export interface Sessions {
  readonly ports: SessionPorts;
  /** To be driven on every notification and at least once a second, never twice at a time. */
  pollChanges(): Promise<void>;
  /** To be driven every `tuning.presenceMs`, and once more at the end. */
  flushPresence(): Promise<void>;
  /** Sends every session away, spread over the window. New ones are sent away at once. */
  drain(windowMs: number): void;
  /** How many sessions live here now. */
  readonly size: number;
}

const rateRowsMax = 2_000;

export function createSessions(options: SessionsOptions): Sessions {
  const { db, org, clock, log } = options;
  const random = options.random ?? Math.random;
  const tuning = { ...defaultTuning, ...options.tuning };
  const registry = createRegistry(random);
  const { sign, signShadow, signBacktest } = options;
  const desired = createDesiredBook({ db, clock, tuning, sign, signShadow, signBacktest });
  const cas = createCaBook({
    cas: () => options.cas.current(),
    sign: options.signCas,
    root: async () => (await desired.trustChain()).findLast(({ role }) => role === "root")?.body,
    clock,
    tuning,
  });
  const presence = createPresenceBook({ db, registry, clock, restMs: tuning.presenceRestMs });
  const rates = createBatcher(
    (rows: Parameters<typeof storeRates>[1]) => storeRates(db, rows),
    tuning.ratesMs,
    rateRowsMax,
  );
  const feed = createChangeFeed(db, clock, async ({ clusterIds, isTrustChanged }: Changed) => {
    if (isTrustChanged) {
      desired.forgetTrust();
      await options.cas.refresh();
    }
    const gone = await desired.refresh(clusterIds);
    for (const clusterId of gone.clusterIds) registry.endCluster(clusterId, { kind: "revoked" });
    for (const agentId of gone.agentIds) registry.endAgent(agentId, { kind: "revoked" });
    if (isTrustChanged) registry.wakeAll();
    else registry.wake(clusterIds);
  });
  return {
    ports: {
      db,
      serverId: randomUUID(),
      desired,
      cas,
      audit: createAuditBook(db, org, clock),
      presence,
      blobs: blobsOf(db, log),
      rates,
      reports: createReportBook(db, clock),
      tuning,
      certificateMs: options.certificateMs,
      clock,
      onReport: options.onReport,
      registry,
      log,
      random,
    },
    pollChanges: () => feed.poll(),
    flushPresence: () => presence.flush(),
    drain: (windowMs) => {
      registry.drain(windowMs);
    },
    get size() {
      return registry.size;
    },
  };
}

function blobsOf(db: Db, log: Logger): BlobBook {
  return createBlobBook({
    db,
    onDamaged: (digest, found) => {
      log.error({ digest, found }, "the stored bundle is not what its digest names: restore the database");
    },
  });
}
