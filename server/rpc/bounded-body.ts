import { promisify } from "node:util";
import { gunzip } from "node:zlib";

import type { DescMessage } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

import { hasTooManyJsonParts, hasTooManyParts } from "../census.ts";

const unpack = promisify(gunzip);

export interface BodyBounds {
  readonly schema: DescMessage;
  /** Bytes of one message, also after unpacking. */
  readonly bytesMax: number;
  readonly partsMax: number;
  readonly onRefused: (reason: "message-bytes" | "message-parts") => void;
}

interface BodyShape {
  readonly isJson: boolean;
  /** Messages come in envelopes: a byte of flags, four of length. */
  readonly isEnveloped: boolean;
  readonly isGzip: boolean;
}

/** What the headers say of a body; undefined when it is none that a method here reads. */
export function bodyShape(headers: Headers): BodyShape | undefined {
  const type = headers.get("content-type")?.toLowerCase() ?? "";
  if (!type.startsWith("application/")) return undefined;
  const isEnveloped = /^application\/(connect\+|grpc)/.test(type);
  const encoding = ["content-encoding", "connect-content-encoding", "grpc-encoding"].map((name) =>
    headers.get(name),
  );
  return { isJson: type.includes("json"), isEnveloped, isGzip: encoding.includes("gzip") };
}

/**
 * The body of a call with each message bounded in bytes and parts before anybody decodes it, unpacked. Reads nothing
 * until it is asked, so that the gate comes first.
 */
export function boundedBody(
  body: AsyncIterable<Uint8Array>,
  shape: BodyShape,
  bounds: BodyBounds,
): AsyncIterable<Uint8Array> {
  return shape.isEnveloped ? enveloped(body, shape, bounds) : whole(body, shape, bounds);
}

async function* whole(body: AsyncIterable<Uint8Array>, shape: BodyShape, bounds: BodyBounds) {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length > bounds.bytesMax) throw tooLarge(bounds);
    chunks.push(chunk);
  }
  yield await checked(Buffer.concat(chunks, length), shape.isGzip, shape, bounds);
}

/** A byte of flags, four of length. */
export const envelopeHeadBytes = 5;
const compressedFlag = 1;

async function* enveloped(body: AsyncIterable<Uint8Array>, shape: BodyShape, bounds: BodyBounds) {
  let chunks: Uint8Array[] = [];
  let length = 0;
  let needed = envelopeHeadBytes;
  for await (const chunk of body) {
    chunks.push(chunk);
    length += chunk.byteLength;
    // Many small chunks are joined once, when a whole envelope is there.
    while (length >= needed) {
      const joined = Buffer.concat(chunks, length);
      const end = envelopeHeadBytes + joined.readUInt32BE(1);
      if (end - envelopeHeadBytes > bounds.bytesMax) throw tooLarge(bounds);
      chunks = [joined];
      needed = end;
      if (length < end) break;
      const rest = joined.subarray(end);
      [chunks, length, needed] = [[rest], rest.byteLength, envelopeHeadBytes];
      yield await checkedEnvelope(joined.subarray(0, end), shape, bounds);
    }
  }
  // Half an envelope is for the protocol to complain about.
  if (length > 0) yield Buffer.concat(chunks, length);
}

async function checkedEnvelope(envelope: Buffer, shape: BodyShape, bounds: BodyBounds): Promise<Buffer> {
  const flags = envelope.readUInt8(0);
  const isPacked = (flags & compressedFlag) !== 0;
  // Packed with what is not gzip: the protocol refuses it.
  if (isPacked && !shape.isGzip) return envelope;
  const message = await checked(envelope.subarray(envelopeHeadBytes), isPacked, shape, bounds);
  if (!isPacked) return envelope;
  const head = Buffer.alloc(envelopeHeadBytes);
  head.writeUInt8(flags & ~compressedFlag, 0);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

async function checked(
  packed: Buffer,
  isPacked: boolean,
  { isJson }: BodyShape,
  bounds: BodyBounds,
): Promise<Buffer> {
  const message = isPacked && packed.byteLength > 0 ? await unpackWithin(packed, bounds) : packed;
  checkParts(message, isJson, bounds);
  return message;
}

/** Refuses a message that would decode into more parts than are taken. */
export function checkParts(message: Uint8Array, isJson: boolean, bounds: BodyBounds): void {
  const isTooMuch = isJson
    ? hasTooManyJsonParts(message, bounds.partsMax)
    : hasTooManyParts(bounds.schema, message, bounds.partsMax);
  if (!isTooMuch) return;
  bounds.onRefused("message-parts");
  const why = `The message has more than ${bounds.partsMax} fields and elements: send less at once`;
  throw new ConnectError(why, Code.ResourceExhausted);
}

async function unpackWithin(packed: Buffer, bounds: BodyBounds): Promise<Buffer> {
  try {
    return await unpack(packed, { maxOutputLength: bounds.bytesMax });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(bounds);
    throw new ConnectError(
      "The message is not valid gzip",
      Code.InvalidArgument,
      undefined,
      undefined,
      error,
    );
  }
}

/** The refusal of a message of more bytes than are taken. */
export function tooLarge({ bytesMax, onRefused }: BodyBounds): ConnectError {
  onRefused("message-bytes");
  const why = `The message has more than ${bytesMax} bytes after unpacking, which is the most this call takes: send less at once`;
  return new ConnectError(why, Code.ResourceExhausted);
}
