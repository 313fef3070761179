import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import { noTraces, type Traces } from "#traces";

import { fleetPace, type FleetPace } from "../domain/fleet-pace.ts";
import { countAgents } from "../store/agents.ts";
import type { Db } from "../store/pool.ts";
import { storeRates } from "../store/rates.ts";
import { createAuditBook } from "./audit-book.ts";
import { createBatcher } from "./batcher.ts";
import { createBlobBook, type BlobBook } from "./blobs.ts";
import type { CaKeeper } from "../ca-keeper.ts";
import { createCaBook, type SignCas } from "./cas.ts";
import { createClaimBook } from "./claim-book.ts";
import { createChangeFeed } from "./change-feed.ts";
import {
  createDesiredBook,
  rootIn,
  type SignAssignment,
  type SignBacktest,
  type SignShadow,
} from "./desired.ts";
import { followChanges } from "./follow-changes.ts";
import type { SyncPorts } from "./handle-sync.ts";
import { createPresenceBook } from "./presence.ts";
import { createRegistry, type Registry } from "./registry.ts";
import { createReportBook } from "./report-book.ts";
import { createServerRun } from "./server-run.ts";
import { createTraceBook } from "./trace-agent.ts";
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
  readonly onReport: SyncPorts["onReport"];
  /** Off if not given. */
  readonly traces?: Traces;
  readonly log: Logger;
  readonly clock: () => Date;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  readonly tuning?: Partial<Tuning>;
}

/** What the transports work with. */
export interface SessionPorts extends SyncPorts {
  readonly registry: Registry;
  readonly random: () => number;
}

/** The live sessions of this server, and the loops that keep them right. Nothing here is lost that matters. */
export interface Sessions {
  readonly ports: SessionPorts;
  /** To be driven on every notification and at least once a second, never twice at a time. */
  pollChanges(): Promise<void>;
  /** To be driven every `tuning.presenceMs`, and once more at the end. */
  flushPresence(): Promise<void>;
  /** To be driven now and then: sees how large the fleet is, and how long it may take to come back. */
  measureFleet(): Promise<void>;
  /** Sends every session away, to come back spread over the window or the fleet's, if that is longer. New ones are sent away at once. */
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
  const traces = options.traces ?? noTraces;
  const desired = createDesiredBook({ ...options, isTraced: traces.isOn, tuning });
  const cas = createCaBook({
    cas: () => options.cas.current(),
    sign: options.signCas,
    root: async () => rootIn(await desired.trustChain()),
    clock,
    tuning,
  });
  const presence = createPresenceBook({ db, registry, clock, restMs: tuning.presenceRestMs });
  const rates = createBatcher(
    (rows: Parameters<typeof storeRates>[1]) => storeRates(db, rows),
    tuning.ratesMs,
    rateRowsMax,
  );
  let pace: FleetPace = { reconnectWindowMs: tuning.reconnectWindowMs, reportMs: tuning.reportMs };
  const feed = createChangeFeed(db, clock, followChanges(desired, registry, options.cas));
  return {
    ports: {
      db,
      run: createServerRun(),
      desired,
      cas,
      audit: createAuditBook(db, org, clock),
      claims: createClaimBook(db, clock, tuning.beginningsMs),
      presence,
      blobs: blobsOf(db, log),
      rates,
      reports: createReportBook(db, clock),
      tuning,
      pace: () => pace,
      certificateMs: options.certificateMs,
      clock,
      onReport: options.onReport,
      traces,
      traced: createTraceBook(),
      registry,
      log,
      random,
    },
    pollChanges: () => feed.poll(),
    flushPresence: () => presence.flush(),
    measureFleet: async () => {
      const next = fleetPace(await countAgents(db), tuning);
      // The same object is the same pace: nobody is told it twice.
      if (!isDeepStrictEqual(next, pace)) pace = next;
    },
    drain: (drainMs) => {
      registry.drain(Math.max(drainMs, pace.reconnectWindowMs));
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
