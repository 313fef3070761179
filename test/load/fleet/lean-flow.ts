import { windowBytes } from "#wire";

import { flag, frame, frameBytesMax, frameType, windowUpdate } from "./lean-frames.ts";

export interface CallEvents {
  readonly onData: (piece: Buffer) => void;
  /** Once: when the server has said everything, or with why it did not. */
  readonly onEnd: (error?: Error) => void;
}

/** The calls of one connection, each within the windows that both sides leave each other. */
export interface Flow {
  /** Begins a call behind its headers, and answers with its number. */
  open(headers: (id: number) => Buffer, first: Uint8Array, isWhole: boolean, events: CallEvents): number;
  /** Sends bytes of a call as soon as there is room for them; nothing when it has ended. */
  send(id: number, bytes: Uint8Array): void;
  received(id: number, piece: Buffer): void;
  /** Ends a call, and tells whoever made it. */
  finish(id: number, error?: Error): void;
  finishAll(error: Error): void;
  /** The server takes so many bytes more, of one call or, for 0, in all. */
  giveRoom(id: number, bytes: number): void;
  /** What the server takes of each call from its beginning. */
  setRoom(bytes: number): void;
}

/** The protocol's window, as long as nobody says otherwise. */
export const usualWindowBytes = 65_535;

interface Stream extends CallEvents {
  /** What may still be sent on it. */
  room: number;
  /** What was taken from it and the server was not told yet. */
  taken: number;
  readonly waiting: { readonly bytes: Uint8Array; readonly isLast: boolean }[];
}

export function createFlow(write: (bytes: Buffer) => void): Flow {
  const streams = new Map<number, Stream>();
  let next = 1;
  let room = usualWindowBytes;
  let streamRoom = usualWindowBytes;
  let taken = 0;

  /** The frames of what waits on a stream, as far as there is room for them. */
  function framesOf(id: number, stream: Stream): readonly Buffer[] {
    const frames: Buffer[] = [];
    for (let part = stream.waiting[0]; part !== undefined; part = stream.waiting[0]) {
      const { bytes, isLast } = part;
      if (bytes.length > Math.min(room, stream.room)) break;
      stream.waiting.shift();
      room -= bytes.length;
      stream.room -= bytes.length;
      frames.push(frame(frameType.data, isLast ? flag.endStream : 0, id, bytes));
    }
    return frames;
  }
  function flush(): void {
    for (const [id, stream] of streams) for (const each of framesOf(id, stream)) write(each);
  }
  function finish(id: number, error?: Error): void {
    const stream = streams.get(id);
    streams.delete(id);
    stream?.onEnd(error);
  }
  /** Half a window that was taken is given back, as the platform does: what there is of both kinds in one write. */
  function giveBack(id: number, stream: Stream | undefined): void {
    if (Math.max(taken, stream?.taken ?? 0) < windowBytes / 2) return;
    const updates = taken === 0 ? [] : [windowUpdate(0, taken)];
    if (stream !== undefined && stream.taken > 0) updates.push(windowUpdate(id, stream.taken));
    write(Buffer.concat(updates));
    taken = 0;
    if (stream !== undefined) stream.taken = 0;
  }
  return {
    open: (headers, first, isWhole, events) => {
      const id = next;
      next += 2;
      const stream = { ...events, room: streamRoom, taken: 0, waiting: [{ bytes: first, isLast: isWhole }] };
      streams.set(id, stream);
      // In one write they are one record of TLS and one call of the system.
      write(Buffer.concat([headers(id), ...framesOf(id, stream)]));
      return id;
    },
    send: (id, bytes) => {
      if (bytes.length > frameBytesMax) throw new RangeError(`A message of ${bytes.length} bytes`);
      const stream = streams.get(id);
      stream?.waiting.push({ bytes, isLast: false });
      for (const each of stream === undefined ? [] : framesOf(id, stream)) write(each);
    },
    received: (id, piece) => {
      const stream = streams.get(id);
      stream?.onData(piece);
      taken += piece.length;
      if (stream !== undefined) stream.taken += piece.length;
      giveBack(id, stream);
    },
    finish,
    finishAll: (error) => {
      for (const id of streams.keys()) finish(id, error);
    },
    giveRoom: (id, bytes) => {
      const stream = streams.get(id);
      if (id === 0) room += bytes;
      else if (stream !== undefined) stream.room += bytes;
      flush();
    },
    setRoom: (bytes) => {
      for (const stream of streams.values()) stream.room += bytes - streamRoom;
      streamRoom = bytes;
      flush();
    },
  };
}
