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

/** Who stands behind an address: an IPv4 address, also in its IPv6 form, or the /64 of an IPv6 address. */
export function addressKey(address: string): string {
  const plain = address.split("%", 1)[0] ?? "";
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1];
  if (mapped !== undefined || !plain.includes(":")) return mapped ?? plain;
  const [head = "", tail] = plain.toLowerCase().split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros: string[] =
    tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0");
  const network = [...left, ...zeros, ...right].slice(0, 4).map((group) => group.replace(/^0+(?=.)/, ""));
  return `${network.join(":")}::/64`;
}
