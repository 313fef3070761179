import type { TestContext } from "node:test";
import { FaultServer, started } from "./fault-server.ts";
import type { Answer, Arrived } from "./fault-server.ts";
import { member, parseStrict } from "./strict-json.ts";
import type { Strict } from "./strict-json.ts";

export interface EsItemError {
  readonly status: number;
  readonly type: string;
  readonly reason: string;
}

type Source = Record<string, unknown>;
type Indices = Map<string, Map<string, Source>>;

/** A request that is refused as a whole. */
class WholeError extends Error {
  readonly status: number;
  readonly type: string;

  constructor(reason: string, status = 400, type = "illegal_argument_exception") {
    super(reason);
    this.status = status;
    this.type = type;
  }
}

/** What of the metadata of an action Elasticsearch 8 knows. */
const metadata = new Set([
  "_index",
  "_id",
  "routing",
  "op_type",
  "version",
  "version_type",
  "if_seq_no",
  "if_primary_term",
  "retry_on_conflict",
  "pipeline",
  "require_alias",
  "require_data_stream",
  "dynamic_templates",
  "list_executed_pipelines",
]);
const parameters = new Set([
  "pipeline",
  "filter_path",
  "refresh",
  "routing",
  "timeout",
  "wait_for_active_shards",
  "_source",
  "require_alias",
  "require_data_stream",
  "error_trace",
  "human",
  "pretty",
]);

export function startEs(t: TestContext): Promise<EsServer> {
  return started(t, new EsServer());
}

/** A bulk interface as the documentation of Elasticsearch 8 has it, which refuses what the real one refuses. */
export class EsServer extends FaultServer {
  /** Sources by id, in the order in which they were stored, by index. */
  readonly indices: Indices = new Map();
  /** Whole requests that were refused, with why. */
  readonly refusals: string[] = [];
  /** How many documents came that were there already. */
  conflicts = 0;
  /** `http.max_content_length`. */
  bytesMax = 100 * 1024 * 1024;
  /** Why a document is not stored, asked per document; nothing unless set. */
  refuse: (source: Readonly<Source>) => EsItemError | undefined = () => undefined;
  #made = 0;

  protected handle(request: Arrived): Answer {
    try {
      const url = checkRequest(request, this.bytesMax);
      const items = readActions(request.body).map((action) => this.#store(action));
      const errors = items.some((item) => Object.values(item)[0]?.["error"] !== undefined);
      const whole = { took: 3, errors, items };
      const filters = url.searchParams.get("filter_path")?.split(",");
      const paths = filters?.map((one) => one.split("."));
      const shown = paths === undefined ? whole : filtered(whole, paths);
      return { status: 200, body: JSON.stringify(shown), headers: { "content-type": "application/json" } };
    } catch (error) {
      if (!(error instanceof WholeError)) throw error;
      this.refusals.push(error.message);
      const cause = { type: error.type, reason: error.message };
      const body = JSON.stringify({ error: { root_cause: [cause], ...cause }, status: error.status });
      return { status: error.status, body };
    }
  }

  #store({ operation, index, id: wanted, source, error }: Action): Record<string, Source> {
    const why = invalidIndex(index) ?? error ?? this.refuse(source);
    if (why !== undefined) {
      return { [operation]: { _index: index, _id: wanted, status: why.status, error: why } };
    }
    const id = wanted ?? `made-${this.#made++}`;
    const documents = this.indices.get(index) ?? new Map<string, Source>();
    this.indices.set(index, documents);
    const isThere = documents.has(id);
    if (isThere) this.conflicts++;
    if (isThere && operation === "create") {
      const reason = `[${id}]: version conflict, document already exists (current version [1])`;
      const error = { type: "version_conflict_engine_exception", reason, index };
      return { create: { _index: index, _id: id, status: 409, error } };
    }
    documents.set(id, source);
    const status = isThere ? 200 : 201;
    const result = isThere ? "updated" : "created";
    const _shards = { total: 2, successful: 1, failed: 0 };
    const counts = { _version: 1, _seq_no: 0, _primary_term: 1 };
    return { [operation]: { _index: index, _id: id, ...counts, result, _shards, status } };
  }
}

function checkRequest({ method, url, headers, body }: Arrived, bytesMax: number): URL {
  if (body.length > bytesMax) throw new WholeError("Request Entity Too Large", 413, "content_too_large");
  const parsed = new URL(url, "http://es");
  if ((method !== "POST" && method !== "PUT") || parsed.pathname !== "/_bulk") {
    throw new WholeError(`no handler found for uri [${url}] and method [${method}]`);
  }
  const unknown = [...parsed.searchParams.keys()].find((key) => !parameters.has(key));
  if (unknown !== undefined) {
    throw new WholeError(`request [/_bulk] contains unrecognized parameter: [${unknown}]`);
  }
  const type = headers["content-type"] ?? "";
  if (!/^application\/(?:json|x-ndjson)(?:\s*;\s*charset=utf-8)?$/i.test(type)) {
    throw new WholeError(
      `Content-Type header [${type}] is not supported`,
      406,
      "media_type_header_exception",
    );
  }
  if (body.length === 0) throw new WholeError("request body is required", 400, "parse_exception");
  if (body.at(-1) !== 0x0a) {
    throw new WholeError("The bulk request must be terminated by a newline [\\n]");
  }
  return parsed;
}

