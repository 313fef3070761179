import { createHash } from "node:crypto";

import type { Assignment, Envelope, ShadowOrder } from "#trust";

import { readDesired, readTrustChain, type DesiredRow, type StoredMetadata } from "../store/desired.ts";
import type { Db } from "../store/pool.ts";
import type { Tuning } from "./tuning.ts";

/** What the server wants of one cluster, ready to be sent. */
export interface Desired extends DesiredRow {
  readonly labelsDigest: Uint8Array;
}

/** Signs with the assignment key that the newest root names, for the organisation of the fleet. */
export type SignAssignment = (
  assignment: Omit<Assignment, "org">,
  root: Uint8Array | undefined,
) => Promise<Envelope>;

/** The same for the order to evaluate a candidate. */
export type SignShadow = (order: Omit<ShadowOrder, "org">, root: Uint8Array | undefined) => Promise<Envelope>;

/**
 * The desired state of the clusters that are connected here. A copy of what the store says, read again when the change
 * feed says so; losing it costs a query.
 */
export interface DesiredBook {
  /** Keeps a cluster's state in memory and fresh until it is released as often as it was held. */
  hold(clusterId: string): void;
  release(clusterId: string): void;
  /** Undefined when there is no such cluster. */
  get(clusterId: string): Promise<Desired | undefined>;
  /** The same without asking the store: undefined, too, when nobody holds the cluster or nothing is known of it yet. */
  held(clusterId: string): Promise<Desired | undefined>;
  /** The signed assignment; undefined when nothing was ever assigned. */
  envelope(desired: Desired): Promise<Envelope | undefined>;
  /** The signed order to evaluate the candidate of a cluster; undefined when it has none now. */
  shadowOrder(desired: Desired): Promise<Envelope | undefined>;
  /** All roots and the newest of the other roles, in the order in which an agent verifies them. */
  trustChain(): Promise<readonly StoredMetadata[]>;
  /** Reads again what is held of these clusters; answers with who among them may not be spoken with any more. */
  refresh(clusterIds: Iterable<string>): Promise<Gone>;
  forgetTrust(): void;
}

/** Retired clusters, and agents whose identity was taken back. */
export interface Gone {
  readonly clusterIds: readonly string[];
  readonly agentIds: readonly string[];
}

interface Entry {
  holders: number;
  state: Promise<Desired | undefined> | undefined;
  envelope?: { readonly generation: bigint; readonly signedMs: number; readonly value: Promise<Envelope> };
}

export interface DesiredOptions {
  readonly db: Db;
  readonly sign: SignAssignment;
  readonly signShadow: SignShadow;
  readonly clock: () => Date;
  readonly tuning: Pick<Tuning, "assignmentMs" | "clockSkewMs">;
}

export function createDesiredBook(options: DesiredOptions): DesiredBook {
  const { db } = options;
  const entries = new Map<string, Entry>();
  let chain: Promise<readonly StoredMetadata[]> | undefined;
  const trustChain = () => {
    chain ??= forgetting(readTrustChain(db), () => (chain = undefined));
    return chain;
  };
  return {
    hold: (clusterId) => {
      const entry = entries.get(clusterId) ?? { holders: 0, state: undefined };
      entry.holders += 1;
      entries.set(clusterId, entry);
    },
    release: (clusterId) => {
      const entry = entries.get(clusterId);
      if (entry === undefined) return;
      entry.holders -= 1;
      if (entry.holders <= 0) entries.delete(clusterId);
    },
    get: (clusterId) => {
      const entry = entries.get(clusterId);
      if (entry === undefined) return load(db, clusterId);
      entry.state ??= forgetting(load(db, clusterId), () => (entry.state = undefined));
      return entry.state;
    },
    held: (clusterId) => entries.get(clusterId)?.state ?? Promise.resolve(undefined),
    envelope: (desired) => envelopeOf(desired, entries.get(desired.clusterId), { ...options, trustChain }),
    shadowOrder: (desired) => orderOf(desired, { ...options, trustChain }),
    trustChain,
    refresh: async (clusterIds) => {
      const held = [...clusterIds].filter((id) => entries.has(id));
      const rows = await readDesired(db, held);
      for (const row of rows) {
        const entry = entries.get(row.clusterId);
        if (entry !== undefined) entry.state = Promise.resolve(desiredOf(row));
      }
      return {
        clusterIds: rows.filter((row) => row.isRetired).map((row) => row.clusterId),
        agentIds: rows.flatMap((row) => row.revokedAgentIds),
      };
    },
    forgetTrust: () => {
      chain = undefined;
      // The root may name another assignment key now.
      for (const entry of entries.values()) delete entry.envelope;
    },
  };
}

