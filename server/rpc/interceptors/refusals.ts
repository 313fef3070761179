import { randomUUID } from "node:crypto";

import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "pino";

import { PatternsTooSlow } from "../../store/pattern-time.ts";
import { isDatabaseAway, isUnstorableText } from "../../store/pool.ts";
import { around } from "../iterators.ts";

/**
 * What leaves a method is a Connect error that was meant for the caller. Everything else is either the database being
 * away, which the caller may wait for, or a bug: its cause goes to the log, and only a reference goes out.
 */
export function refusals(log: Logger): Interceptor {
  return (next) => async (request) => {
    const translate = (error: unknown) => toWire(error, request.signal, request.method.name, log);
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: around(response.message, { value: same, failure: translate }) };
    } catch (error) {
      throw translate(error);
    }
  };
}

const same = <T>(message: T): T => message;

export function toWire(error: unknown, signal: AbortSignal, method: string, log: Logger): ConnectError {
  if (error instanceof ConnectError) return error;
  // The caller went away or ran out of time: whatever broke because of it is no bug.
  if (signal.aborted) return ConnectError.from(signal.reason, Code.Canceled);
  if (isDatabaseAway(error)) {
    log.warn({ err: error, method }, "database away");
    return new ConnectError("The database cannot be reached right now: try again", Code.Unavailable);
  }
  if (isUnstorableText(error)) {
    const why = "The request holds a character that cannot be stored, such as NUL: leave it out";
    return new ConnectError(why, Code.InvalidArgument);
  }
  // Nothing that passes: the same patterns take as long the next time.
  if (error instanceof PatternsTooSlow) return new ConnectError(error.message, Code.InvalidArgument);
  const reference = randomUUID();
  log.error({ err: error, method, reference }, "bug");
  return new ConnectError(
    `Internal error: the server's log has it under reference ${reference}`,
    Code.Internal,
  );
}
