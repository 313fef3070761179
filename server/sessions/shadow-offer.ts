import type { MessageInitShape } from "@bufbuild/protobuf";

import type { SyncResponseSchema } from "#proto/agent/v1/agent";

import type { Desired, DesiredBook } from "./desired.ts";

/** The candidate that an agent says it was offered last. */
export interface HeldShadow {
  /** Empty when it was never offered one. */
  readonly rolloutId: string;
  readonly isEvaluating: boolean;
}

interface Holder {
  shadow: HeldShadow | undefined;
}

/**
 * What to tell an agent about candidates: another one than it holds, or that the one that it evaluates is wanted no
 * longer. What it was told counts as held until it speaks again.
 */
export async function shadowFor(
  book: Pick<DesiredBook, "shadowOrder">,
  holder: Holder,
  desired: Desired,
): Promise<Pick<MessageInitShape<typeof SyncResponseSchema>, "shadow">> {
  const held = holder.shadow;
  if (held === undefined) return {};
  if (desired.shadow === null) {
    if (!held.isEvaluating) return {};
    holder.shadow = { ...held, isEvaluating: false };
    return { shadow: { rolloutId: "" } };
  }
  const { rolloutId } = desired.shadow;
  if (held.rolloutId === rolloutId) return {};
  const order = await book.shadowOrder(desired);
  if (order === undefined) return {};
  holder.shadow = { rolloutId, isEvaluating: true };
  const { payloadType, payload } = order;
  const signatures = order.signatures.map(({ keyId, signature }) => ({
    keyId,
    signature: Uint8Array.from(signature),
  }));
  return { shadow: { rolloutId, order: { payloadType, payload: Uint8Array.from(payload), signatures } } };
}