async function load(db: Db, clusterId: string): Promise<Desired | undefined> {
  const [row] = await readDesired(db, [clusterId]);
  return row === undefined ? undefined : desiredOf(row);
}

function desiredOf(row: DesiredRow): Desired {
  return { ...row, labelsDigest: labelsDigest(row.labels) };
}

type EnvelopeOptions = DesiredOptions & Pick<DesiredBook, "trustChain">;

/** Signed once per generation and cluster, and again when half of its life is over. */
async function envelopeOf(
  desired: Desired,
  entry: Entry | undefined,
  options: EnvelopeOptions,
): Promise<Envelope | undefined> {
  const { generation } = desired;
  if (generation === 0n || desired.targets.length === 0) return undefined;
  const nowMs = options.clock().getTime();
  const cached = entry?.envelope;
  const isFresh = cached !== undefined && nowMs - cached.signedMs < options.tuning.assignmentMs / 2;
  if (isFresh && cached.generation === generation) return cached.value;
  const value = signDesired(desired, nowMs, options);
  if (entry === undefined) return value;
  entry.envelope = { generation, signedMs: nowMs, value: forgetting(value, () => delete entry.envelope) };
  return entry.envelope.value;
}

/** The same promise, which drops itself from its cache when it fails, so that the next caller tries again. */
function forgetting<T>(promise: Promise<T>, forget: () => void): Promise<T> {
  promise.catch(forget);
  return promise;
}

async function signDesired(desired: Desired, nowMs: number, options: EnvelopeOptions): Promise<Envelope> {
  const { sign, tuning } = options;
  const second = (ms: number) => new Date(Math.floor(ms / 1000) * 1000);
  const root = (await options.trustChain()).findLast(({ role }) => role === "root");
  const assignment = {
    clusterId: desired.clusterId,
    generation: Number(desired.generation),
    targets: desired.targets.map(({ kind, path, length, digest }) => ({
      kind,
      path,
      length,
      sha256: digest.slice("sha256:".length),
    })),
    notBefore: second(nowMs - tuning.clockSkewMs),
    expires: second(nowMs + tuning.assignmentMs),
  };
  return sign(assignment, root?.body);
}

async function orderOf(desired: Desired, options: EnvelopeOptions): Promise<Envelope | undefined> {
  const { clusterId, shadow } = desired;
  const nowMs = options.clock().getTime();
  if (shadow === null || nowMs >= shadow.untilMs) return undefined;
  const { rolloutId, path, length, digest, untilMs } = shadow;
  const second = (ms: number) => new Date(Math.floor(ms / 1000) * 1000);
  const root = (await options.trustChain()).findLast(({ role }) => role === "root");
  const target = { kind: "rules", path, length, sha256: digest.slice("sha256:".length) } as const;
  const notBefore = second(nowMs - options.tuning.clockSkewMs);
  return options.signShadow(
    { clusterId, rolloutId, target, notBefore, expires: second(untilMs) },
    root?.body,
  );
}

/** SHA-256 over the labels as JSON, a list of pairs sorted by key. Agents compute the same. */
export function labelsDigest(labels: Readonly<Record<string, string>>): Uint8Array {
  const pairs = Object.keys(labels)
    .toSorted()
    .map((key) => [key, labels[key]]);
  return createHash("sha256").update(JSON.stringify(pairs)).digest();
}
