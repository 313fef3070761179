import { createHash } from "node:crypto";
import * as net from "node:net";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import * as tls from "node:tls";
import { gunzipSync } from "node:zlib";
import { Decoder, ExtensionCodec, encode } from "@msgpack/msgpack";

/** One event as it arrived. */
export interface ForwardedEvent {
  readonly tag: string;
  readonly seconds: number;
  readonly nanos: number;
  readonly record: unknown;
}

export interface ForwardServerOptions {
  readonly sharedKey?: string;
  readonly users?: Readonly<Record<string, string>>;
  readonly hostname?: string;
  readonly keepalive?: boolean;
  /** Says PONG with a proof that is made with this key. */
  readonly lies?: string;
  /** Sends back the client's own name and proof. */
  readonly reflects?: boolean;
  readonly tls?: tls.TlsOptions;
  /** A larger message closes the connection, as in servers with a bound. */
  readonly messageBytesMax?: number;
}

/** What the server does with a message that it understood. */
export type Reaction = "ack" | "ignore" | "close" | "wrong-ack" | "rubbish";

export interface ForwardServer {
  readonly port: number;
  readonly events: ForwardedEvent[];
  /** Options of each message. */
  readonly messages: Record<string, unknown>[];
  /** What was not as the specification says; has to stay empty. */
  readonly offences: string[];
  connections: number;
  react: (events: readonly ForwardedEvent[]) => Reaction;
  closeConnections(): void;
}

/** An event time: extension type 0 of eight bytes, seconds and nanoseconds, big endian. */
class EventTime {
  readonly seconds: number;
  readonly nanos: number;

  constructor(data: Uint8Array) {
    if (data.length !== 8) throw new Error(`EventTime has ${data.length} bytes`);
    const view = Buffer.from(data);
    this.seconds = view.readUInt32BE(0);
    this.nanos = view.readUInt32BE(4);
    if (this.nanos > 999_999_999) throw new Error(`EventTime has ${this.nanos} nanoseconds`);
  }
}

const extensionCodec = new ExtensionCodec();
extensionCodec.register({ type: 0, encode: () => null, decode: (data) => new EventTime(data) });
const decoderOptions = { extensionCodec, useBigInt64: true } as const;

/**
 * A server of the Forward protocol, version 1, written from its specification and none of our code: what the
 * specification forbids is an offence, also where real servers would let it pass.
 */
export async function startForwardServer(
  t: TestContext,
  options: ForwardServerOptions = {},
): Promise<ForwardServer> {
  const sockets = new Set<net.Socket>();
  const state: ForwardServer = {
    port: 0,
    events: [],
    messages: [],
    offences: [],
    connections: 0,
    react: () => "ack",
    closeConnections: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
  const accept = (socket: net.Socket) => {
    state.connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    serve(socket, state, options).catch((error: unknown) => {
      // A client may go away at any time; anything else it did wrong.
      const isGone = (error as NodeJS.ErrnoException).code !== undefined;
      if (!isGone) state.offences.push(String(error));
      socket.destroy();
    });
  };
  const server = options.tls === undefined ? net.createServer(accept) : tls.createServer(options.tls, accept);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    state.closeConnections();
    server.close();
  });
  return Object.assign(state, { port: (server.address() as AddressInfo).port });
}

async function serve(socket: net.Socket, state: ForwardServer, options: ForwardServerOptions): Promise<void> {
  const messages = new Decoder(decoderOptions).decodeStream(socket as AsyncIterable<Buffer>);
  if (options.sharedKey !== undefined && !(await shakeHands(socket, messages, options.sharedKey, options))) {
    return;
  }
  for await (const message of messages) {
    const { events, option, bytes } = readMessage(message);
    if (bytes > (options.messageBytesMax ?? Number.POSITIVE_INFINITY)) return void socket.destroy();
    const reaction = state.react(events);
    if (reaction === "close") return void socket.destroy();
    state.messages.push(option);
    if (reaction === "ignore") continue;
    if (reaction === "rubbish") socket.write(Buffer.from([0xc1]));
    else {
      state.events.push(...events);
      const chunk = option["chunk"];
      if (reaction === "wrong-ack") socket.write(encode({ ack: "AAAAAAAAAAAAAAAAAAAAAA==" }));
      else if (chunk !== undefined) socket.write(encode({ ack: chunk }));
    }
    if (options.keepalive === false) return void socket.end();
  }
}

