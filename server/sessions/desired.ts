import { createHash } from "node:crypto";

import type { Assignment, BacktestOrder, Envelope, ShadowOrder } from "#trust";

import { readDesired, readTrustChain, type DesiredRow, type DesiredTarget } from "../store/desired.ts";
import type { Db } from "../store/pool.ts";
import { together } from "../together.ts";
import { layersFor, takeApart, type TrustChain } from "./trust-chain.ts";
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

/** The same for the order to replay one. */
export type SignBacktest = (
  order: Omit<BacktestOrder, "org">,
  root: Uint8Array | undefined,
) => Promise<Envelope>;

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
  /** The signed assignment, with layers for agents that take them; undefined when nothing was ever assigned. */
  envelope(desired: Desired, takesLayers: boolean): Promise<Envelope | undefined>;
  /** The signed order to evaluate the candidate of a cluster; undefined when it has none now. */
  shadowOrder(desired: Desired): Promise<Envelope | undefined>;
  /** The same for what it is to replay. */
  backtestOrder(desired: Desired): Promise<Envelope | undefined>;
  trustChain(): Promise<TrustChain>;
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
  /** By whether they are for agents that take layers. */
  readonly envelopes: Map<boolean, SignedOnce>;
}

interface SignedOnce {
  readonly generation: bigint;
  readonly signedMs: number;
  readonly value: Promise<Envelope>;
}

export interface DesiredOptions {
  readonly db: Db;
  /** Whether anybody records the traces of rollouts. */
  readonly isTraced: boolean;
  readonly sign: SignAssignment;
  readonly signShadow: SignShadow;
  readonly signBacktest: SignBacktest;
  readonly clock: () => Date;
  readonly tuning: Pick<Tuning, "assignmentMs" | "clockSkewMs" | "beginningsMs">;
}

export function createDesiredBook(options: DesiredOptions): DesiredBook {
  const { db, isTraced } = options;
  const entries = new Map<string, Entry>();
  const load = loadTogether(db, isTraced, options.tuning.beginningsMs);
  let chain: Promise<TrustChain> | undefined;
  const trustChain = () => {
    chain ??= forgetting(readTrustChain(db).then(takeApart), () => (chain = undefined));
    return chain;
  };
  return {
    hold: (clusterId) => {
      const entry = entries.get(clusterId) ?? { holders: 0, state: undefined, envelopes: new Map() };
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
      if (entry === undefined) return load(clusterId);
      entry.state ??= forgetting(load(clusterId), () => (entry.state = undefined));
      return entry.state;
    },
    held: (clusterId) => entries.get(clusterId)?.state ?? Promise.resolve(undefined),
    envelope: (desired, takesLayers) =>
      envelopeOf(desired, takesLayers, entries.get(desired.clusterId), { ...options, trustChain }),
    shadowOrder: (desired) => shadowOrderOf(desired, { ...options, trustChain }),
    backtestOrder: (desired) => backtestOrderOf(desired, { ...options, trustChain }),
    trustChain,
    refresh: async (clusterIds) => {
      const held = [...clusterIds].filter((id) => entries.has(id));
      const rows = await readDesired(db, held, isTraced);
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
      for (const entry of entries.values()) entry.envelopes.clear();
    },
  };
}

/** Clusters that are read in one query. */
const loadedMax = 500;

/** A fleet that comes back is read in a few queries and not in thousands. */
function loadTogether(
  db: Db,
  isTraced: boolean,
  restMs: number,
): (clusterId: string) => Promise<Desired | undefined> {
  return together({
    work: async (clusterIds: readonly string[]) => {
      const rows = await readDesired(db, clusterIds, isTraced);
      const byId = new Map(rows.map((row) => [row.clusterId, desiredOf(row)]));
      return clusterIds.map((id) => byId.get(id));
    },
    keyOf: (clusterId) => clusterId,
    itemsMax: loadedMax,
    restMs,
  });
}

function desiredOf(row: DesiredRow): Desired {
  return { ...row, labelsDigest: labelsDigest(row.labels) };
}

type EnvelopeOptions = DesiredOptions & Pick<DesiredBook, "trustChain">;

