import type { DescMessage } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** A message becomes an object with a place for each of its fields, so it weighs more than a value. */
const messageWeight = 4;
/** The smallest part is an empty message, of two bytes. */
const partsPerByteMax = messageWeight / 2;
/** The decoder refuses deeper ones by itself. */
const depthMax = 100;

/**
 * Whether decoding a message would make more parts than `max`. A megabyte of empty sub-messages takes the decoder two
 * seconds and a hundred times its size in memory, so parts are counted on the bytes, where counting costs nothing.
 * Malformed bytes are counted up to where they break: the decoder gets no further either.
 */
export function hasTooManyParts(schema: DescMessage, bytes: Uint8Array, max: number): boolean {
  // Most messages are too short for it.
  if (bytes.length * partsPerByteMax <= max) return false;
  try {
    return countParts(schema, bytes, max, 0) > max;
  } catch {
    // The decoder stumbles over the same byte, and tells the caller so in its own words.
    return false;
  }
}

function countParts(schema: DescMessage, bytes: Uint8Array, max: number, depth: number): number {
  const reader = new BinaryReader(bytes);
  const messages = messageFields(schema);
  let parts = 0;
  while (reader.pos < reader.len && parts <= max) {
    const [number, wireType] = reader.tag();
    const inner = messages.get(number);
    if (inner === undefined || wireType !== WireType.LengthDelimited || depth >= depthMax) {
      reader.skip(wireType, number);
      parts += 1;
    } else {
      parts += messageWeight + countParts(inner, reader.bytes(), max - parts, depth + 1);
    }
  }
  return parts;
}

const known = new Map<DescMessage, ReadonlyMap<number, DescMessage>>();

/** The fields of a message that hold messages, by number. There are as many entries as our contract has messages. */
function messageFields(schema: DescMessage): ReadonlyMap<number, DescMessage> {
  const found = known.get(schema);
  if (found !== undefined) return found;
  const made = new Map<number, DescMessage>();
  for (const { number, message } of schema.fields) if (message !== undefined) made.set(number, message);
  known.set(schema, made);
  return made;
}

const [quote, backslash, comma, brace, bracket] = [0x22, 0x5c, 0x2c, 0x7b, 0x5b];

/** The same for JSON: every object, list and element, counted outside strings. */
export function hasTooManyJsonParts(bytes: Uint8Array, max: number): boolean {
  let parts = 0;
  let isString = false;
  for (let at = 0; at < bytes.length && parts <= max; at += 1) {
    const byte = bytes[at];
    if (isString) {
      if (byte === backslash) at += 1;
      else if (byte === quote) isString = false;
    } else if (byte === quote) isString = true;
    else if (byte === brace || byte === bracket) parts += messageWeight;
    else if (byte === comma) parts += 1;
  }
  return parts > max;
}
