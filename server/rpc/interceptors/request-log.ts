import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "pino";
import { codeName } from "#traces/calls";

import { callerKey, type Caller } from "../caller.ts";
import { around } from "../iterators.ts";
import type { Outcome } from "../../domain/refusal.ts";

/** Where a finished call is counted. `code` is "ok" or the name of a Connect code. */
export type ObserveCall = (call: {
  readonly service: string;
  readonly method: string;
  readonly code: string;
  readonly seconds: number;
}) => void;

/** One line and one observation per call, when it has ended; a stream ends when its last message is out. */
export function requestLog(log: Logger, observe: ObserveCall): Interceptor {
  return (next) => async (request) => {
    const startedAt = performance.now();
    const done = (error?: unknown) => {
      const code = error === undefined ? "ok" : codeName(error);
      const seconds = (performance.now() - startedAt) / 1000;
      observe({ service: request.service.typeName, method: request.method.name, code, seconds });
      const line = {
        rpc: `${request.service.typeName}/${request.method.name}`,
        code,
        ms: Math.round(seconds * 1000),
        caller: callerName(request.contextValues.get(callerKey)),
        ...(error instanceof ConnectError ? { refusal: error.rawMessage } : {}),
      };
      // Reads of thousands of agents would drown the rest: refusals and writes by people are what one looks for.
      if (error === undefined) log.debug(line, "call");
      else log.info(line, "call refused");
    };
    try {
      const response = await next(request);
      if (!response.stream) {
        done();
        return response;
      }
      return { ...response, message: watched(response.message, done) };
    } catch (error) {
      done(error);
      throw error;
    }
  };
}

/** Calls `done` once, when the messages have ended, failed, or are wanted no longer. */
function watched<T>(messages: AsyncIterable<T>, done: (error?: unknown) => void): AsyncIterable<T> {
  let isOver = false;
  const finish = (error?: unknown) => {
    if (!isOver) done(error);
    isOver = true;
  };
  return around(messages, {
    value: (message) => message,
    end: finish,
    left: () => finish(new ConnectError("The caller went away", Code.Canceled)),
    failure: (error) => {
      finish(error);
      return error;
    },
  });
}

function callerName(caller: Outcome<Caller>): string {
  if (!caller.ok) return "nobody";
  return caller.value.kind === "agent" ? caller.value.agentId : caller.value.tokenId;
}
