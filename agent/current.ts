import { readFileSync } from "node:fs";
import writeFileAtomic from "write-file-atomic";
import { AgentError } from "./agent-error.ts";
import { kinds } from "./domain/apply-plan.ts";
import type { Assignment, Kind, Rejection } from "./domain/apply-plan.ts";
import type { Trials } from "./domain/trial.ts";
import { agentVersion } from "./version.ts";

/** What the agent tried last for a kind, or of a layer. */
export interface AttemptRecord {
  readonly sha256: string;
  /** The bundle that people released, where `sha256` is that of it with layers. */
  readonly base?: string;
  readonly generation: number;
  readonly phase: "received" | "verified" | "staged" | "applying" | "applied" | "rejected" | "rolled-back";
  readonly reason: string;
  readonly detail: string;
  /** What the pipeline said last before a failure, oldest line first. */
  readonly logTail?: string;
  readonly atMs: number;
}

/** What runs, proved by the pipeline. */
export interface RunningRecord {
  readonly sha256: string;
  readonly sinceMs: number;
}

/** One record per kind that runs. */
export type RunningSet = { readonly [K in Kind]?: RunningRecord };

/**
 * What the agent goes on with after a restart: last-known-good, the newest verified assignment (its generation is a
 * floor), and what was tried. One file, replaced as a whole, so that a kill at any point leaves the old or the new.
 */
export interface Current {
  readonly assignment: Assignment | undefined;
  /** Last-known-good: what has run through a soak. */
  readonly running: RunningSet;
  /** What runs or is tried, and is not last-known-good yet. */
  readonly trials: Trials;
  readonly attempts: { readonly [K in Kind]?: AttemptRecord };
  readonly rejections: { readonly [K in Kind]?: Rejection };
  /** What was tried last of each layer that a team owns, by the layer's name. */
  readonly layers?: Readonly<Record<string, AttemptRecord>>;
  readonly labels: Readonly<Record<string, string>>;
  /**
   * The labels that last-known-good was proved with. They differ from `labels` while what runs does not load with those:
   * labels are not signed, and must not keep an agent that starts from running what it ran.
   */
  readonly provedLabels?: Readonly<Record<string, string>>;
}

const empty: Current = {
  assignment: undefined,
  running: {},
  trials: {},
  attempts: {},
  rejections: {},
  labels: {},
};

/** The stored state with a setter that is durable before it returns. */
export interface CurrentStore {
  readonly get: () => Current;
  readonly set: (next: Current) => void;
}

export function openCurrent(path: string): CurrentStore {
  let current = read(path);
  return {
    get: () => current,
    set(next) {
      writeFileAtomic.sync(path, JSON.stringify(next), { mode: 0o600 });
      current = next;
    },
  };
}

function read(path: string): Current {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return empty;
    throw error;
  }
  try {
    const stored = { ...empty, ...(JSON.parse(text) as Partial<Current>) };
    return { ...stored, rejections: lasting(stored.rejections) };
  } catch (error) {
    // It is written atomically, so this is damage from outside. Going on would forget the generation floor.
    throw new AgentError(
      "state/damaged",
      `${path} cannot be read: ${(error as Error).message}. Restore it, or remove the state directory and enrol again`,
    );
  }
}

/**
 * A new start may bring another allow-list or engine, so what was refused is worth another try. What failed while it ran
 * is not, unless the agent is another one: it may have killed the process that starts again.
 */
function lasting(rejections: Current["rejections"]): Current["rejections"] {
  return Object.fromEntries(
    kinds.flatMap((kind) => {
      const rejection = rejections[kind];
      return rejection?.agentVersion === agentVersion ? [[kind, rejection] as const] : [];
    }),
  );
}
