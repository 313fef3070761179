/**
 * Connections on which nobody has proved who they are. Good clients prove themselves with their first call, so when there
 * are too many, the one that waits longest makes room: to push a good one out, a flood has to fill the whole book within
 * the time of one handshake, while a book that refuses when full is closed by whoever fills it once.
 */
export interface Newcomers {
  /** Takes one in; answers with those that have to leave for it. */
  arrive(key: string, address: string): readonly string[];
  /** It proved itself, or left. */
  leave(key: string): void;
  readonly size: number;
}

export function createNewcomers(max: number, perAddressMax: number): Newcomers {
  // Both keep the order of arrival.
  const all = new Map<string, string>();
  const byAddress = new Map<string, Set<string>>();
  function leave(key: string): void {
    const address = all.get(key);
    if (address === undefined) return;
    all.delete(key);
    const same = byAddress.get(address);
    same?.delete(key);
    if (same?.size === 0) byAddress.delete(address);
  }
  return {
    arrive(key, address) {
      const same = byAddress.get(address) ?? new Set();
      const [oldestOfAddress] = same;
      const [oldest] = all.keys();
      const gone = same.size >= perAddressMax ? oldestOfAddress : all.size >= max ? oldest : undefined;
      if (gone !== undefined) leave(gone);
      same.add(key);
      byAddress.set(address, same);
      all.set(key, address);
      return gone === undefined ? [] : [gone];
    },
    leave,
    get size() {
      return all.size;
    },
  };
}
