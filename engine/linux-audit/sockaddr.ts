import { hexBytes } from "./record.ts";
import { decodeUtf8 } from "../utf8.ts";

/** Where a socket points. */
export type SocketAddress =
  | {
      readonly family: "ipv4" | "ipv6";
      readonly ip: string;
      readonly port: number;
      readonly isMapped: boolean;
    }
  | { readonly family: "unix"; readonly path: string };

/** Decodes the `saddr` of a SOCKADDR record: a `struct sockaddr` of a little-endian machine in hexadecimal. */
export function parseSocketAddress(saddr: string): SocketAddress | undefined {
  const bytes = saddr.length > 512 ? undefined : hexBytes(saddr);
  if (bytes === undefined || bytes.length < 2) return undefined;
  const at = (i: number): number => bytes[i] ?? 0;
  const family = at(0) | (at(1) << 8);
  const port = (at(2) << 8) | at(3);
  switch (family) {
    case 1: {
      const path = decodeUtf8(bytes.slice(2));
      const end = path.indexOf("\0", path.startsWith("\0") ? 1 : 0);
      const name = end < 0 ? path : path.slice(0, end);
      // A name without a file begins with a zero byte, which people write as @.
      return { family: "unix", path: name.startsWith("\0") ? `@${name.slice(1)}` : name };
    }
    case 2:
      if (bytes.length < 8) return undefined;
      return { family: "ipv4", ip: bytes.slice(4, 8).join("."), port, isMapped: false };
    case 10: {
      if (bytes.length < 24) return undefined;
      const address = bytes.slice(8, 24);
      // An IPv4 address behind an IPv6 socket is what it leads to, as Falco has it.
      if (isMapped(address)) return { family: "ipv4", ip: address.slice(12).join("."), port, isMapped: true };
      return { family: "ipv6", ip: ipv6Text(address), port, isMapped: false };
    }
    default:
      return undefined;
  }
}

const isMapped = (bytes: readonly number[]): boolean =>
  bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;

/** Sixteen bytes as RFC 5952 writes them: lower case, the longest run of zeros left out, and an IPv4 address at the end as such. */
export function ipv6Text(bytes: readonly number[]): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const words = groups.map((group) => group.toString(16));
  if (best.length < 2) return words.join(":");
  if (best.start === 0 && best.length === 6) return `::${bytes.slice(12).join(".")}`;
  return `${words.slice(0, best.start).join(":")}::${words.slice(best.start + best.length).join(":")}`;
}
