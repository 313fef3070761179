/** What to do with the first message that a server did not acknowledge before the connection broke. */
export type Verdict = "again" | "smaller" | "last" | "refused";

/** So often the same message meets a break before it is suspected. */
const breaksOfMany = 2;
const breaksOfOne = 3;

/**
 * Tells a record that a server does not take from a server that takes nothing. The protocol has no word for "no": servers
 * close the connection. A message that meets that again and again is made smaller, down to one record; that one goes behind
 * all others, and is refused when the server has acknowledged others since and closes the connection on it once more.
 */
export class Suspects {
  readonly #breaks = new Map<string, number>();
  /** How many messages had been acknowledged when a record was put behind the others. */
  readonly #movedAt = new Map<string, number>();
  #acks = 0;

  acknowledged(chunk: string): void {
    this.#acks++;
    this.#breaks.delete(chunk);
    this.#movedAt.delete(chunk);
  }

  /** Notes that a message, named by its chunk, of so many records met a break. */
  broke(chunk: string, count: number): Verdict {
    const breaks = (this.#breaks.get(chunk) ?? 0) + 1;
    this.#breaks.set(chunk, breaks);
    if (count > 1) return breaks < breaksOfMany ? "again" : "smaller";
    if (breaks < breaksOfOne) return "again";
    const movedAt = this.#movedAt.get(chunk);
    if (movedAt !== undefined && movedAt < this.#acks) return "refused";
    this.#movedAt.set(chunk, this.#acks);
    return "last";
  }

  /** So often a message met a break. */
  breaksOf(chunk: string): number {
    return this.#breaks.get(chunk) ?? 0;
  }
}
