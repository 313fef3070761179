/** What the answer of a bulk request says about one record that is not stored. */
export interface EsFailure {
  /** The place of the record in the request. */
  readonly nth: number;
  readonly status: number;
  readonly type: string;
  readonly reason: string;
}

/** `broken`: it is no answer of a bulk request over so many records. */
export type EsAnswer =
  | { readonly kind: "stored" }
  | { readonly kind: "failures"; readonly failures: readonly EsFailure[] }
  | { readonly kind: "broken"; readonly why: string };

/** The beginning of an answer in which nothing failed, whatever else is said before it. */
const allStored = /^\s*\{(?:\s*"(?:took|ingest_took)"\s*:\s*\d+\s*,)*\s*"errors"\s*:\s*false\s*[,}]/;
const headBytes = 200;

/**
 * Reads the answer of a bulk request over `count` records. That nothing failed stands in the first bytes: then the rest is
 * only looked at for being there. Otherwise every record has to have its result.
 */
export function readEsAnswer(body: Buffer, count: number): EsAnswer {
  if (allStored.test(body.toString("latin1", 0, headBytes)) && isClosed(body)) return { kind: "stored" };
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch (error) {
    return { kind: "broken", why: `it is no JSON: ${(error as SyntaxError).message}` };
  }
  if (!isRecord(value) || typeof value["errors"] !== "boolean") {
    return { kind: "broken", why: 'it is no object with "errors"' };
  }
  if (!value["errors"]) return { kind: "stored" };
  const items = value["items"];
  if (!Array.isArray(items) || items.length !== count) {
    const found = Array.isArray(items) ? `${items.length} results` : "no results";
    return { kind: "broken", why: `it has ${found} for ${count} records` };
  }
  return readItems(items);
}

function readItems(items: readonly unknown[]): EsAnswer {
  const failures: EsFailure[] = [];
  for (const [nth, item] of items.entries()) {
    const result: unknown = isRecord(item) ? Object.values(item)[0] : undefined;
    const status = isRecord(result) ? result["status"] : undefined;
    if (!isRecord(result) || typeof status !== "number") {
      return { kind: "broken", why: `result ${nth} has no status` };
    }
    if (status >= 200 && status < 300) continue;
    failures.push({ nth, status, ...errorOf(result["error"]) });
  }
  return { kind: "failures", failures };
}

/** The end of an object, and of the list of results in it if there is one. */
function isClosed(body: Buffer): boolean {
  let end = body.length - 1;
  while (isBlank(body[end])) end--;
  if (body[end] !== 0x7d) return false;
  if (!body.includes('"items"')) return true;
  end--;
  while (isBlank(body[end])) end--;
  return body[end] === 0x5d;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Type and reason, with the cause, which says more; before version 2 an error was a text. */
function errorOf(error: unknown): Pick<EsFailure, "type" | "reason"> {
  if (!isRecord(error)) return { type: "", reason: typeof error === "string" ? error : "" };
  const cause = error["caused_by"];
  const because =
    isRecord(cause) && typeof cause["reason"] === "string" ? `, because: ${cause["reason"]}` : "";
  return { type: textOf(error["type"]), reason: `${textOf(error["reason"])}${because}` };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
