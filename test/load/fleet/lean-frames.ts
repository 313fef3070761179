/** The frames of HTTP/2 (RFC 9113), as far as a client needs them that makes a few calls over a connection of its own. */

export const frameType = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;

export const flag = { endStream: 1, ack: 1, endHeaders: 4 } as const;

/** Of data and headers: padding, and a priority before the headers. Servers send neither. */
const unread = 8 | 32;

const setting = { headerTableSize: 1, enablePush: 2, initialWindowSize: 4 } as const;
const headBytes = 9;
/** The largest frame that either side may send without another word: 16 KiB. */
export const frameBytesMax = 16_384;

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  if (payload.length > frameBytesMax) throw new RangeError(`A frame of ${payload.length} bytes`);
  const bytes = Buffer.allocUnsafe(headBytes + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, headBytes);
  return bytes;
}

/**
 * What a client opens a connection with. The server may keep no table of headers for it, so that each block of headers that comes can be
 * read without those before it.
 */
export function opening(windowBytes: number, usualBytes: number): Buffer {
  return Buffer.concat([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    settings([setting.headerTableSize, 0], [setting.enablePush, 0], [setting.initialWindowSize, windowBytes]),
    windowUpdate(0, windowBytes - usualBytes),
  ]);
}

/** Bytes that the server may have under way on each stream. */
export function streamWindow(bytes: number): Buffer {
  return settings([setting.initialWindowSize, bytes]);
}

function settings(...all: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(6 * all.length);
  for (const [i, [id, value]] of all.entries()) {
    payload.writeUInt16BE(id, 6 * i);
    payload.writeUInt32BE(value, 6 * i + 2);
  }
  return frame(frameType.settings, 0, 0, payload);
}

/** The window that the server gives each stream, when these settings name it. */
export function windowIn(payload: Buffer): number | undefined {
  for (let at = 0; at + 6 <= payload.length; at += 6) {
    if (payload.readUInt16BE(at) === setting.initialWindowSize) return payload.readUInt32BE(at + 2);
  }
  return undefined;
}

export function windowUpdate(stream: number, bytes: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(bytes, 0);
  return frame(frameType.windowUpdate, 0, stream, payload);
}

/** Headers of a call as a block that stands for itself: nothing of it is kept in tables, so the same bytes open every call. */
export function headerBlock(
  authority: string,
  path: string,
  more: readonly (readonly [string, string])[],
): Buffer {
  const [post, https, pathName, authorityName] = [0x83, 0x87, 0x04, 0x01];
  return Buffer.concat([
    Buffer.of(post, https, pathName),
    text(path),
    Buffer.of(authorityName),
    text(authority),
    ...more.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]),
  ]);
}

/** One length byte is enough for what is said here. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length > 126) throw new RangeError(`A header of ${bytes.length} bytes`);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

/** Whether a block of headers begins with the status 200, which it says first. Changes of the table's size may come before it. */
export function saysOk(block: Buffer): boolean {
  const first = block.find((byte) => byte >> 5 !== 1);
  return first === 0x88;
}

export interface FrameEvents {
  /** A piece of the data of a stream, as it comes; `isLast` when nothing more comes on the stream. */
  readonly onData: (stream: number, piece: Buffer, isLast: boolean) => void;
  /** Any other frame, whole. */
  readonly onFrame: (type: number, flags: number, stream: number, payload: Buffer) => void;
}

/** Takes the bytes of a connection apart. Data is handed on as it comes, so that nothing large is put together here. */
export function createFrameReader({ onData, onFrame }: FrameEvents): (chunk: Buffer) => void {
  let held: Buffer | undefined;
  /** The data frame that is coming, and how much of it is still to come. */
  let coming: { readonly stream: number; readonly isLast: boolean; left: number } | undefined;

  /** Takes one thing off the front. How many bytes it was; 0 when more has to come first. */
  function takeOne(bytes: Buffer): number {
    if (coming !== undefined) {
      const piece = bytes.subarray(0, coming.left);
      coming.left -= piece.length;
      const { stream, isLast, left } = coming;
      if (left === 0) coming = undefined;
      onData(stream, piece, isLast && left === 0);
      return piece.length;
    }
    if (bytes.length < headBytes) return 0;
    const length = bytes.readUIntBE(0, 3);
    const [type = 0, flags = 0] = [bytes[3], bytes[4]];
    const stream = bytes.readUInt32BE(5) & 0x7fff_ffff;
    if (length > frameBytesMax) throw new RangeError(`The server sent a frame of ${length} bytes`);
    if (type <= frameType.headers && (flags & unread) !== 0) throw new Error("The server pads its frames");
    const isLast = (flags & flag.endStream) !== 0;
    if (type === frameType.data && length > 0) {
      coming = { stream, isLast, left: length };
      return headBytes;
    }
    if (bytes.length < headBytes + length) return 0;
    const payload = bytes.subarray(headBytes, headBytes + length);
    if (type === frameType.data) onData(stream, payload, isLast);
    else onFrame(type, flags, stream, payload);
    return headBytes + length;
  }
  return (chunk) => {
    let bytes = held === undefined ? chunk : Buffer.concat([held, chunk]);
    held = undefined;
    while (bytes.length > 0) {
      const taken = takeOne(bytes);
      if (taken === 0) break;
      bytes = bytes.subarray(taken);
    }
    if (bytes.length > 0) held = bytes;
  };
}
