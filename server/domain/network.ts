/** An IP network: addresses whose first `bits` bits are those of `base`. */
export interface Network {
  readonly family: 4 | 6;
  readonly base: bigint;
  readonly bits: number;
}

const widths = { 4: 32, 6: 128 } as const;

/** Reads ADDRESS/BITS. Undefined when it is none, and when the address has bits beyond the network's. */
export function parseNetwork(text: string): Network | undefined {
  const match = /^([0-9A-Fa-f:.]{2,45})\/(\d{1,3})$/.exec(text);
  const address = parseAddress(match?.[1] ?? "");
  const bits = Number(match?.[2]);
  if (address === undefined || !(bits <= widths[address.family])) return undefined;
  const host = (1n << BigInt(widths[address.family] - bits)) - 1n;
  return (address.value & host) === 0n ? { family: address.family, base: address.value, bits } : undefined;
}

/** Whether an address lies in a network. An IPv4 address counts as such in the form of IPv6 too. */
export function isInNetwork({ family, base, bits }: Network, text: string): boolean {
  const address = parseAddress(text);
  if (address?.family !== family) return false;
  const rest = BigInt(widths[family] - bits);
  return address.value >> rest === base >> rest;
}

/**
 * Who stands behind an address: an IPv4 address, also in its IPv6 form, or the /64 of an IPv6 address. What is no address stands
 * for itself.
 */
export function addressKey(text: string): string {
  const address = parseAddress(text);
  if (address === undefined) return text;
  if (address.family === 4) return groupsOf(address.value, 4, 8).join(".");
  const groups = groupsOf(address.value >> 64n, 4, 16).map((group) => group.toString(16));
  return `${groups.join(":")}::/64`;
}

/** The last `count` groups of so many bits, first group first. */
function groupsOf(value: bigint, count: number, bits: number): readonly number[] {
  return Array.from({ length: count }, (_, i) =>
    Number(BigInt.asUintN(bits, value >> BigInt((count - 1 - i) * bits))),
  );
}

function parseAddress(text: string): { readonly family: 4 | 6; readonly value: bigint } | undefined {
  // A link-local address comes with the name of its interface.
  const plain = text.replace(/%.*$/, "");
  if (!plain.includes(":")) {
    const value = parseV4(plain);
    return value === undefined ? undefined : { family: 4, value };
  }
  const value = parseV6(plain);
  if (value === undefined) return undefined;
  return value >> 32n === 0xffffn ? { family: 4, value: value & 0xffffffffn } : { family: 6, value };
}

function parseV4(text: string): bigint | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  const parts = text.split(".").map(Number);
  return parts.some((part) => part > 255)
    ? undefined
    : parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseV6(text: string): bigint | undefined {
  const last = /[^:]*$/.exec(text)?.[0] ?? "";
  const v4 = last.includes(".") ? parseV4(last) : undefined;
  if (last.includes(".") && v4 === undefined) return undefined;
  const tail = v4 === undefined ? last : `${(v4 >> 16n).toString(16)}:${(v4 & 0xffffn).toString(16)}`;
  const halves = `${text.slice(0, text.length - last.length)}${tail}`.split("::");
  if (halves.length > 2) return undefined;
  const [head = [], rest = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - head.length - rest.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => "0"), ...rest];
  if (groups.some((group) => !/^[0-9A-Fa-f]{1,4}$/.test(group))) return undefined;
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}
