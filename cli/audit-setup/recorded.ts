import { type AuditPolicy, decidingRule, type Level, levels, type RequestAttributes } from "./policy.ts";

/** An audit event (audit.k8s.io/v1), as far as a policy decides over it. */
export interface AuditEvent {
  readonly level?: string;
  readonly stage?: string;
  readonly verb?: string;
  readonly requestURI?: string;
  readonly user?: { readonly username?: string; readonly groups?: readonly string[] };
  readonly objectRef?: Readonly<
    Partial<Record<"apiGroup" | "resource" | "subresource" | "namespace" | "name", string>>
  >;
  readonly requestObject?: unknown;
  readonly responseObject?: unknown;
  readonly stageTimestamp?: string;
}

export interface Recorded {
  /** The rule that decided, by its place in the policy; nothing when no rule matched. */
  readonly rule: number | undefined;
  readonly level: Level;
  /** What would be written; nothing when the event would not be. */
  readonly event?: AuditEvent;
  /** The policy wants a body that the event does not have, because it was recorded at a lower level. */
  readonly wantsBody: boolean;
}

/** What an API server with that policy would have written of an event that another one wrote. */
export function recordUnder(policy: AuditPolicy, event: AuditEvent): Recorded {
  const index = decidingRule(policy, attributesOf(event));
  const rule = index === undefined ? undefined : policy.rules[index];
  const omitted = [...(policy.omitStages ?? []), ...(rule?.omitStages ?? [])];
  const level = rule === undefined || omitted.includes(event.stage ?? "") ? "None" : rule.level;
  if (level === "None") return { rule: index, level, wantsBody: false };
  const { requestObject, responseObject, ...metadata } = event;
  const omits = rule?.omitManagedFields ?? policy.omitManagedFields ?? false;
  const stripped = (body: unknown) => (omits ? withoutManagedFields(body) : body);
  // The body of a patch is a patch and no object, and is written as it came.
  const request = event.verb === "patch" ? requestObject : stripped(requestObject);
  const kept = {
    ...metadata,
    level,
    ...(reaches(level, "Request") && requestObject !== undefined ? { requestObject: request } : {}),
    ...(reaches(level, "RequestResponse") && responseObject !== undefined
      ? { responseObject: stripped(responseObject) }
      : {}),
  };
  const had = levels.find((one) => one === event.level) ?? "RequestResponse";
  return { rule: index, level, event: kept, wantsBody: reaches(level, "Request") && !reaches(had, level) };
}

/** An object, the items of a list and the objects of a table without `metadata.managedFields`. */
function withoutManagedFields(body: unknown): unknown {
  if (!isRecord(body)) return body;
  const { items, kind, rows } = body;
  const ofTable = (row: unknown) =>
    isRecord(row) && "object" in row ? { ...row, object: bare(row["object"]) } : row;
  return {
    ...(bare(body) as object),
    ...(Array.isArray(items) ? { items: items.map(bare) } : {}),
    ...(kind === "Table" && Array.isArray(rows) ? { rows: rows.map(ofTable) } : {}),
  };
}

function bare(object: unknown): unknown {
  if (!isRecord(object) || !isRecord(object["metadata"])) return object;
  const { managedFields: _, ...metadata } = object["metadata"];
  return { ...object, metadata };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function reaches(level: Level, least: Level): boolean {
  return levels.indexOf(level) >= levels.indexOf(least);
}

export function attributesOf({ user, verb = "", requestURI = "", objectRef }: AuditEvent): RequestAttributes {
  const about = {
    user: user?.username ?? "",
    groups: user?.groups ?? [],
    verb,
    path: requestURI.split("?", 1)[0] ?? "",
  };
  if (objectRef === undefined) return about;
  const { apiGroup: group = "", resource = "", subresource = "", namespace = "", name = "" } = objectRef;
  return { ...about, resource: { group, resource, subresource, namespace, name } };
}
