import { accept, refuse, type Checked } from "./checked.ts";
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
import { formatTime, parseTime } from "./time.ts";
import type { Trusted } from "./trusted.ts";

export const backtestType = "application/vnd.falconry.backtest+json";

/**
 * A candidate that one cluster is to replay its last events over. Signed by the same role as assignments and shadows: whoever
 * can order it could have ordered the bundle itself, and the answer is counts and samples as a shadow's are.
 */
export interface BacktestOrder extends ClusterOrder {
  readonly backtestId: string;
  /** The events of this time: from the first whole second to before the second. */
  readonly since: Date;
  readonly until: Date;
}

/** No order keeps an agent at work for longer, however it is signed. */
export const backtestLifeMsMax = 24 * 3_600_000;

export function signBacktest(order: BacktestOrder, signer: Signer): Promise<Envelope> {
  const { backtestId, since, until } = order;
  return signOrder(
    backtests,
    order,
    { backtestId, since: formatTime(since), until: formatTime(until) },
    signer,
  );
}

/** Verifies that the assignment role signed this for this cluster, for now. */
export function verifyBacktest(
  trusted: Trusted,
  envelope: Envelope,
  context: OrderContext,
): Checked<BacktestOrder> {
  return verifyOrder(trusted, envelope, context, backtests);
}

const backtests: OrderKind<BacktestOrder> = {
  type: backtestType,
  what: "backtest",
  idOf: ({ backtestId }) => backtestId,
  read: (payload) => {
    const read = readOrder(payload, "backtest", "backtestId", ["since", "until"]);
    if (!read.ok) return read;
    const { rest, ...order } = read.value;
    const since = parseTime(rest["since"]);
    const until = parseTime(rest["until"]);
    if (since === undefined || until === undefined || since >= until) {
      return refuse("trust/malformed", "backtest has no since that is before its until");
    }
    if (order.expires.getTime() - order.notBefore.getTime() > backtestLifeMsMax) {
      return refuse("trust/malformed", "backtest is to last longer than a day");
    }
    return accept({ ...order, since, until });
  },
};
