import { constants } from "node:http2";
import { performance } from "node:perf_hooks";

import type { Connection } from "./connections.ts";
import type { HttpLimits } from "./limits.ts";
import type { Request, Response } from "./rpc/adapter.ts";

/** Why a request was cut although its connection stays. */
export type ExchangeCut = "body-late" | "response-not-taken";

interface Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly connection: Connection | undefined;
  readonly isOpenEnded: boolean;
  readonly startedAtMs: number;
  waiting: number;
  written: number;
  movedAtMs: number;
}

/** The requests in work. One clock looks at all of them, because a timer for each would cost more than it saves. */
export interface Exchanges {
  begin(request: Request, response: Response, connection: Connection | undefined, isOpenEnded: boolean): void;
  /** To be called about once a second. */
  sweep(): void;
  readonly size: number;
}

/**
 * Ends requests whose body does not arrive and responses that nobody takes: a reader that closes its window would hold
 * what was written for it for ever.
 */
export function createExchanges(
  limits: HttpLimits,
  onCut: (cut: ExchangeCut) => void,
  now: () => number = () => performance.now(),
): Exchanges {
  const open = new Set<Exchange>();

  function end(exchange: Exchange, why: ExchangeCut): void {
    open.delete(exchange);
    onCut(why);
    cutRequest(exchange.request);
  }

  return {
    begin(request, response, connection, isOpenEnded) {
      const finish = connection?.begin();
      const startedAtMs = now();
      const moved = { waiting: 0, written: 0, movedAtMs: startedAtMs };
      const exchange: Exchange = { request, response, connection, isOpenEnded, startedAtMs, ...moved };
      open.add(exchange);
      response.once("close", () => {
        open.delete(exchange);
        finish?.();
      });
    },
    sweep() {
      const at = now();
      for (const exchange of open) {
        const isBodyDue = !exchange.isOpenEnded && !exchange.request.complete;
        if (isBodyDue && at - exchange.startedAtMs > limits.requestMs) end(exchange, "body-late");
        else if (!isMoving(exchange, at, limits)) end(exchange, "response-not-taken");
      }
    },
    get size() {
      return open.size;
    },
  };
}

/** Whether the reader takes what is written for it, at no less than the least rate; true when there is nothing to take. */
function isMoving(exchange: Exchange, nowMs: number, limits: HttpLimits): boolean {
  const waiting = exchange.response.writableLength;
  // Nearly all of them, at each look: agents' streams on which nothing is said.
  if (waiting === 0) {
    exchange.waiting = 0;
    return true;
  }
  const written = exchange.connection?.bytesWritten() ?? 0;
  const least = (limits.readBytesPerSecondMin * (nowMs - exchange.movedAtMs)) / 1000;
  if (waiting !== exchange.waiting || written - exchange.written >= Math.max(1, least)) {
    Object.assign(exchange, { waiting, written, movedAtMs: nowMs });
    return true;
  }
  return nowMs - exchange.movedAtMs < limits.stallMs;
}

/** Ends a call below everything that waits for the other end to read. */
export function cutRequest(request: Request): void {
  if ("stream" in request) request.stream.close(constants.NGHTTP2_CANCEL);
  else request.socket.destroy();
}
