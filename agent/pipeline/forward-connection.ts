import type { Socket } from "node:net";
import { hostname } from "node:os";
import { Decoder } from "@msgpack/msgpack";
import type { ForwardConfig } from "#shipper";
import { makePing, pongProblem, readAck, readHelo } from "./forward-handshake.ts";
import type { Credentials } from "./forward-handshake.ts";
import { connect } from "./http-connect.ts";
import { readSecret } from "./secret.ts";
import type { MayUseSecret } from "./secret.ts";

/** Servers say little; one that says more is none. */
const answerBytesMax = 64 * 1024;
const limits = {
  maxStrLength: 8192,
  maxBinLength: 8192,
  maxArrayLength: 32,
  maxMapLength: 32,
  maxExtLength: 64,
};

/** The other side refused us; nothing was sent. */
export class HandshakeError extends Error {}

/** A connection on which messages may be sent: where a key is shared, both sides have proved that they know it. */
export class ForwardConnection {
  /** Whether the server wants it to be used only once. */
  readonly isForOnce: boolean;
  isOpen = true;
  /** Whether a message was acknowledged on it. */
  hasServed = false;
  readonly #socket: Socket;
  readonly #answers: AsyncGenerator;
  readonly #answerTimeoutMs: number;

  private constructor(socket: Socket, answers: AsyncGenerator, isForOnce: boolean, timeoutMs: number) {
    this.#socket = socket;
    this.#answers = answers;
    this.isForOnce = isForOnce;
    this.#answerTimeoutMs = timeoutMs;
    socket.on("close", () => (this.isOpen = false));
  }

  /** Connects and shakes hands. Throws a ConnectError or a HandshakeError. */
  static async open(config: ForwardConfig, mayUse: MayUseSecret): Promise<ForwardConnection> {
    const socket = await connect(config, mayUse, []);
    // Whoever waits for something hears of it there.
    socket.on("error", () => {});
    const answers = readAnswers(socket);
    try {
      const isForOnce =
        config.sharedKey === undefined ? false : await shakeHands(socket, answers, config, mayUse);
      return new ForwardConnection(socket, answers, isForOnce, config.answerTimeoutMs);
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** Sends messages; resolves when they were handed to the system. */
  send(pieces: readonly Buffer[]): Promise<void> {
    return within(write(this.#socket, pieces), this.#answerTimeoutMs, "not all was taken");
  }

  /** The chunk that the next answer acknowledges. Throws when there is none in time. */
  async nextAck(): Promise<string> {
    const message = await within(this.#answers.next(), this.#answerTimeoutMs, "no acknowledgement");
    if (message.done === true) throw new Error("the connection was closed before the acknowledgement");
    const chunk = readAck(message.value);
    if (chunk !== undefined) {
      this.hasServed = true;
      return chunk;
    }
    if (readHelo(message.value) === undefined) {
      throw new Error("it answered something else than an acknowledgement");
    }
    throw new HandshakeError('it asks for a handshake: give both sides the same "shared_key"');
  }

  close(): void {
    this.isOpen = false;
    this.#socket.destroy();
  }
}

/** Whether the server wants the connection to be used only once. */
async function shakeHands(
  socket: Socket,
  answers: AsyncGenerator,
  config: ForwardConfig,
  mayUse: MayUseSecret,
): Promise<boolean> {
  const secret = (one: ForwardConfig["sharedKey"]) => (one === undefined ? "" : readSecret(one, mayUse));
  const credentials: Credentials = {
    sharedKey: secret(config.sharedKey),
    user: config.user,
    password: secret(config.password),
    selfHostname: config.selfHostname ?? nodeName(),
  };
  const first = await within(answers.next(), config.answerTimeoutMs, "no HELO");
  const helo = first.done === true ? undefined : readHelo(first.value);
  if (helo === undefined) {
    throw new HandshakeError("it does not begin with HELO, and a shared_key is configured");
  }
  const ping = makePing(helo, credentials);
  await write(socket, [Buffer.from(ping.message)]);
  const second = await within(answers.next(), config.answerTimeoutMs, "no PONG");
  if (second.done === true) throw new HandshakeError("it closed the connection instead of answering PONG");
  const problem = pongProblem(second.value, helo, ping, credentials);
  if (problem !== undefined) throw new HandshakeError(problem);
  return !helo.keepsConnection;
}

/** Servers call themselves `localhost` by themselves. */
function nodeName(): string {
  const name = hostname();
  return name === "localhost" ? "falconry-agent" : name;
}

/** What comes in, message by message; strings as bytes, because nonces may be any. */
async function* readAnswers(socket: Socket): AsyncGenerator {
  const decoder = new Decoder({ ...limits, rawStrings: true });
  let budget = answerBytesMax;
  async function* bounded(): AsyncGenerator<Uint8Array> {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      budget -= chunk.length;
      if (budget < 0) throw new Error(`it answered more than ${answerBytesMax} bytes`);
      yield chunk;
    }
  }
  for await (const message of decoder.decodeStream(bounded())) {
    budget = answerBytesMax;
    yield message;
  }
}

function write(socket: Socket, pieces: readonly Buffer[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error("the connection was closed"));
    if (pieces.length === 0) return resolve();
    if (socket.destroyed) return closed();
    socket.once("close", closed);
    socket.cork();
    const last = pieces.length - 1;
    for (const [index, piece] of pieces.entries()) {
      if (index < last) socket.write(piece);
      else {
        socket.write(piece, (error) => {
          socket.off("close", closed);
          if (error === undefined || error === null) resolve();
          else reject(error);
        });
      }
    }
    socket.uncork();
  });
}

/** A server that says nothing is not waited for without a limit. */
async function within<T>(answer: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
    // What is decided later is of no interest to anybody.
    answer.catch(() => {});
  }
}