async function shakeHands(
  socket: net.Socket,
  messages: AsyncGenerator,
  key: string,
  options: ForwardServerOptions,
): Promise<boolean> {
  // No text: clients have to hash the bytes as they are.
  const nonce = Buffer.from("00ff80c3287f01e29a", "hex");
  const auth = options.users === undefined ? Buffer.alloc(0) : Buffer.from("fe01ff", "hex");
  const keepalive = options.keepalive ?? true;
  socket.write(encode(["HELO", { nonce: new Uint8Array(nonce), auth: new Uint8Array(auth), keepalive }]));
  const { value } = await messages.next();
  if (!Array.isArray(value) || value.length !== 6 || !value.every((one) => typeof one === "string")) {
    throw new Error(`PING is no array of six strings: ${JSON.stringify(value)}`);
  }
  const [type, hostname, salt, proof, user, password] = value as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  if (type !== "PING") throw new Error(`${type} instead of PING`);
  const hex = (...parts: (string | Buffer)[]) => {
    const hash = createHash("sha512");
    for (const part of parts) hash.update(part);
    return hash.digest("hex");
  };
  const name = options.reflects === true ? hostname : (options.hostname ?? "server.test");
  const refuse = (reason: string) => {
    socket.end(encode(["PONG", false, reason, name, ""]));
    return false;
  };
  if (proof !== hex(salt, hostname, nonce, key)) return refuse("shared_key mismatch");
  const expected = options.users?.[user];
  if (options.users !== undefined && (expected === undefined || password !== hex(auth, user, expected))) {
    return refuse("username/password mismatch");
  }
  const pong = options.reflects === true ? proof : hex(salt, name, nonce, options.lies ?? key);
  socket.write(encode(["PONG", true, "", name, pong]));
  return true;
}

interface Message {
  readonly events: ForwardedEvent[];
  readonly option: Record<string, unknown>;
  /** Of the entries, as they came. */
  readonly bytes: number;
}

function readMessage(message: unknown): Message {
  if (!Array.isArray(message) || message.length !== 3) throw new Error("a message is no array of three");
  const [tag, entries, option] = message as [unknown, unknown, Record<string, unknown>];
  if (typeof tag !== "string") throw new Error("the tag is no string");
  if (!(entries instanceof Uint8Array)) throw new Error("entries are not bin");
  const { chunk, size, compressed } = option;
  if (chunk !== undefined && (typeof chunk !== "string" || Buffer.from(chunk, "base64").length !== 16)) {
    throw new Error(`chunk is no base64 of 128 bits: ${JSON.stringify(chunk)}`);
  }
  if (compressed !== undefined && compressed !== "gzip") {
    throw new Error(`compressed is ${JSON.stringify(compressed)}`);
  }
  const stream = compressed === "gzip" ? gunzipSync(entries) : entries;
  const events = [...new Decoder(decoderOptions).decodeMulti(stream)].map((entry) => readEntry(tag, entry));
  if (Number(size) !== events.length) {
    throw new Error(`size is ${JSON.stringify(size)}, and there are ${events.length} entries`);
  }
  return { events, option, bytes: entries.length };
}

function readEntry(tag: string, entry: unknown): ForwardedEvent {
  if (!Array.isArray(entry) || entry.length !== 2) throw new Error("an entry is no array of two");
  const [time, record] = entry as [unknown, unknown];
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw new Error("a record is no map");
  }
  if (time instanceof EventTime) return { tag, seconds: time.seconds, nanos: time.nanos, record };
  if (typeof time !== "number" || !Number.isInteger(time)) {
    throw new Error(`the time is ${JSON.stringify(time)}`);
  }
  return { tag, seconds: time, nanos: -1, record };
}
