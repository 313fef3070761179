import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { create, fromJsonString, toJsonString, type MessageInitShape } from "@bufbuild/protobuf";
import { type ExportAuditResponse, ExportAuditResponseSchema } from "#proto/fleet/v1/audit";
import { misused } from "../failure.ts";

/** Far more than a line of an export has: one row, head or the chain of roots. */
const lineCharsMax = 16 * 1024 * 1024;

/** A part of an export as lines of JSON, one for each thing in it, so that a file can be looked through and compared. */
export function exportLines(part: ExportAuditResponse): string[] {
  const { org, roots, heads, carried, end, rows } = part;
  const one = (init: MessageInitShape<typeof ExportAuditResponseSchema>) =>
    toJsonString(ExportAuditResponseSchema, create(ExportAuditResponseSchema, init));
  return [
    ...(org === "" && roots.length === 0 ? [] : [one({ org, roots })]),
    ...heads.map((head) => one({ heads: [head] })),
    ...carried.map((each) => one({ carried: [each] })),
    ...(end === undefined ? [] : [one({ end })]),
    ...rows.map((row) => one({ rows: [row] })),
  ];
}

/** The parts of an export that {@link exportLines} wrote. Throws a failure that names the line that is none. */
export async function* readExport(path: string): AsyncGenerator<ExportAuditResponse> {
  const input = createReadStream(path);
  let number = 0;
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      number += 1;
      if (line.trim() !== "") yield parse(line, path, number);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined || !code.startsWith("E")) throw error;
    throw misused(`${path} cannot be read (${code})`, "Check the path.");
  } finally {
    input.destroy();
  }
}

function parse(line: string, path: string, number: number): ExportAuditResponse {
  try {
    if (line.length > lineCharsMax) throw new RangeError(`it has ${line.length} characters`);
    return fromJsonString(ExportAuditResponseSchema, line);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw misused(
      `${path}:${number} is no line of an export: ${why.slice(0, 200)}`,
      "fleetctl audit export > audit.jsonl",
    );
  }
}
