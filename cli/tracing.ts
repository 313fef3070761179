import { AsyncLocalStorage } from "node:async_hooks";
import type { Interceptor } from "@connectrpc/connect";
import type { Span, Traces } from "#traces";

/** The trace of a command. */
export interface Tracing {
  readonly traces: Traces;
  readonly command: Span;
}

/** That of the command that runs here; none while traces are off. */
export const tracing: AsyncLocalStorage<Tracing> = new AsyncLocalStorage<Tracing>();

/** A span for each call of a command, and word to the server of where it stands; nothing where no command is traced. */
export function traceCalls(server: string): readonly Interceptor[] {
  const now = tracing.getStore();
  if (now === undefined) return [];
  const { hostname, port } = new URL(server);
  const where = { "server.address": hostname, "server.port": port === "" ? 443 : Number(port) };
  return [
    (next) => async (request) => {
      const { callAttributes, followCall, methodOf } = await import("#traces/calls");
      const span = now.traces.begin(methodOf(request), {
        kind: "client",
        parent: now.command.context,
        attributes: { ...callAttributes(request), ...where },
      });
      if (span.context !== undefined) request.header.set("traceparent", span.context);
      return followCall(span, () => next(request));
    },
  ];
}
