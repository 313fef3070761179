import { isInNetwork, parseNetwork, type Network } from "../network.ts";

/** Why a server may not connect to an address by itself: what is there answers only to those inside. */
const closed: readonly (readonly [words: string, networks: readonly Network[]])[] = [
  ["of this machine", networks("127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128")],
  [
    "link-local, where clouds keep credentials",
    networks("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32"),
  ],
  [
    "private",
    networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"),
  ],
  // An address inside another is judged by nobody here.
  ["a way to other addresses", networks("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")],
  [
    "not one of a host",
    networks(
      "192.0.0.0/24",
      "198.18.0.0/15",
      "192.0.2.0/24",
      "198.51.100.0/24",
      "203.0.113.0/24",
      "224.0.0.0/3",
      "ff00::/8",
      "2001:db8::/32",
    ),
  ],
];

function networks(...texts: readonly string[]): readonly Network[] {
  return texts.map((text) => {
    const network = parseNetwork(text);
    if (network === undefined) throw new RangeError(`${text} is no network`);
    return network;
  });
}

/** Whether a server may connect to an address that somebody named. */
export interface AddressVerdict {
  readonly isAllowed: boolean;
  /** It lies in a network that the operator of the server opened: plain text may go there. */
  readonly isOpened: boolean;
  readonly why: string;
}

/** Judges the address that a name resolved to. `opened` are the networks that the operator of the server opened. */
export function judgeAddress(address: string, opened: readonly Network[]): AddressVerdict {
  if (opened.some((network) => isInNetwork(network, address))) {
    return { isAllowed: true, isOpened: true, why: "" };
  }
  const [words] = closed.find(([, nets]) => nets.some((network) => isInNetwork(network, address))) ?? [];
  if (words === undefined) return { isAllowed: true, isOpened: false, why: "" };
  const why = `the address ${address} is ${words}: FALCONRY_NOTIFY_NETWORKS does not open it`;
  return { isAllowed: false, isOpened: false, why };
}
