import type { MessageInitShape } from "@bufbuild/protobuf";

import type { SyncResponseSchema } from "#proto/agent/v1/agent";
import type { Envelope } from "#trust";

import type { Desired, DesiredBook } from "./desired.ts";

/** The candidate that an agent says it was offered last. */
export interface Held {
  /** Empty when it was never offered one. */
  readonly id: string;
  /** Whether it is at work on it. */
  readonly isAtWork: boolean;
}

/** Undefined for agents that take no such offers. */
export interface Holder {
  shadow: Held | undefined;
  backtest: Held | undefined;
}

type News = MessageInitShape<typeof SyncResponseSchema>;

/**
 * What to tell an agent about candidates beside what runs: another one than it holds, or that the one that it evaluates is
 * wanted no longer. What it was told counts as held until it speaks again.
 */
export async function shadowFor(
  book: Pick<DesiredBook, "shadowOrder">,
  holder: Holder,
  desired: Desired,
): Promise<Pick<News, "shadow">> {
  const wanted = desired.shadow?.rolloutId;
  const offer = await offerFor(holder.shadow, wanted, () => book.shadowOrder(desired));
  if (offer === undefined) return {};
  holder.shadow = offer.held;
  return { shadow: { rolloutId: offer.id, ...offer.order } };
}

/** The same of what it is to replay. */
export async function backtestFor(
  book: Pick<DesiredBook, "backtestOrder">,
  holder: Holder,
  desired: Desired,
): Promise<Pick<News, "backtest">> {
  const wanted = desired.backtest?.backtestId;
  const offer = await offerFor(holder.backtest, wanted, () => book.backtestOrder(desired));
  if (offer === undefined) return {};
  holder.backtest = offer.held;
  return { backtest: { backtestId: offer.id, ...offer.order } };
}

async function offerFor(
  held: Held | undefined,
  wanted: string | undefined,
  sign: () => Promise<Envelope | undefined>,
) {
  if (held === undefined) return undefined;
  if (wanted === undefined) {
    return held.isAtWork ? { id: "", held: { ...held, isAtWork: false }, order: {} } : undefined;
  }
  if (held.id === wanted) return undefined;
  const order = await sign();
  if (order === undefined) return undefined;
  return { id: wanted, held: { id: wanted, isAtWork: true }, order: { order: wireEnvelope(order) } };
}

export function wireEnvelope({ payloadType, payload, signatures }: Envelope) {
  return {
    payloadType,
    payload: new Uint8Array(payload),
    signatures: signatures.map(({ keyId, signature }) => ({ keyId, signature: new Uint8Array(signature) })),
  };
}
