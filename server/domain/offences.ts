interface Record {
  count: number;
  atMs: number;
}

/** Who broke the rules of the door, and how often of late. */
export interface Offences {
  /** Counts one more, and says how many times the plain price it costs: twice as much as the one before it, within bounds. */
  note(key: string, nowMs: number): number;
  readonly size: number;
}

/** What is forgotten of one offence. */
const calmMs = 60_000;
const doublingsMax = 7;

/**
 * One offence may be a bug, an attacker does it again. Each minute without one takes one off the count. Whoever was quiet longest is
 * forgotten first, so that memory is bounded whatever the keys are.
 */
export function createOffences(keysMax: number): Offences {
  const records = new Map<string, Record>();
  return {
    note(key, nowMs) {
      const { count = 0, atMs = nowMs } = records.get(key) ?? {};
      const left = Math.max(0, count - Math.floor(Math.max(0, nowMs - atMs) / calmMs));
      records.delete(key);
      records.set(key, { count: Math.min(left + 1, doublingsMax), atMs: nowMs });
      const [oldest] = records.keys();
      if (records.size > keysMax && oldest !== undefined) records.delete(oldest);
      return 2 ** left;
    },
    get size() {
      return records.size;
    },
  };
}
