import { kinds } from "../json/document.ts";
import type { JsonTape } from "../json/tape.ts";
import { compact } from "../json/text.ts";
import { entriesOf, isObject, isString, member, type Opening, text } from "./envelope.ts";
import { valueText } from "../json/text.ts";

const auditCategories: ReadonlySet<string> = new Set(["kube-audit", "kube-audit-admin"]);

/**
 * AKS: diagnostic settings deliver `{"records": [...]}` to event hubs and single records to storage. `properties.log` of a
 * record of the category kube-audit holds the audit event as JSON text. Other categories are passed over.
 */
export function openAks(tape: JsonTape, root: number, into: Opening): boolean {
  const records = isObject(tape, root) ? member(tape, root, "records") : -1;
  const isBatch = records >= 0 && tape.kind(records) === kinds.array;
  const entries = isBatch ? entriesOf(tape, records) : [root];
  if (entries.length === 0 || !entries.some((entry) => isRecord(tape, entry))) return false;
  for (const entry of entries) openRecord(tape, entry, into);
  return true;
}

function isRecord(tape: JsonTape, node: number): boolean {
  return isObject(tape, node) && text(tape, node, "category") !== undefined && propertiesOf(tape, node) >= 0;
}

function propertiesOf(tape: JsonTape, node: number): number {
  return member(tape, node, "properties");
}

function openRecord(tape: JsonTape, record: number, into: Opening): void {
  if (!isRecord(tape, record)) return into.problem("a record has no category and properties");
  if (!auditCategories.has(text(tape, record, "category") ?? "")) return;
  const log = member(tape, propertiesOf(tape, record), "log");
  if (log < 0) return into.problem("a kube-audit record has no properties.log");
  if (isString(tape, log)) {
    return into.text(valueText(tape, log), "properties.log of a record is no audit event in JSON");
  }
  if (isObject(tape, log)) into.events.push(compact(tape, log));
  else into.problem("properties.log of a record is no audit event in JSON");
}
