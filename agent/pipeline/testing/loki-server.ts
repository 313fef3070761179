import type { TestContext } from "node:test";
import { FaultServer, started } from "./fault-server.ts";
import type { Answer, Arrived } from "./fault-server.ts";
import { member, parseStrict } from "./strict-json.ts";
import type { Strict } from "./strict-json.ts";

export interface LokiEntry {
  /** Nanoseconds since 1970. */
  readonly time: bigint;
  readonly line: string;
  readonly metadata: Readonly<Record<string, string>>;
}

class Malformed extends Error {}

const second = 1_000_000_000n;

export function startLoki(t: TestContext): Promise<LokiServer> {
  return started(t, new LokiServer());
}

/** A push interface as the documentation of Loki 3 has it, which refuses what the real one refuses. */
export class LokiServer extends FaultServer {
  /** Entries by stream, `{a="b", c="d"}`, in the order in which they came; the same entry is kept once. */
  readonly streams = new Map<string, LokiEntry[]>();
  /** Whole requests that were no push at all, with why. */
  readonly malformed: string[] = [];
  duplicates = 0;
  /** The tenant that requests have to name, if any. */
  tenant: string | undefined = undefined;
  /** `max_line_size`. */
  lineBytesMax = 256 * 1024;
  /** How far an entry may be behind the newest one of its stream, in seconds: half of `max_chunk_age`. */
  behindSecondsMax = 3600;
  /** How old an entry may be, in seconds: `reject_old_samples_max_age`. */
  oldSecondsMax = 7 * 24 * 3600;
  /** Bytes that a request may have: `ingestion_burst_size_mb`. */
  burstBytesMax = 6 * 1024 * 1024;

  protected handle(request: Arrived): Answer {
    try {
      check(request, this.tenant);
      if (request.body.length > this.burstBytesMax) {
        return {
          status: 429,
          body: "Ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec)",
        };
      }
      const complaints = readPush(request.body).map(([name, entries]) => this.#push(name, entries));
      const last = complaints.findLast((complaint) => complaint !== undefined);
      return last === undefined ? { status: 204, body: "" } : { status: 400, body: `${last}\n` };
    } catch (error) {
      if (!(error instanceof Malformed || error instanceof SyntaxError)) throw error;
      this.malformed.push(error.message);
      return { status: 400, body: `${error.message}\n` };
    }
  }

  /** Stores what can be stored and gives the last complaint, as the real one does. */
  #push(name: string, entries: readonly LokiEntry[]): string | undefined {
    const oldest = BigInt(Math.floor(Date.now() / 1000) - this.oldSecondsMax) * second;
    let complaint: string | undefined;
    const fitting = entries.filter(({ time, line }) => {
      const bytes = Buffer.byteLength(line);
      if (time < oldest) {
        complaint = `entry for stream '${name}' has timestamp too old: ${rfc3339(time)}, oldest acceptable timestamp is: ${rfc3339(oldest)}`;
      } else if (bytes > this.lineBytesMax) {
        complaint = `Max entry size '${this.lineBytesMax}' bytes exceeded for stream '${name}' while adding an entry with length '${bytes}' bytes`;
      } else return true;
      return false;
    });
    return this.#store(name, fitting) ?? complaint;
  }

  #store(name: string, entries: readonly LokiEntry[]): string | undefined {
    const kept = this.streams.get(name) ?? [];
    if (entries.length > 0) this.streams.set(name, kept);
    const ignored: string[] = [];
    for (const entry of entries) {
      const newest = kept.reduce((most, { time }) => (time > most ? time : most), 0n);
      const bound = newest - BigInt(this.behindSecondsMax) * second;
      if (entry.time < bound) {
        const why = `entry too far behind, entry timestamp is: ${rfc3339(entry.time)}, oldest acceptable timestamp is: ${rfc3339(bound)}`;
        ignored.push(`entry with timestamp ${goTime(entry.time)} ignored, reason: '${why}',\n`);
      } else if (kept.some(({ time, line }) => time === entry.time && line === entry.line)) this.duplicates++;
      else kept.push(entry);
    }
    if (ignored.length === 0) return undefined;
    const total = `user 'fake', total ignored: ${ignored.length} out of ${entries.length} for stream: ${name}`;
    return ignored.slice(0, 10).join("") + total;
  }
}

