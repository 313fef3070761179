/** HTTP/2 frames by hand (RFC 9113, section 4.1), for what no well-behaved library would send. */

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const endStream = 0x1;
export const endHeaders = 0x4;

export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = new Uint8Array(),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.byteLength, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** Settings by id and value, six bytes each. */
export function settings(pairs: readonly (readonly [id: number, value: number])[] = []): Buffer {
  const payload = Buffer.alloc(pairs.length * 6);
  for (const [at, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, at * 6);
    payload.writeUInt32BE(value, at * 6 + 2);
  }
  return frame(frameTypes.settings, 0, 0, payload);
}

export const preface = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings()]);

/** A literal header without indexing (RFC 7541, section 6.2.2), without Huffman, up to 126 bytes each. */
export function literal(name: string, value: string, isIndexed = false): Buffer {
  const text = (part: string) => Buffer.concat([Buffer.from([part.length]), Buffer.from(part)]);
  return Buffer.concat([Buffer.from([isIndexed ? 0x40 : 0x00]), text(name), text(value)]);
}

/** The head of a POST to a path, as a header block. */
export function head(path: string, more: Uint8Array = new Uint8Array()): Buffer {
  return Buffer.concat([
    // :method POST and :scheme https stand in the static table.
    Buffer.from([0x83, 0x87]),
    literal(":path", path),
    literal(":authority", "localhost"),
    literal("content-type", "application/json"),
    more,
  ]);
}
