import { readFileSync } from "node:fs";
import writeFileAtomic from "write-file-atomic";
import type { Decided, Decision } from "../domain/response.ts";
import { AgentError } from "../agent-error.ts";

/** What the fleet is told of a decision. `begun`: it is not known yet how it ended. */
export interface Entry {
  readonly decision: Decision;
  readonly decidedMs: number;
  readonly outcome: "begun" | "done" | "skipped" | "failed" | "unknown" | "dry-run" | "denied" | "dropped";
  readonly why: string;
}

/** What was decided, and what of it the server does not know yet. One file, replaced as a whole. */
export interface Book {
  readonly ledger: readonly Decided[];
  /** Oldest first. */
  readonly outbox: readonly Entry[];
  /** Entries that had to go before the server took them. */
  readonly lost: number;
}

export interface BookStore {
  readonly get: () => Book;
  /** Durable before it returns. */
  readonly set: (next: Book) => void;
}

/** A day of a server that is away, at the rate that a node may tell. */
export const outboxMax = 2_000;
const empty: Book = { ledger: [], outbox: [], lost: 0 };

/** Opens the book. What an agent that died had begun is not done again: nobody knows how far it came. */
export function openBook(path: string): BookStore {
  let book = settled(read(path));
  return {
    get: () => book,
    set(next) {
      const over = Math.max(0, next.outbox.length - outboxMax);
      const kept = { ...next, outbox: next.outbox.slice(over), lost: next.lost + over };
      // The disk first: what is not there did not happen, and memory must not say otherwise.
      writeFileAtomic.sync(path, JSON.stringify(kept), { mode: 0o600 });
      book = kept;
    },
  };
}

function settled(book: Book): Book {
  const why = "the agent ended before it was known whether it was done";
  const outbox = book.outbox.map((entry) =>
    entry.outcome === "begun" ? { ...entry, outcome: "unknown" as const, why } : entry,
  );
  return { ...book, outbox };
}

function read(path: string): Book {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return empty;
    throw error;
  }
  try {
    return { ...empty, ...(JSON.parse(text) as Partial<Book>) };
  } catch (error) {
    // Going on would forget what was decided, and act on it again.
    const why = (error as Error).message;
    throw new AgentError("state/damaged", `${path} cannot be read: ${why}. Restore it, or remove it`);
  }
}
