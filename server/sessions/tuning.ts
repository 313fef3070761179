import { heartbeatMs, silentAfterMs } from "../domain/liveness.ts";

/** How sessions behave. All times are milliseconds. */
export interface Tuning {
  readonly heartbeatMs: number;
  /** How often agents of a small fleet send minutes of rates; those of a large one do so more rarely, see fleet-pace. */
  readonly reportMs: number;
  /** Agents of a small fleet come back after a random part of this; of a large one it is longer. */
  readonly reconnectWindowMs: number;
  /** A stream of which nothing is heard for so long is closed. */
  readonly silentMs: number;
  /** A stream that cannot take a message for so long is closed. */
  readonly stallMs: number;
  /** A stream is sent away after this time plus up to half of it, so that servers share the agents evenly again. */
  readonly streamAgeMs: number;
  /** How long an assignment's signature holds. It is signed again when half of it is over. */
  readonly assignmentMs: number;
  /** Assignments hold from this much before they are signed, for agents whose clock is behind. */
  readonly clockSkewMs: number;
  /** After a switch to another CA, agents fetch certificates of it within so long, each at a moment of its own. */
  readonly caRenewalMs: number;
  /** How often it is written who was heard of. */
  readonly presenceMs: number;
  /** Of an agent that says nothing new it is written no more often than this, to spare the database. */
  readonly presenceRestMs: number;
  /** How long minutes of rates wait for others to be written with. */
  readonly ratesMs: number;
  /** While many sessions begin, those that begin together begin so long after the ones before, so that they are more. */
  readonly beginningsMs: number;
}

export const defaultTuning: Tuning = {
  heartbeatMs,
  reportMs: 10_000,
  reconnectWindowMs: 5_000,
  silentMs: silentAfterMs,
  stallMs: 30_000,
  streamAgeMs: 40 * 60_000,
  assignmentMs: 7 * 86_400_000,
  clockSkewMs: 5 * 60_000,
  caRenewalMs: 10 * 60_000,
  presenceMs: 5_000,
  presenceRestMs: 15_000,
  ratesMs: 100,
  beginningsMs: 40,
};
