import type { PodsSeen } from "./pods.ts";

/** A number that changes when one of a program's pods began anew, or is not there any more though its node is. */
export class Turns<T> {
  readonly #beganOf: (seen: T) => number;
  #began: ReadonlyMap<string, number> = new Map();
  #wanted = 0;
  #turns = 1;

  constructor(beganOf: (seen: T) => number) {
    this.#beganOf = beganOf;
  }

  take({ seen, wanted }: PodsSeen<T>): number {
    const now = new Map([...seen].map(([at, each]) => [at, this.#beganOf(each)]));
    const isAnew = [...now].some(([at, began]) => (this.#began.get(at) ?? began) !== began);
    // A node that joins has no pod yet, and one that leaves takes its own along: neither is a fall.
    if (isAnew || (now.size < this.#began.size && wanted >= this.#wanted)) this.#turns++;
    this.#began = now;
    this.#wanted = wanted;
    return this.#turns;
  }
}

/** The first of what there may be thousands of, for sentences. */
export function firstOf(texts: readonly string[]): string {
  const more = texts.length > 5 ? ` and ${texts.length - 5} more` : "";
  return `${texts.slice(0, 5).join("; ")}${more}`;
}
