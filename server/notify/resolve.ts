import { lookup } from "node:dns/promises";
import { isIP } from "node:net";

import { judgeAddress } from "../domain/notify/destination.ts";
import type { Network } from "../domain/network.ts";

/** Where a server may send what it tells people. */
export interface Reach {
  /** Private and local networks that the operator of the server opened; nothing else inside is connected to. */
  readonly opened: readonly Network[];
  /** CAs to trust beside the usual ones, PEM. */
  readonly ca: readonly string[];
  /** How names become addresses; the system's way unless a test says otherwise. */
  readonly lookup?: (host: string) => Promise<readonly string[]>;
  /** For a connection and its answer; milliseconds. */
  readonly timeoutMs?: number;
}

export const timeoutMsUsual = 15_000;

/** The one address to connect to; resolved once, so that a name cannot mean another address between check and use. */
export type Resolved =
  | { readonly ok: true; readonly address: string; readonly isOpened: boolean }
  | { readonly ok: false; readonly why: string; readonly mayRetry: boolean };

/** Resolves a host. One closed address among several refuses all of them: whoever owns the name chose it. */
export async function resolve(host: string, reach: Reach): Promise<Resolved> {
  const addresses = await addressesOf(host, reach);
  if (typeof addresses === "string") return { ok: false, why: addresses, mayRetry: true };
  const verdicts = addresses.map((address) => ({ address, ...judgeAddress(address, reach.opened) }));
  const closed = verdicts.find(({ isAllowed }) => !isAllowed);
  if (closed !== undefined) return { ok: false, why: `${host}: ${closed.why}`, mayRetry: false };
  const [first] = verdicts;
  if (first === undefined) return { ok: false, why: `${host} has no address`, mayRetry: true };
  return { ok: true, address: first.address, isOpened: verdicts.every(({ isOpened }) => isOpened) };
}

async function addressesOf(host: string, { lookup: own }: Reach): Promise<readonly string[] | string> {
  if (isIP(host) !== 0) return [host];
  try {
    if (own !== undefined) return await own(host);
    return (await lookup(host, { all: true, verbatim: false })).map(({ address }) => address);
  } catch (error) {
    return `${host} cannot be resolved: ${error instanceof Error ? error.message : String(error)}`;
  }
}
