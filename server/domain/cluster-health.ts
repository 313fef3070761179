import type { ComponentName } from "./component.ts";
import type { Digest } from "./ids.ts";
import { askedAgents, hasLeft, silentAfterMs, type Heard } from "./liveness.ts";

export type Health = "healthy" | "updating" | "degraded" | "silent";

/** What one agent's health is judged by. Times in milliseconds since 1970. */
export interface AgentFacts extends Heard {
  readonly name: string;
  readonly createdMs: number;
  readonly certificateExpiresMs: number;
  readonly components: readonly ComponentFacts[];
  readonly conditions: readonly { readonly code: string; readonly message: string }[];
}

/** What an agent proves and tried last for one kind of bundle. */
export interface ComponentFacts {
  readonly kind: ComponentName;
  readonly running?: Digest;
  readonly attempt?: {
    readonly digest: Digest;
    readonly generation: bigint;
    readonly phase: string;
    readonly reason: string;
    readonly detail: string;
  };
}

/** What the server wants a cluster to run; a component that is absent is not assigned. */
export type AssignmentFacts = { readonly [C in ComponentName]?: Digest };

export interface Judged {
  readonly health: Health;
  /** In words, naming the agent; empty when healthy. */
  readonly reason: string;
}

const healthy: Judged = { health: "healthy", reason: "" };
const order: readonly Health[] = ["silent", "degraded", "updating", "healthy"];
const detailCharsMax = 300;

/**
 * The judgement over a cluster: that of its worst agent. Silence comes first, because what a silent agent said last is
 * no longer known to hold; a cluster without agents is silent too.
 */
export function judgeHealth(
  assignment: AssignmentFacts,
  agents: readonly AgentFacts[],
  nowMs: number,
): Judged {
  // Who left last comes first: where all have, that is since when nobody watches.
  const asked = askedAgents(agents, nowMs).toSorted((a, b) => (b.leftMs ?? 0) - (a.leftMs ?? 0));
  const judged = asked.map((agent) => judgeAgent(assignment, agent, nowMs));
  const worst = order.find((health) => judged.some((each) => each.health === health));
  if (worst === undefined) return { health: "silent", reason: "has no agent: enrol one" };
  const those = judged.filter((each) => each.health === worst);
  const more = those.length > 1 ? ` (and ${those.length - 1} more)` : "";
  return { health: worst, reason: `${those[0]?.reason ?? ""}${worst === "healthy" ? "" : more}` };
}

function judgeAgent(assignment: AssignmentFacts, agent: AgentFacts, nowMs: number): Judged {
  const quietMs = nowMs - (agent.lastSeenMs ?? agent.createdMs);
  const who = `agent "${agent.name}"`;
  if (quietMs > silentAfterMs) {
    if (agent.leftMs !== undefined && hasLeft(agent, nowMs)) {
      const left = `${who} left ${ago(nowMs - agent.leftMs)} ago, and no other is there`;
      return { health: "silent", reason: `${left}: nobody watches this cluster` };
    }
    const since =
      agent.lastSeenMs === undefined ? "has never connected" : `was last heard of ${ago(quietMs)} ago`;
    // Silence has its cause then, and it does not pass by itself.
    const expired =
      nowMs >= agent.certificateExpiresMs ? ", and its certificate has expired: enrol it again" : "";
    return { health: "silent", reason: `${who} ${since}${expired}` };
  }
  // Half a life is a word to those who sign, and nothing that is wrong with a cluster.
  const condition = agent.conditions.find(({ code }) => !code.startsWith("trust/aging "));
  const failure = agent.components
    .map((each) => failureOf(assignment, each))
    .find((why) => why !== undefined);
  if (failure !== undefined) return { health: "degraded", reason: `${who} ${failure}` };
  if (condition !== undefined) {
    return {
      health: "degraded",
      reason: `${who} reports ${condition.code}: ${condition.message.slice(0, detailCharsMax)}`,
    };
  }
  if (agent.lastSeenMs === undefined) {
    return { health: "updating", reason: `${who} has enrolled and not connected yet` };
  }
  // A layer that is confined to other labels by now is not run, and nothing is wrong with that.
  const missing = (["rules", "shipper"] as const).find((kind) => {
    const running = agent.components.find((each) => each.kind === kind)?.running;
    return assignment[kind] !== undefined && running !== assignment[kind];
  });
  if (missing !== undefined) {
    return { health: "updating", reason: `${who} does not prove its assigned ${missing} yet` };
  }
  return healthy;
}

/** Why a component is not well: its last attempt at what is assigned now failed, and it does not run it. */
function failureOf(assignment: AssignmentFacts, component: ComponentFacts): string | undefined {
  const { kind, running, attempt } = component;
  const wanted = assignment[kind];
  if (attempt === undefined || attempt.digest !== wanted || running === wanted) return undefined;
  if (attempt.phase !== "rejected" && attempt.phase !== "rolled-back") return undefined;
  const verb = attempt.phase === "rejected" ? "rejected" : "rolled back from";
  const why = [attempt.reason, attempt.detail.slice(0, detailCharsMax)]
    .filter((text) => text !== "")
    .join(": ");
  return `${verb} its assigned ${kind}${why === "" ? "" : `: ${why}`}`;
}

function ago(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
