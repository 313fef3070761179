import type { Account } from "./cast.ts";

/** One request to the API server, before it has an id and a time. */
export interface Request {
  readonly by: Account;
  readonly verb: string;
  readonly uri: string;
  readonly object?: ObjectRef;
  readonly code: number;
  readonly message?: string;
  /** Why the authorizer said what it said; left out where RBAC was not asked. */
  readonly reason?: string;
  readonly requestObject?: unknown;
  readonly responseObject?: unknown;
  /** True for requests that the API server logs as they start and again as they end. */
  readonly long?: boolean;
}

export interface ObjectRef {
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly apiGroup?: string;
  readonly subresource?: string;
}

export type Stage = "ResponseStarted" | "ResponseComplete";

/** Identity and time of one line. Times are microseconds since the epoch, as the API server writes them. */
export interface Stamp {
  readonly auditId: string;
  readonly stage: Stage;
  readonly receivedMicros: number;
  readonly stageMicros: number;
}

const statusReasons: Readonly<Record<number, string>> = {
  403: "Forbidden",
  404: "NotFound",
  409: "Conflict",
};

/** The line a kube-apiserver would write: its key order, its escapes, no line break at the end. */
export function formatEvent(request: Request, stamp: Stamp): string {
  const withBody = request.requestObject !== undefined || request.responseObject !== undefined;
  return goJson({
    kind: "Event",
    apiVersion: "audit.k8s.io/v1",
    level: withBody ? "RequestResponse" : "Metadata",
    auditID: stamp.auditId,
    stage: stamp.stage,
    requestURI: request.uri,
    verb: request.verb,
    user: userOf(request.by),
    sourceIPs: [request.by.ip],
    userAgent: request.by.agent,
    objectRef: request.object === undefined ? undefined : objectOf(request.object),
    responseStatus: statusOf(request),
    requestObject: request.requestObject,
    responseObject: request.responseObject,
    requestReceivedTimestamp: rfc3339(stamp.receivedMicros),
    stageTimestamp: rfc3339(stamp.stageMicros),
    annotations: {
      "authorization.k8s.io/decision": request.code === 403 ? "forbid" : "allow",
      "authorization.k8s.io/reason": request.reason ?? "",
    },
  });
}

function userOf(account: Account): unknown {
  return {
    username: account.username,
    uid: account.uid,
    groups: account.groups,
    extra:
      account.credential === ""
        ? undefined
        : { "authentication.kubernetes.io/credential-id": [account.credential] },
  };
}

function objectOf(object: ObjectRef): unknown {
  const { resource, namespace, name, apiGroup, subresource } = object;
  return { resource, namespace, name, apiGroup, apiVersion: "v1", subresource };
}

function statusOf(request: Request): unknown {
  if (request.code < 400) return { metadata: {}, code: request.code };
  const { message, code } = request;
  return { metadata: {}, status: "Failure", message, reason: statusReasons[code], code };
}

/** Go escapes these three in every JSON string, and readers of audit logs must cope with it. */
function goJson(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("&", "\\u0026")
    .replaceAll("<", "\\u003c")
    .replaceAll(">", "\\u003e");
}

function rfc3339(micros: number): string {
  const whole = new Date(Math.floor(micros / 1000)).toISOString();
  return `${whole.slice(0, -1)}${String(micros % 1000).padStart(3, "0")}Z`;
}
