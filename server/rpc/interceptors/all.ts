import type { DescMethod } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { Traces } from "#traces";

import type { Permission } from "../../domain/permission.ts";
import { auditRefusals, type WriteRefusal } from "./audit-refusals.ts";
import { refusals } from "./refusals.ts";
import { requestLog, type ObserveCall } from "./request-log.ts";
import { standing } from "./standing.ts";
import { traceCalls } from "./trace-calls.ts";

export interface InterceptorOptions {
  readonly log: Logger;
  readonly traces: Traces;
  readonly writeRefusal: WriteRefusal;
  readonly metrics: { readonly observeCall: ObserveCall };
}

/** What every call goes through once the gate has let it in, outermost first. */
export function interceptorsOf(
  { log, traces, writeRefusal, metrics }: InterceptorOptions,
  permissions: ReadonlyMap<DescMethod, Permission>,
): Interceptor[] {
  return [
    ...(traces.isOn ? [traceCalls(traces, permissions)] : []),
    requestLog(log, metrics.observeCall),
    auditRefusals(writeRefusal, permissions),
    refusals(log),
    standing,
  ];
}