/** Signed once per generation and cluster, and again when half of its life is over. */
async function envelopeOf(
  desired: Desired,
  takesLayers: boolean,
  entry: Entry | undefined,
  options: EnvelopeOptions,
): Promise<Envelope | undefined> {
  const { generation } = desired;
  if (generation === 0n || desired.targets.length === 0) return undefined;
  const nowMs = options.clock().getTime();
  const cached = entry?.envelopes.get(takesLayers);
  const isFresh = cached !== undefined && nowMs - cached.signedMs < options.tuning.assignmentMs / 2;
  if (isFresh && cached.generation === generation) return cached.value;
  const value = signDesired(desired, takesLayers, nowMs, options);
  if (entry === undefined) return value;
  const signed = {
    generation,
    signedMs: nowMs,
    value: forgetting(value, () => entry.envelopes.delete(takesLayers)),
  };
  entry.envelopes.set(takesLayers, signed);
  return signed.value;
}

/** The same promise, which drops itself from its cache when it fails, so that the next caller tries again. */
function forgetting<T>(promise: Promise<T>, forget: () => void): Promise<T> {
  promise.catch(forget);
  return promise;
}

async function signDesired(
  desired: Desired,
  takesLayers: boolean,
  nowMs: number,
  options: EnvelopeOptions,
): Promise<Envelope> {
  const { sign, tuning } = options;
  const chain = await options.trustChain();
  const layers = takesLayers ? layersFor(desired, chain) : [];
  const assignment = {
    clusterId: desired.clusterId,
    generation: Number(desired.generation),
    targets: desired.targets.map(({ kind, ...part }) => ({ kind, ...partOf(part) })),
    layers: layers.map(partOf),
    notBefore: second(nowMs - tuning.clockSkewMs),
    expires: second(nowMs + tuning.assignmentMs),
  };
  return sign(assignment, rootIn(chain));
}

function partOf({ path, length, digest }: Pick<DesiredTarget, "path" | "length" | "digest">) {
  return { path, length, sha256: digest.slice("sha256:".length) };
}

/** The newest root. */
export function rootIn({ metadata }: TrustChain): Uint8Array | undefined {
  return metadata.findLast(({ role }) => role === "root")?.body;
}

async function shadowOrderOf({ clusterId, shadow }: Desired, options: EnvelopeOptions) {
  const order = shadow && (await orderOf(clusterId, shadow, shadow.untilMs, options));
  if (shadow === null || order === null) return undefined;
  return options.signShadow({ ...order.common, rolloutId: shadow.rolloutId }, order.root);
}

async function backtestOrderOf({ clusterId, backtest }: Desired, options: EnvelopeOptions) {
  const order = backtest && (await orderOf(clusterId, backtest, backtest.deadlineMs, options));
  if (backtest === null || order === null) return undefined;
  const { backtestId, sinceMs, untilMs } = backtest;
  // What happened in the last second belongs to it.
  const span = { since: second(sinceMs), until: second(untilMs + 999) };
  return options.signBacktest({ ...order.common, ...span, backtestId }, order.root);
}

/** What the orders about candidates have in common; null when the time is over. */
async function orderOf(
  clusterId: string,
  candidate: Pick<DesiredTarget, "path" | "length" | "digest"> & { readonly kind: "rules" | "layer" },
  expiresMs: number,
  { clock, trustChain, tuning }: EnvelopeOptions,
) {
  const nowMs = clock().getTime();
  if (nowMs >= expiresMs) return null;
  const root = rootIn(await trustChain());
  const target = { kind: candidate.kind, ...partOf(candidate) };
  const times = { notBefore: second(nowMs - tuning.clockSkewMs), expires: second(expiresMs) };
  return { common: { clusterId, target, ...times }, root };
}

/** The whole second that a moment is in. */
function second(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}

/** SHA-256 over the labels as JSON, a list of pairs sorted by key. Agents compute the same. */
export function labelsDigest(labels: Readonly<Record<string, string>>): Uint8Array {
  const pairs = Object.keys(labels)
    .toSorted()
    .map((key) => [key, labels[key]]);
  return createHash("sha256").update(JSON.stringify(pairs)).digest();
}
