/** An address as its bytes, four or sixteen. */
type Address = readonly number[];

/** Reads an IPv4 or IPv6 address; undefined when the text is none. */
export function parseAddress(text: string): Address | undefined {
  if (text.length > 45) return undefined;
  return text.includes(":") ? parseV6(text) : parseV4(text);
}

function parseV4(text: string): Address | undefined {
  const parts = text.split(".");
  const isAddress =
    parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  return isAddress ? parts.map(Number) : undefined;
}

function parseV6(text: string): Address | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map(groupBytes);
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 16 ? head : undefined;
  if (tail === undefined || head.length + tail.length > 14) return undefined;
  return [...head, ...Array.from({ length: 16 - head.length - tail.length }, () => 0), ...tail];
}

/** The bytes of groups between colons; the last may be an IPv4 address. */
function groupBytes(text: string): Address | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [i, group] of groups.entries()) {
    if (i === groups.length - 1 && group.includes(".")) {
      const last = parseV4(group);
      if (last === undefined) return undefined;
      bytes.push(...last);
      continue;
    }
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
    const value = Number.parseInt(group, 16);
    bytes.push(value >> 8, value & 255);
  }
  return bytes;
}

interface Network {
  readonly address: Address;
  readonly bits: number;
}

function parseNetwork(text: string): Network | undefined {
  const slash = text.indexOf("/");
  const address = slash < 0 ? undefined : parseAddress(text.slice(0, slash));
  if (address === undefined) return undefined;
  const bits = text.slice(slash + 1);
  const isLength = /^\d{1,3}$/.test(bits) && Number(bits) <= address.length * 8;
  return isLength ? { address, bits: Number(bits) } : undefined;
}

function contains({ address, bits }: Network, value: Address): boolean {
  if (address.length !== value.length) return false;
  for (let i = 0; i * 8 < bits; i++) {
    const mask = bits - i * 8 >= 8 ? 255 : (0xff << (8 - (bits - i * 8))) & 255;
    if (((address[i] ?? 0) & mask) !== ((value[i] ?? 0) & mask)) return false;
  }
  return true;
}

/** What is wrong with a literal that a field of addresses or networks is compared with. */
export function addressProblem(type: "IPADDR" | "IPNET", literal: string): string | undefined {
  if (type === "IPNET") {
    return parseNetwork(literal) === undefined ? `unrecognized IP network ${literal}` : undefined;
  }
  // Falco takes anything with a point for IPv4.
  const isV4 = literal.includes(".");
  if (parseAddress(literal) !== undefined && !(isV4 && literal.includes(":"))) return undefined;
  return `unrecognized ${isV4 ? "IPv4" : "IPv6"} address ${literal}`;
}

/** The test of an address, given as text, against literals that have been checked. */
export function addressTest(
  type: "IPADDR" | "IPNET",
  operator: string,
  literals: readonly string[],
): (value: unknown) => boolean {
  const networks = literals.flatMap((literal) => {
    if (type === "IPNET") return parseNetwork(literal) ?? [];
    const address = parseAddress(literal);
    return address === undefined ? [] : { address, bits: address.length * 8 };
  });
  const isMember = (value: unknown): boolean => {
    const address = parseAddress(String(value));
    return address !== undefined && networks.some((network) => contains(network, address));
  };
  return operator === "!=" ? (value) => !isMember(value) : isMember;
}
