/** Something that is wrong right now, since when. */
export interface Condition {
  readonly code: string;
  readonly message: string;
  readonly sinceMs: number;
}

/**
 * The agent's list of what is wrong. Raising the same again keeps its beginning; a new sentence replaces the old. One that
 * differs only in its numbers is no news: it goes with the next report that there is, and makes none.
 */
export interface Conditions {
  /** Whether that was news. */
  raise(code: string, message: string): boolean;
  clear(code: string): void;
  list(): readonly Condition[];
}

const conditionsMax = 32;
/** All conditions together stay well within a report. */
const messageBytesMax = 1_000;

export function createConditions(onChange: () => void): Conditions {
  const byCode = new Map<string, Condition>();
  return {
    raise(code, text) {
      const message = cut(text);
      const before = byCode.get(code);
      if (before === undefined && byCode.size >= conditionsMax) return false;
      byCode.set(code, { code, message, sinceMs: before?.sinceMs ?? Date.now() });
      const isNews = before === undefined || withoutNumbers(before.message) !== withoutNumbers(message);
      if (isNews) onChange();
      return isNews;
    },
    clear(code) {
      if (byCode.delete(code)) onChange();
    },
    list: () => [...byCode.values()],
  };
}

/** One condition at a time for what keeps somebody from working; undefined when nothing does. */
export function noteTrouble(conditions: Conditions) {
  let raised: string | undefined;
  return (trouble: Pick<Condition, "code" | "message"> | undefined): void => {
    if (raised !== undefined && raised !== trouble?.code) conditions.clear(raised);
    raised = trouble?.code;
    if (trouble !== undefined) conditions.raise(trouble.code, trouble.message);
  };
}

function withoutNumbers(message: string): string {
  return message.replaceAll(/\d+/g, "0");
}

function cut(text: string): string {
  if (Buffer.byteLength(text) <= messageBytesMax) return text;
  // A character that is cut in half decodes to one that says so.
  return Buffer.from(text)
    .subarray(0, messageBytesMax - 3)
    .toString();
}
