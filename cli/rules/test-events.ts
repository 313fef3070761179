import { parse, parseAllDocuments } from "yaml";
import { isAuditRecord } from "#engine";
import { payloadsOf } from "./payloads.ts";
import { kindOf, type Path, type Remarks } from "./test-reader.ts";

type Members = Readonly<Record<string, unknown>>;

/** Values of the YAML that events are written in. Whole numbers of any size stay exact. */
export const yamlOptions = {
  maxAliasCount: 1000,
  merge: true,
  intAsBigInt: true,
  logLevel: "error",
} as const;

/** Reads events that stand in a test file: maps, texts as an event file would hold them, or lists of either. */
export function inlineEvents(path: Path, value: unknown, remarks: Remarks): readonly string[] {
  if (value === undefined || value === null) return [];
  const list = Array.isArray(value) ? value : [value];
  return list.flatMap((event, index) => {
    if (typeof event === "string") return eventsOf(event);
    if (typeof event === "object" && event !== null) return [toJson(completed(event))];
    const words = `give an event as a map or as a text of JSON, not ${kindOf(event)}`;
    remarks.problems.push({ path: [...path, index], words });
    return [];
  });
}

/**
 * Takes the text of an event file apart into payloads for a detector: JSON in lines or documents, lines of the Linux audit
 * log, or YAML documents with an event or a list of events each.
 */
export function eventsOf(text: string): readonly string[] {
  return (looksLikeYaml(text) ? yamlEvents(text) : undefined) ?? payloadsOf(text).map(completedText);
}

/** Whether the first line that says something starts a map or a list of YAML. */
function looksLikeYaml(text: string): boolean {
  const [, line = ""] = /^\s*(?:#.*\s+)*(.*)/.exec(text) ?? [];
  return /^(?:---|-|[\w"'./-]+\s*:)(?:\s|$)/.test(line);
}

function yamlEvents(text: string): readonly string[] | undefined {
  const documents = parseAllDocuments(text, yamlOptions);
  if (!Array.isArray(documents) || documents.some(({ errors }) => errors.length > 0)) return undefined;
  const values = documents
    .map((document): unknown => document.toJS(yamlOptions))
    .filter((one) => one !== null);
  return values.every((value) => typeof value === "object")
    ? values.map((value) => toJson(completed(value)))
    : undefined;
}

/** The same text, unless it is an event that its author abbreviated. */
function completedText(payload: string): string {
  if (/auditID|stageTimestamp/.test(payload) || isAuditRecord(payload)) return payload;
  try {
    const value: unknown = JSON.parse(payload);
    return completed(value) === value ? payload : toJson(completed(parse(payload, yamlOptions)));
  } catch {
    // The detector says what is wrong with it.
    return payload;
  }
}

/**
 * Adds what an abbreviated event leaves out. An event with neither auditID nor stageTimestamp could not be evaluated as it
 * stands, so its author must have left them out on purpose; one with either of them is taken as it is.
 */
function completed(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value.map(completed);
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  if (typeof value !== "object" || value === null) return value;
  const event = value as Members;
  if (event["kind"] === "EventList") {
    const items = completed(event["items"]);
    return items === event["items"] ? event : { ...event, items };
  }
  if (!isRequest(event) || "auditID" in event || "stageTimestamp" in event) return event;
  if (!("kind" in event) && !("apiVersion" in event)) return { ...envelope, ...defaultsFor(event), ...event };
  return (event["kind"] ?? "Event") === "Event" ? { ...envelope, ...event } : event;
}

const envelope = {
  kind: "Event",
  apiVersion: "audit.k8s.io/v1",
  auditID: "00000000-0000-4000-8000-000000000000",
  stageTimestamp: "2026-01-01T00:00:00.001000Z",
};

/** The stage that most rules read, the success, and what every request has. */
function defaultsFor(event: Members): Members {
  return {
    level: "requestObject" in event ? "RequestResponse" : "Metadata",
    stage: "ResponseComplete",
    requestURI: "/",
    sourceIPs: ["192.0.2.1"],
    userAgent: "kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0",
    responseStatus: { metadata: {}, code: 200 },
    requestReceivedTimestamp: "2026-01-01T00:00:00.000000Z",
    annotations: { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "" },
  };
}

const hintedMax = 100;

/** What events lack that the engine asks of them as Falco does, in words; for tests that failed. */
export function lackingMembers(payloads: readonly string[]): readonly string[] {
  const lacking = new Set<string>();
  for (const payload of payloads.slice(0, hintedMax)) {
    const event = isAuditRecord(payload) ? undefined : parsed(payload);
    if (event === undefined || !isRequest(event) || event["kind"] === "EventList") continue;
    if (event["kind"] !== "Event") lacking.add("kind: Event");
    if (!("auditID" in event)) lacking.add("auditID");
    if (!("stageTimestamp" in event)) lacking.add("stageTimestamp");
  }
  if (lacking.size === 0) return [];
  const all = [...lacking].join(", ");
  return [
    `an event lacks ${all}, without which no ka field can be read; write it, or leave auditID and stageTimestamp away, and what is missing is filled in`,
  ];
}

function parsed(payload: string): Members | undefined {
  try {
    const value: unknown = JSON.parse(payload);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Members)
      : undefined;
  } catch {
    return undefined;
  }
}

function isRequest(event: Members): boolean {
  return ["verb", "user", "objectRef", "requestURI"].some((key) => key in event);
}

/** YAML's whole numbers come as bigints, which JSON.stringify refuses. */
function toJson(value: unknown): string {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(toJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}:${toJson(member)}`);
  return `{${members.join(",")}}`;
}
