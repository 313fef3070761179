import type { HttpConfig } from "#shipper";

/** One record of a request: its JSON text, and the time that stands in for the record's. */
export interface HttpRecord {
  readonly json: Buffer;
  readonly timeMs: number;
}

const parts = {
  open: Buffer.from("["),
  close: Buffer.from("]"),
  comma: Buffer.from(","),
  newline: Buffer.from("\n"),
};

/** The body of one request, in the format of Fluent Bit's http output. Records are copied; only the date goes in. */
export function formatBody(records: readonly HttpRecord[], config: HttpConfig): Buffer {
  const pieces: Buffer[] = [];
  if (config.format === "json") pieces.push(parts.open);
  for (const [index, record] of records.entries()) {
    if (config.format === "json" && index > 0) pieces.push(parts.comma);
    pushRecord(pieces, record, config);
    if (config.format === "json_lines") pieces.push(parts.newline);
  }
  if (config.format === "json") pieces.push(parts.close);
  return Buffer.concat(pieces);
}

function pushRecord(pieces: Buffer[], record: HttpRecord, config: HttpConfig): void {
  if (config.dateKey === undefined) {
    pieces.push(record.json);
    return;
  }
  const open = record.json.indexOf(0x7b) + 1;
  const rest = record.json.subarray(open);
  const isEmpty = rest.toString("latin1", 0, 64).trimStart().startsWith("}");
  const date = `{${JSON.stringify(config.dateKey)}:${formatDate(record.timeMs, config.dateFormat)}`;
  pieces.push(Buffer.from(isEmpty ? date : `${date},`), rest);
}

function formatDate(ms: number, format: HttpConfig["dateFormat"]): string {
  switch (format) {
    case "double":
      return (ms / 1000).toFixed(6);
    case "epoch":
      return String(Math.floor(ms / 1000));
    case "epoch_ms":
      return String(Math.floor(ms));
    case "iso8601":
      return `"${new Date(ms).toISOString().replace("Z", "000Z")}"`;
  }
}
