import type { DescMethod } from "@bufbuild/protobuf";
import { createContextKey, type Interceptor } from "@connectrpc/connect";
import { isRecorded, parseTraceparent, type Span, type Traceparent, type Traces } from "#traces";
import { callAttributes, followCall, methodOf } from "#traces/calls";

import type { Permission } from "../../domain/permission.ts";
import { createBuckets } from "../../domain/token-bucket.ts";
import { isAudited } from "../audit.ts";
import { callerKey } from "../caller.ts";

/** The span of a call; undefined when it has none. */
export const spanKey = createContextKey<Span | undefined>(undefined);

/** What one token may have recorded: a person's commands, and no flood. */
const recorded = { burst: 100, perSecond: 5 };
const tokensMax = 1_000;

/**
 * A span for each call of a person that says where it stands in a trace, and for each write that does not. The word of a
 * caller is taken only once it is known who calls, and only so often; agents have no say here. `permissions` are those of
 * all methods.
 */
export function traceCalls(traces: Traces, permissions: ReadonlyMap<DescMethod, Permission>): Interceptor {
  const buckets = createBuckets(tokensMax);
  return (next) => async (request) => {
    const caller = request.contextValues.get(callerKey);
    const operator = caller.ok && caller.value.kind === "operator" ? caller.value : undefined;
    const parent = parseTraceparent(request.header.get("traceparent") ?? "");
    if (operator === undefined || !isWanted(parent, permissions.get(request.method))) return next(request);
    if (buckets.take(operator.tokenId, recorded, performance.now()) > 0) {
      traces.limited();
      return next(request);
    }
    const attributes = { ...callAttributes(request), "falconry.caller.role": operator.role };
    const span = traces.begin(methodOf(request), { kind: "server", parent, attributes });
    request.contextValues.set(spanKey, span);
    return followCall(span, () => next(request));
  };
}

/** A caller that does not record its trace does not want ours in it. */
function isWanted(parent: Traceparent | undefined, permission: Permission | undefined): boolean {
  if (parent !== undefined) return isRecorded(parent);
  return permission !== undefined && isAudited(permission);
}