function check({ method, url, headers }: Arrived, tenant: string | undefined): void {
  if (method !== "POST" || url !== "/loki/api/v1/push") {
    throw new Malformed(`404 page not found: ${method} ${url}`);
  }
  const type = headers["content-type"] ?? "";
  if (!/^application\/json(?:;\s*charset=utf-8)?$/i.test(type)) {
    throw new Malformed(`Content-Type ${type}: no JSON`);
  }
  if (headers["x-scope-orgid"] !== tenant) throw new Malformed("no org id");
}

function readPush(body: Buffer): (readonly [name: string, entries: readonly LokiEntry[]])[] {
  const text = body.toString();
  if (!Buffer.from(text).equals(body)) throw new Malformed("loghttp.PushRequest: invalid UTF-8");
  const root = parseStrict(text);
  const streams = member(root, "streams");
  if (streams?.kind !== "array" || keysOf(root).length !== 1) {
    throw new Malformed("loghttp.PushRequest: no streams");
  }
  return streams.elements.map((stream) => {
    if (keysOf(stream).join() !== "stream,values") {
      throw new Malformed("loghttp.LogProtoStream: unknown field");
    }
    const values = member(stream, "values");
    if (values?.kind !== "array") throw new Malformed("loghttp.LogProtoStream: values have to be an array");
    return [readLabels(member(stream, "stream")), values.elements.map(readEntry)];
  });
}

function readLabels(value: Strict | undefined): string {
  if (value?.kind !== "object") throw new Malformed("loghttp.LogProtoStream: stream has to be an object");
  if (value.members.length === 0) throw new Malformed("error at least one label pair is required per stream");
  if (value.members.length > 15) throw new Malformed("stream has more label names than 15");
  const pairs = value.members.map(([name, text]) => {
    if (text.kind !== "string") throw new Malformed(`the value of label ${name} is no string`);
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) throw new Malformed(`Error parsing labels: bad name ${name}`);
    if (Buffer.byteLength(name) > 1024) throw new Malformed(`stream has label name too long: ${name}`);
    if (Buffer.byteLength(text.text) > 2048) throw new Malformed(`stream has label value too long: ${name}`);
    return `${name}=${JSON.stringify(text.text)}`;
  });
  return `{${pairs.toSorted().join(", ")}}`;
}

function readEntry(value: Strict): LokiEntry {
  if (value.kind !== "array") throw new Malformed("loghttp.Entry: no array");
  const [time, line, metadata, ...more] = value.elements;
  if (time?.kind !== "string" || !/^\d{1,19}$/.test(time.text)) {
    throw new Malformed("loghttp.Entry: no timestamp");
  }
  if (line?.kind !== "string") throw new Malformed("loghttp.Entry: the line is no string");
  if (more.length > 0) throw new Malformed("loghttp.Entry: more than three elements");
  const pairs = metadata === undefined ? [] : readMetadata(metadata);
  return { time: BigInt(time.text), line: line.text, metadata: Object.fromEntries(pairs) };
}

function readMetadata(value: Strict): (readonly [string, string])[] {
  if (value.kind !== "object") throw new Malformed("loghttp.Entry: structured metadata is no object");
  return value.members.map(([name, text]) => {
    if (text.kind !== "string") throw new Malformed(`structured metadata ${name} is no string`);
    return [name, text.text];
  });
}

function keysOf(value: Strict): string[] {
  return value.kind === "object" ? value.members.map(([key]) => key).toSorted() : [];
}

function rfc3339(time: bigint): string {
  return new Date(Number(time / 1_000_000n)).toISOString().replace(/\.\d+Z$/, "Z");
}

/** As Go prints a time: no digits behind the last one that is not 0. */
function goTime(time: bigint): string {
  const [day = "", clock = ""] = rfc3339(time).replace("Z", "").split("T");
  const fraction = String(time % second)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `${day} ${clock}${fraction === "" ? "" : `.${fraction}`} +0000 UTC`;
}
