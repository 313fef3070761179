import { fromBinary } from "@bufbuild/protobuf";
import {
  ResponseRecordSchema,
  type ReportResponsesRequest,
  type ResponseRecord,
  type SignedResponse,
} from "#proto/agent/v1/response";
import { isResponseSigned, responseActions } from "#trust";

import { hasTooManyParts } from "../../census.ts";
import { digestFromBytes } from "../../domain/ids.ts";
import { accept, refuse, type Outcome, type Problem } from "../../domain/refusal.ts";
import { dateOf, text } from "../../sessions/read-request.ts";
import type { ResponseRow } from "../../store/responses.ts";
import type { AgentCaller } from "../caller.ts";

const responsesMax = 100;
const recordBytesMax = 4 * 1024;
const partsMax = 50;
export const responseOutcomes = [
  "done",
  "dry-run",
  "denied",
  "skipped",
  "failed",
  "dropped",
  "unknown",
] as const;

/** Reads what an agent did about alerts as it is stored, or names every record that is out of bounds or not its own. */
export function readResponses(
  request: ReportResponsesRequest,
  caller: Pick<AgentCaller, "agentId" | "clusterId" | "publicKey">,
  now: Date,
): Outcome<readonly ResponseRow[]> {
  const { responses } = request;
  if (responses.length > responsesMax) {
    const why = `holds ${responses.length}; at most ${responsesMax} are allowed in one call`;
    return refuse({ kind: "invalid", problems: [{ field: "responses", why }] });
  }
  const rows: ResponseRow[] = [];
  const problems: Problem[] = [];
  for (const [i, signed] of responses.entries()) {
    const row = readSigned(signed, caller, now);
    if (typeof row === "string") problems.push({ field: `responses[${i}]`, why: row });
    else rows.push(row);
  }
  return problems.length > 0 ? refuse({ kind: "invalid", problems: problems.slice(0, 10) }) : accept(rows);
}

function readSigned(
  { record: bytes, signature }: SignedResponse,
  caller: Pick<AgentCaller, "agentId" | "clusterId" | "publicKey">,
  now: Date,
): ResponseRow | string {
  if (bytes.length > recordBytesMax) return `record has more than ${recordBytesMax} bytes`;
  if (hasTooManyParts(ResponseRecordSchema, bytes, partsMax)) return "record has too many parts";
  if (!isResponseSigned(caller.publicKey, bytes, signature)) {
    return "record is not signed by the key of the certificate";
  }
  let record: ResponseRecord;
  try {
    record = fromBinary(ResponseRecordSchema, bytes);
  } catch {
    return "record is no ResponseRecord";
  }
  if (record.clusterId !== caller.clusterId || record.agentId !== caller.agentId) {
    return "record is of another agent";
  }
  const decidedAt = dateOf(record.decidedAt);
  const rulesDigest = digestFromBytes(record.rulesDigest);
  if (!/^[0-9a-f]{64}$/.test(record.alertId)) return "alert_id is not 64 hex digits";
  if (record.response === "" || record.response.length > 63) return "response is no name of one";
  if (!responseActions.some((each) => each === record.action)) return "action is none that is known";
  if (!responseOutcomes.some((each) => each === record.outcome)) return "outcome is none that is known";
  if (decidedAt === undefined) return "decided_at is missing or out of range";
  if (rulesDigest === undefined) return "rules_digest is not 32 bytes";
  return {
    clusterId: caller.clusterId,
    agentId: caller.agentId,
    alertId: record.alertId,
    response: text(record.response, 63),
    rule: text(record.rule, 300),
    action: record.action,
    namespace: text(record.namespace, 63),
    pod: text(record.pod, 253),
    outcome: record.outcome,
    why: text(record.why, 500),
    rulesDigest,
    decidedAt,
    receivedAt: now,
    record: Buffer.from(bytes),
    signature: Buffer.from(signature),
  };
}