interface Action {
  readonly operation: "create" | "index";
  readonly index: string;
  readonly id: string | undefined;
  readonly source: Source;
  readonly error: EsItemError | undefined;
}

/** Lines in pairs: an action, then its source. The action lines are judged together, the sources one by one. */
function readActions(body: Buffer): Action[] {
  const text = body.toString();
  if (!Buffer.from(text).equals(body)) {
    throw new WholeError("Invalid UTF-8", 400, "x_content_parse_exception");
  }
  const lines = text.slice(0, -1).split("\n");
  const actions: Action[] = [];
  for (let line = 0; line < lines.length; line += 2) {
    const number = line + 1;
    const { operation, index, id } = readAction(lines[line] ?? "", number);
    const source = lines[line + 1];
    if (source === undefined) {
      throw new WholeError(`Malformed content, found no source for action [${number}]`);
    }
    actions.push({ operation, index, id, ...readSource(source) });
  }
  return actions;
}

function readAction(line: string, number: number): Pick<Action, "operation" | "index" | "id"> {
  const malformed = (expected: string) =>
    new WholeError(`Malformed action/metadata line [${number}], expected ${expected}`);
  let action: Strict;
  try {
    action = parseStrict(line);
  } catch {
    throw malformed("START_OBJECT");
  }
  if (action.kind !== "object" || action.members.length !== 1) throw malformed("one action");
  const [operation = "", meta] = action.members[0] ?? [];
  if (operation !== "create" && operation !== "index") {
    throw malformed("field [create], [delete], [index] or [update]");
  }
  if (meta?.kind !== "object") throw malformed("START_OBJECT");
  const values = new Map<string, string>();
  for (const [key, value] of meta.members) {
    if (!metadata.has(key)) {
      throw new WholeError(`Action/metadata line [${number}] contains an unknown parameter [${key}]`);
    }
    if (value.kind === "string") values.set(key, value.text);
    else if (key === "_id" || key === "_index") throw malformed(`a simple value for field [${key}]`);
  }
  const index = values.get("_index");
  const id = values.get("_id");
  const invalid = (why: string) =>
    new WholeError(`Validation Failed: ${number}: ${why};`, 400, "action_request_validation_exception");
  if (index === undefined) throw invalid("index is missing");
  if (id === "") throw new WholeError("if _id is specified it must not be empty");
  if (id !== undefined && Buffer.byteLength(id) > 512) {
    throw invalid(`id [${id}] is too long, must be no longer than 512 bytes`);
  }
  return { operation, index, id };
}

function readSource(line: string): Pick<Action, "source" | "error"> {
  const failed = (reason: string) => ({
    source: {},
    error: { status: 400, type: "document_parsing_exception", reason },
  });
  let strict: Strict;
  try {
    strict = parseStrict(line);
  } catch (error) {
    return failed(`[1:1] failed to parse: ${(error as SyntaxError).message}`);
  }
  if (strict.kind !== "object") return failed("[1:1] failed to parse, document is no object");
  const time = member(strict, "@timestamp");
  const isTime = time?.kind === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/.test(time.text);
  if (time !== undefined && !isTime) return failed("failed to parse field [@timestamp] of type [date]");
  return { source: JSON.parse(line) as Source, error: undefined };
}

function invalidIndex(name: string): EsItemError | undefined {
  const isValid =
    /^[^A-Z\s"*\\<>|,?/#:_+-][^A-Z\s"*\\<>|,?/#:]*$/.test(name) && Buffer.byteLength(name) <= 255;
  if (isValid && name !== "." && name !== "..") return undefined;
  return { status: 400, type: "invalid_index_name_exception", reason: `Invalid index name [${name}]` };
}

/** What `filter_path` leaves: `*` is any name, arrays are looked through, what is left empty goes. */
function filtered(value: unknown, paths: readonly (readonly string[])[]): unknown {
  if (paths.some((path) => path.length === 0)) return value;
  if (Array.isArray(value)) {
    const elements: readonly unknown[] = value;
    return elements.map((one) => filtered(one, paths)).filter((one) => one !== undefined);
  }
  if (typeof value !== "object" || value === null) return undefined;
  const kept = Object.entries(value).flatMap(([key, inner]) => {
    const deeper = paths.filter(([name]) => name === key || name === "*").map((path) => path.slice(1));
    const left = deeper.length === 0 ? undefined : filtered(inner, deeper);
    return left === undefined ? [] : [[key, left]];
  });
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}
