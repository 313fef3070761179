import type { JsonTape } from "../json/tape.ts";
import { compact } from "../json/text.ts";
import { isObject, isString, member, type Opening, text } from "./envelope.ts";

const auditLogType = "type.googleapis.com/google.cloud.audit.AuditLog";

/**
 * GKE: a Cloud Logging entry whose `protoPayload` is an AuditLog of the service k8s.io is translated, as far as it tells,
 * into the audit event it was made from; an entry that holds the event itself, as JSON or as text, gives that. Entries of
 * other services are passed over.
 */
export function openGke(tape: JsonTape, root: number, into: Opening): boolean {
  if (!isObject(tape, root) || text(tape, root, "logName") === undefined) return false;
  const payload = member(tape, root, "protoPayload");
  if (isObject(tape, payload)) {
    const isAuditLog = text(tape, payload, "@type") === auditLogType;
    if (!isAuditLog) into.problem("protoPayload of a log entry is no AuditLog");
    else if (text(tape, payload, "serviceName") === "k8s.io") translate(tape, root, payload, into);
    return true;
  }
  const json = member(tape, root, "jsonPayload");
  const plain = text(tape, root, "textPayload");
  if (isObject(tape, json)) {
    if (text(tape, json, "kind") === "Event") into.events.push(compact(tape, json));
    else into.problem("jsonPayload of a log entry is no audit event");
  } else if (plain === undefined) into.problem("a log entry has no payload");
  else into.text(plain, "textPayload of a log entry is no audit event in JSON");
  return true;
}

/** Codes of google.rpc by which a call failed, as HTTP answers. */
const httpCodes: ReadonlyMap<string, number> = new Map([
  ["3", 400],
  ["5", 404],
  ["6", 409],
  ["7", 403],
  ["8", 429],
  ["9", 400],
  ["10", 409],
  ["13", 500],
  ["14", 503],
  ["16", 401],
]);

function translate(tape: JsonTape, entry: number, payload: number, into: Opening): void {
  const method = text(tape, payload, "methodName");
  const time = text(tape, entry, "receiveTimestamp") ?? text(tape, entry, "timestamp");
  if (method === undefined) return into.problem("the AuditLog of a log entry has no methodName");
  if (time === undefined) return into.problem("a log entry has no receiveTimestamp and no timestamp");
  const verb = method.slice(method.lastIndexOf(".") + 1);
  const resource = text(tape, payload, "resourceName") ?? "";
  const object = objectOf(resource);
  const isStream = object?.["subresource"] === "exec" || object?.["subresource"] === "attach";
  const caller = text(tape, payload, "requestMetadata", "callerIp");
  const parts: [string, string | undefined][] = [
    ["kind", `"Event"`],
    ["apiVersion", `"audit.k8s.io/v1"`],
    ["level", isStream ? `"Request"` : `"RequestResponse"`],
    ["auditID", JSON.stringify(text(tape, entry, "insertId") ?? "")],
    ["stage", isStream ? `"ResponseStarted"` : `"ResponseComplete"`],
    ["requestURI", JSON.stringify(resource)],
    ["verb", JSON.stringify(verb)],
    ["user", userOf(tape, payload)],
    ["sourceIPs", caller === undefined ? undefined : JSON.stringify([caller])],
    ["userAgent", quoted(text(tape, payload, "requestMetadata", "callerSuppliedUserAgent"))],
    ["objectRef", object === undefined ? undefined : JSON.stringify(object)],
    ["responseStatus", JSON.stringify(statusOf(tape, payload, verb, isStream))],
    ["requestObject", objectText(tape, member(tape, payload, "request"))],
    ["responseObject", objectText(tape, member(tape, payload, "response"))],
    ["requestReceivedTimestamp", JSON.stringify(time)],
    ["stageTimestamp", JSON.stringify(time)],
    ["annotations", annotationsOf(tape, entry)],
  ];
  const members = parts.flatMap(([key, value]) => (value === undefined ? [] : [`"${key}":${value}`]));
  into.events.push(`{${members.join(",")}}`);
}

function quoted(value: string | undefined): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

function objectText(tape: JsonTape, node: number): string | undefined {
  return isObject(tape, node) ? compact(tape, node) : undefined;
}

function userOf(tape: JsonTape, payload: number): string | undefined {
  const username = text(tape, payload, "authenticationInfo", "principalEmail") ?? "";
  return username === "" ? undefined : JSON.stringify({ username });
}

/** The object from a name such as `core/v1/namespaces/default/pods/web/exec`. */
function objectOf(resource: string): Readonly<Record<string, string>> | undefined {
  const [apiGroup = "", apiVersion = "", ...rest] = resource.split("/");
  const base = { apiGroup: apiGroup === "core" ? "" : apiGroup, apiVersion };
  // A namespace has subresources of its own; anything else behind its name lies in it.
  const isOfNamespace = rest[0] === "namespaces" && (rest[2] === "finalize" || rest[2] === "status");
  const isNamespaced = rest[0] === "namespaces" && rest.length >= 3 && !isOfNamespace;
  const [kind, name, subresource] = isNamespaced ? rest.slice(2) : rest;
  if (kind === undefined || kind === "") return undefined;
  return {
    ...base,
    ...(isNamespaced ? { namespace: rest[1] ?? "" } : {}),
    resource: kind,
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

/** The answer: log entries tell failures; of the rest it is known only that it went well. */
function statusOf(tape: JsonTape, payload: number, verb: string, isStream: boolean) {
  const code = member(tape, payload, "status", "code");
  const failure = code < 0 ? undefined : tape.raw(code);
  if (failure !== undefined && failure !== "0") {
    const message = text(tape, payload, "status", "message") ?? "";
    return { status: "Failure", message, code: httpCodes.get(failure) ?? 500 };
  }
  if (isStream) return inferred("Switching Protocols", 101);
  return verb === "create" ? inferred("Created", 201) : inferred("OK", 200);
}

function inferred(words: string, code: number) {
  const status = `${words} (inferred)`;
  return { status, message: status, code };
}

/** Labels of the entry and of its resource, among them the cluster's name; the resource's win. */
function annotationsOf(tape: JsonTape, entry: number): string | undefined {
  const all = new Map<string, string>();
  for (const labels of [member(tape, entry, "labels"), member(tape, entry, "resource", "labels")]) {
    if (!isObject(tape, labels)) continue;
    for (let key = tape.first(labels); key < tape.next(labels); key = tape.next(tape.next(key))) {
      const value = tape.next(key);
      if (isString(tape, value)) all.set(`"${tape.raw(key)}"`, `"${tape.raw(value)}"`);
    }
  }
  if (all.size === 0) return undefined;
  return `{${[...all].map(([key, value]) => `${key}:${value}`).join(",")}}`;
}
