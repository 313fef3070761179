import type { KeyObject } from "node:crypto";

import type { RoleName } from "#trust";

import type { FleetPace } from "../domain/fleet-pace.ts";
import type { Lease } from "../store/sessions.ts";
import type { KnownHead } from "./audit-book.ts";
import type { Held } from "./offers.ts";

/** Who speaks, as the certificate of the connection proves it. */
export interface SyncCaller {
  readonly clusterId: string;
  readonly agentId: string;
  readonly publicKey: KeyObject;
  readonly certificateExpiresAt: Date;
  /** Pin of the CA that issued the certificate of the connection. */
  readonly certificateCa: string;
  readonly certificateSerial: string;
  /** The certificate that this newer one takes the place of. */
  readonly replacesSerial?: string;
}

/** One session. A stream keeps it from message to message; a long poll makes it anew from the store at each call. */
export interface Session {
  readonly caller: SyncCaller;
  readonly sessionId: string;
  readonly epoch: bigint;
  sequence: bigint;
  observedGeneration: bigint;
  /** What the agent holds as far as is known here: what it said last, and what it was sent since. */
  trustVersions: HeldVersions | undefined;
  /** Whether the agent knows of layers that teams own. */
  readonly takesLayers: boolean;
  /** Whether it knows of bundles that come with an assignment. */
  readonly takesEnclosed: boolean;
  /** Digests of the bundles that it said it runs, and of those that it was sent since; undefined until it has said so. */
  holds: readonly string[] | undefined;
  labelsDigest: Uint8Array;
  /** The newest assignment that was sent in this session. */
  offeredGeneration: bigint;
  /** The newest list of CAs that the agent said it holds, or was sent. */
  caBundleVersion: bigint;
  /** The pace that the agent was told, with the rest of the tuning; undefined when it was told nothing. */
  toldPace: FleetPace | undefined;
  /** The head of the audit log that the agent said it holds. */
  auditHead: KnownHead | undefined;
  /** The candidates that the agent holds, with what it was offered since; undefined for agents that take none. */
  shadow: Held | undefined;
  backtest: Held | undefined;
}

/** The versions of trust metadata that an agent holds, and of lists of layers, by the layer's name. */
export interface HeldVersions extends Readonly<Record<RoleName, bigint>> {
  readonly lists: Readonly<Record<string, bigint>>;
}

/** A session that has just begun: nothing was said in it yet. */
export function newSession(caller: SyncCaller, sessionId: string, lease: Lease): Session {
  return {
    caller,
    sessionId,
    epoch: lease.epoch,
    sequence: 0n,
    observedGeneration: lease.observedGeneration,
    trustVersions: undefined,
    takesLayers: lease.capabilities.includes("layers"),
    takesEnclosed: lease.capabilities.includes("enclosed"),
    holds: undefined,
    labelsDigest: new Uint8Array(),
    offeredGeneration: 0n,
    caBundleVersion: 0n,
    toldPace: undefined,
    auditHead: undefined,
    shadow: undefined,
    backtest: undefined,
  };
}
