import type { SimIdentity } from "../../support/sim-agent.ts";

/** An identity as it is handed to the processes that play agents. */
export type StoredIdentity = Omit<SimIdentity, "root" | "instance"> & {
  /** Base64. */
  readonly root: string;
  readonly localAddress: string;
};

/** What the parent asks of them. */
export type Order =
  /** Connects every agent at a random moment of the window. */
  | { readonly what: "start"; readonly windowMs: number }
  | { readonly what: "look" }
  /** The first agent stops reading, and goes on. */
  | { readonly what: "stall" }
  | { readonly what: "goOn" }
  /** Opens as many streams to a server that does nothing, some at once, and echoes on them. */
  | { readonly what: "bare"; readonly baseUrl: string; readonly atOnce: number };

export interface Said {
  readonly connected?: number;
  readonly leastWindowMs?: number;
  readonly sessions?: number;
  readonly fetchesRepeated?: number;
  readonly ends?: Readonly<Record<string, number>>;
  readonly faults?: readonly string[];
  readonly faultCount?: number;
  readonly connectMs?: number;
}
