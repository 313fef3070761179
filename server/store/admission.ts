import type { Applicant } from "../domain/enrollment.ts";
import type { AgentId, ClusterId } from "../domain/ids.ts";
import type { Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { Transaction } from "./pool.ts";
import type { Labels } from "./schema.ts";

/** Everything about one enrolment that is known before the store is asked. */
export interface Application {
  readonly applicant: Applicant;
  /** Where the call comes from. */
  readonly address: string;
  /** SHA-256 of the key in the certificate request: a repeated request is known by it. */
  readonly keyHash: Uint8Array;
  /** For the records that are made; unused when the records exist already. */
  readonly fresh: { readonly clusterId: ClusterId; readonly agentId: AgentId };
  readonly now: Date;
  /** The pod whose token it came with, for the audit log; the node is empty where Kubernetes does not say it. */
  readonly bearer?: { readonly pod: string; readonly node: string };
}

/** What lets an applicant in: a join token, or an issuer that vouches. */
export interface Admission {
  /** For refusals: "join token jt_...". */
  readonly what: string;
  /** Given to a cluster that is new. */
  readonly labels: Labels;
  /** Of whoever made it. */
  readonly scope: Scope;
  readonly madeAt: Date;
  /** The agent that the same key got by it before, when its answer was lost. */
  readonly again: AgentId | undefined;
  /** Writes down that it admitted an agent; or refuses, and then nothing is done. */
  readonly use: (agentId: AgentId, clusterId: ClusterId) => Promise<Outcome<true>>;
}

/** Decides within the transaction of the enrolment. Locks what it decides by, so that those who race come one by one. */
export type Admit = (tx: Transaction, application: Application) => Promise<Outcome<Admission>>;
