/** The processes that spoke for an agent, as far as the server knows. */
export interface KnownInstances {
  /** The one that spoke last; empty before the first. */
  readonly instanceId: string;
  /** Those before it, newest first. */
  readonly earlier: readonly string[];
  /** How often the agent was started, by its own word; it never falls. */
  readonly starts: bigint;
  /** Whether the last session is going on as far as is known. */
  readonly isLive: boolean;
}

/** What a process says of itself when it begins a session. */
export interface SaidInstance {
  readonly instanceId: string;
  readonly starts: bigint;
}

/** Something about who speaks for an agent, or how often they begin to, that should not be. */
export interface Suspicion {
  readonly code:
    | "identity/copied"
    | "identity/two-processes"
    | "identity/went-back"
    // The other codes say who spoke, this one that nobody speaks for long.
    | "session/flapping";
  readonly message: string;
  /** When it began (RFC 3339), where that is not now. */
  readonly since?: string;
}

export interface JudgedInstance {
  /** False when it may not speak. */
  readonly isAdmitted: boolean;
  readonly suspicion?: Suspicion;
  /** What is known after it was admitted. */
  readonly known: Omit<KnownInstances, "isLive">;
}

const earlierKept = 8;

/**
 * Judges a process that wants to speak for an agent. Each start of an agent has a number that its disk counts up, and a
 * random name; so a restart brings a new name with a higher number, and a reconnect the same name.
 *
 * A name that comes back after another one spoke means that both run. A number that was seen before with a new name means
 * that the disk is a copy, or was put back; while the process that had the number speaks it is a copy for sure, and is
 * refused. In the other cases nobody can tell which of the two is the agent: the newest speaks, and people are told.
 */
export function judgeInstance(known: KnownInstances, said: SaidInstance): JudgedInstance {
  const { instanceId, starts } = said;
  const kept = { instanceId: known.instanceId, earlier: known.earlier, starts: known.starts };
  const next = {
    instanceId,
    starts: starts > known.starts ? starts : known.starts,
    earlier: [known.instanceId, ...known.earlier.filter((id) => id !== instanceId)]
      .filter((id) => id !== "" && id !== instanceId)
      .slice(0, earlierKept),
  };
  const isFirst = known.instanceId === "" && known.starts === 0n;
  if (isFirst || instanceId === known.instanceId) return { isAdmitted: true, known: next };
  if (known.earlier.includes(instanceId)) {
    return { isAdmitted: true, known: next, suspicion: twoProcesses };
  }
  if (starts > known.starts) return { isAdmitted: true, known: next };
  const numbers = `it was started ${starts} times by its own count, and ${known.starts} times were seen`;
  if (known.isLive) return { isAdmitted: false, known: kept, suspicion: copied(numbers) };
  return { isAdmitted: true, known: next, suspicion: wentBack(numbers) };
}

const twoProcesses: Suspicion = {
  code: "identity/two-processes",
  message:
    "Two processes use the identity of this agent and take over from each other: stop the one that should not be; if you do not know it, revoke the agent and enrol it anew",
};

function copied(numbers: string): Suspicion {
  const message = `A copy of this agent's state directory was started while the agent runs, and was refused: ${numbers}. Find it; if you do not know it, revoke the agent and enrol it anew`;
  return { code: "identity/copied", message };
}

function wentBack(numbers: string): Suspicion {
  const message = `The state directory of this agent is a copy or was put back to an earlier state: ${numbers}. If nobody did that, revoke the agent and enrol it anew`;
  return { code: "identity/went-back", message };
}

/** What is shown of an agent: each suspicion once, since when (RFC 3339), and when it was seen last. */
export interface NotedSuspicion {
  readonly code: string;
  readonly message: string;
  readonly since: string;
  readonly atMs: number;
}

/** A suspicion is shown for so long after it was seen last; enrolling again ends it at once. */
export const suspicionKeptMs: number = 24 * 3_600_000;
/** An agent that is steady again has nothing to be looked into. */
export const flappingKeptMs: number = 10 * 60_000;
/** Seen again within so long it is not noted again. */
const notedAgainMs = 10_000;

/** The suspicions that still count. */
export function freshSuspicions<S extends NotedSuspicion>(noted: readonly S[], nowMs: number): readonly S[] {
  const keptMs = (code: string) => (code === "session/flapping" ? flappingKeptMs : suspicionKeptMs);
  return noted.filter(({ code, atMs }) => nowMs - atMs <= keptMs(code));
}

/** Notes a suspicion beside those that still count; undefined when that would change nothing worth a write. */
export function noteSuspicion(
  noted: readonly NotedSuspicion[],
  { code, message, since }: Suspicion,
  now: { readonly text: string; readonly ms: number },
): readonly NotedSuspicion[] | undefined {
  const fresh = freshSuspicions(noted, now.ms);
  const before = fresh.find((each) => each.code === code);
  if (before !== undefined && now.ms - before.atMs < notedAgainMs) return undefined;
  const others = fresh.filter((each) => each.code !== code);
  return [...others, { code, message, since: before?.since ?? since ?? now.text, atMs: now.ms }];
}
