/** Dice that fall the same way for the same seed, so that a generated log can be made again. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A whole number in [0, bound). */
  below(bound: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  hex(length: number): string;
  /** A version 4 UUID. 122 of its bits come from the dice, so that two of them do not meet. */
  uuid(): string;
}

/** The same seed text always gives the same sequence. */
export function createRandom(seed: string): Random {
  const word = words(seed);
  const next = (): number => word() / 4294967296;
  const below = (bound: number): number => Math.floor(next() * bound);
  const hex = (length: number): string => {
    let text = "";
    while (text.length < length) text += word().toString(16).padStart(8, "0");
    return text.slice(0, length);
  };
  return {
    next,
    below,
    hex,
    chance: (probability) => next() < probability,
    pick: (items) => {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error("Nothing to pick from: the list is empty");
      return item;
    },
    uuid: () => {
      const raw = hex(32);
      const variant = "89ab"[Number.parseInt(raw.slice(16, 17), 16) & 3];
      return `${raw.slice(0, 8)}-${raw.slice(8, 12)}-4${raw.slice(13, 16)}-${variant}${raw.slice(17, 20)}-${raw.slice(20)}`;
    },
  };
}

/** The sfc32 generator: 128 bits of state, far more than any log has events. */
function words(seed: string): () => number {
  let [a, b, c, counter] = stateOf(seed);
  return () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
}

function stateOf(seed: string): [number, number, number, number] {
  const lane = (salt: number): number => {
    let hash = 0x811c9dc5 ^ salt;
    for (let i = 0; i < seed.length; i++) {
      hash = Math.imul(hash ^ seed.charCodeAt(i), 0x01000193);
      hash ^= hash >>> 15;
    }
    return Math.imul(hash ^ (hash >>> 13), 0x5bd1e995) | 0;
  };
  return [lane(0x1b873593), lane(0x2545f491), lane(0x6c078965), lane(0x9e3779b9) | 1];
}
