import type { Digest } from "./ids.ts";

/** One agent of a cluster, as far as a rollout looks at it. */
export interface AgentView {
  readonly name: string;
  /** Not heard of for three heartbeats. */
  readonly silent: boolean;
  /** It is silent after a goodbye. It is still asked: no other agent of its cluster is there, or see `staysAsked`. */
  readonly hasLeft?: boolean;
  /** When it was last heard of; absent when it never was. */
  readonly lastSeenMs?: number;
  /** When it was enrolled, as far as that is known: it cannot have proved anything before. */
  readonly enrolledMs?: number;
  /** When its last session began; absent when none did. */
  readonly connectedMs?: number;
  readonly observedGeneration: bigint;
  readonly running?: Digest;
  /** The assignment generation the agent had verified when it signed the proof of `running`. */
  readonly provedGeneration: bigint;
  /** The newest attempt of the kind. */
  readonly attempt?: AttemptView;
  /**
   * Codes of the conditions that it raised since the bundle of the kind runs, by the agent's own clock, and of what the server finds
   * since it was assigned.
   */
  readonly raised?: readonly string[];
  /** It says that its clock is off. */
  readonly isClockOff?: boolean;
}

export interface AttemptView {
  readonly digest: Digest;
  readonly generation: bigint;
  readonly phase: string;
  readonly reason: string;
  readonly detail: string;
}

/**
 * What an agent's word says about a bundle that was assigned in a generation. `nothing` covers every report that is
 * older than the assignment: late and duplicate reports decide nothing.
 */
export type Verdict =
  | { readonly kind: "proved" }
  | { readonly kind: "failed"; readonly why: string }
  | { readonly kind: "other" }
  | { readonly kind: "nothing" };

/**
 * Judges by digest and generation alone, never by clock or order of arrival: a proof counts when it was signed after
 * the agent had verified the assignment, and a failure when it is about this bundle under this assignment or a newer.
 */
export function judgeAgent(agent: AgentView, digest: Digest, generation: bigint): Verdict {
  const attempt = attemptAt(agent, digest, generation);
  if (attempt?.phase === "rejected" || attempt?.phase === "rolled-back") {
    return { kind: "failed", why: failure(agent.name, attempt) };
  }
  if (agent.running === undefined || agent.provedGeneration < generation) return { kind: "nothing" };
  return { kind: agent.running === digest ? "proved" : "other" };
}

/** What came of the bundle at an agent, when that is what it tried last. */
export function attemptAt(
  { attempt }: AgentView,
  digest: Digest,
  generation: bigint,
): AttemptView | undefined {
  return attempt?.digest === digest && attempt.generation >= generation ? attempt : undefined;
}

/** For finding the first failure in a list with its reason. */
export function isFailure(verdict: Verdict): verdict is Extract<Verdict, { kind: "failed" }> {
  return verdict.kind === "failed";
}

function failure(agent: string, attempt: AttemptView): string {
  const what = attempt.phase === "rejected" ? "rejected it" : "went back by itself";
  const why = [attempt.reason, attempt.detail.slice(0, 300)].filter((each) => each !== "").join(": ");
  return `agent "${agent}" ${what}${why === "" ? "" : `: ${why}`}`;
}
