/** Something that is wrong right now, since when. */
export interface Condition {
  readonly code: string;
  readonly message: string;
  readonly sinceMs: number;
}

/** The agent's list of what is wrong. Raising the same again keeps its beginning; a new sentence replaces the old. */
export interface Conditions {
  raise(code: string, message: string): void;
  clear(code: string): void;
  list(): readonly Condition[];
}

const conditionsMax = 32;
const messageCharsMax = 1_000;

export function createConditions(onChange: () => void): Conditions {
  const byCode = new Map<string, Condition>();
  return {
    raise(code, text) {
      const message = text.slice(0, messageCharsMax);
      const before = byCode.get(code);
      if (before?.message === message || (before === undefined && byCode.size >= conditionsMax)) return;
      byCode.set(code, { code, message, sinceMs: before?.sinceMs ?? Date.now() });
      onChange();
    },
    clear(code) {
      if (byCode.delete(code)) onChange();
    },
    list: () => [...byCode.values()],
  };
}
