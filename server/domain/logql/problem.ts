/** What is wrong with a query, and where. Thrown inside this folder alone; its doors give it out as a value. */
export class Problem extends Error {
  /** Where in the text of the query; undefined when it is about all of it. */
  readonly at: number | undefined;

  constructor(message: string, at?: number) {
    super(message);
    this.at = at;
  }
}

export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: string };

/** Gives what a function gives, or the sentence of the problem that it met, with the place in Loki's words. */
export function checked<T>(text: string, make: () => T): Checked<T> {
  try {
    return { ok: true, value: make() };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.at === undefined) return { ok: false, why: error.message };
    const before = text.slice(0, error.at).split("\n");
    const column = (before.at(-1)?.length ?? 0) + 1;
    return { ok: false, why: `parse error at line ${before.length}, col ${column}: ${error.message}` };
  }
}
