import { accept, type Checked } from "./checked.ts";
import {
  type ClusterOrder,
  type OrderContext,
  type OrderKind,
  readOrder,
  signOrder,
  verifyOrder,
} from "./cluster-order.ts";
import type { Envelope } from "./envelope.ts";
import type { Signer } from "./keys.ts";
import type { Trusted } from "./trusted.ts";

export const shadowType = "application/vnd.falconry.shadow+json";

/**
 * A candidate that one cluster is to evaluate beside what it runs, until the order expires. Signed by the same role as
 * assignments, which only chooses among released bundles: so whoever can order a shadow could have ordered the bundle itself.
 */
export interface ShadowOrder extends ClusterOrder {
  /** Names the shadow. */
  readonly rolloutId: string;
}

export function signShadow(order: ShadowOrder, signer: Signer): Promise<Envelope> {
  return signOrder(shadows, order, { rolloutId: order.rolloutId }, signer);
}

/** Verifies that the assignment role signed this for this cluster, for now. */
export function verifyShadow(
  trusted: Trusted,
  envelope: Envelope,
  context: OrderContext,
): Checked<ShadowOrder> {
  return verifyOrder(trusted, envelope, context, shadows);
}

const shadows: OrderKind<ShadowOrder> = {
  type: shadowType,
  what: "shadow",
  idOf: ({ rolloutId }) => rolloutId,
  read: (payload) => {
    const read = readOrder(payload, "shadow", "rolloutId", []);
    if (!read.ok) return read;
    const { rest: _none, ...order } = read.value;
    return accept(order);
  },
};
