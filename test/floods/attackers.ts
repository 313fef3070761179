import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

import { endHeaders, endStream, frame, frameTypes, head, literal, preface, settings } from "./frames.ts";

/** Attackers come from addresses of their own, as strangers do; the system routes all of 127/8 to itself. */
export const attackerAddress = "127.0.0.66";

/** One of 150 more addresses, for attackers that are not to pay for one another. */
export function addressOf(attacker: number): string {
  return `127.0.0.${100 + (attacker % 150)}`;
}

export interface Target {
  readonly port: number;
  /** Where the attacker comes from; {@link attackerAddress} if nothing is said. */
  readonly from?: string;
}

/** An attack writes what it has to write for as long as its connection lets it. */
export interface Attack {
  readonly name: string;
  readonly protocol: "h2" | "http/1.1" | "tcp";
  /** Sent once. */
  readonly first: Buffer;
  /** Sent again and again; nothing for attacks that wait. */
  readonly again?: (turn: number) => Buffer;
  /** Whether it reads what comes back. */
  readonly isDeaf?: boolean;
  /** How long between two writes, for the slow ones. */
  readonly everyMs?: number;
  /** Reasons of the metric, one of which has to be counted. */
  readonly counted: readonly string[];
}

const path = "/fleet.v1.ClusterService/ListClusters";
const enroll = "/agent.v1.EnrollmentService/Enroll";
/** As many as fit into one write of some kilobytes. */
const many = (count: number, make: (at: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, at) => make(at)));
const streamId = (turn: number, at: number, count: number) => 1 + 2 * (turn * count + at);

const http2: readonly Attack[] = [
  {
    name: "rapid reset",
    protocol: "h2",
    first: preface,
    again: (turn) =>
      many(100, (at) => {
        const id = streamId(turn, at, 100);
        const open = frame(frameTypes.headers, endHeaders, id, head(path));
        return Buffer.concat([open, frame(frameTypes.reset, 0, id, Buffer.from([0, 0, 0, 8]))]);
      }),
    counted: ["http2-violation", "strikes", "newcomer-bytes"],
  },
  {
    name: "headers without end: CONTINUATION",
    protocol: "h2",
    first: Buffer.concat([preface, frame(frameTypes.headers, 0, 1, head(path))]),
    again: () => many(100, () => frame(frameTypes.continuation, 0, 1, literal("x", "y".repeat(100)))),
    counted: ["http2-violation"],
  },
  {
    name: "a flood of PING",
    protocol: "h2",
    first: preface,
    again: () => many(200, () => frame(frameTypes.ping, 0, 0, Buffer.alloc(8))),
    counted: ["ping-flood"],
  },
  {
    name: "a flood of PING by a peer that reads nothing",
    protocol: "h2",
    first: preface,
    again: () => many(200, () => frame(frameTypes.ping, 0, 0, Buffer.alloc(8))),
    isDeaf: true,
    counted: ["ping-flood"],
  },
  {
    name: "a flood of SETTINGS",
    protocol: "h2",
    first: preface,
    again: () => many(200, () => settings([[4, 65_535]])),
    counted: ["settings-flood"],
  },
  {
    name: "a flood of empty DATA",
    protocol: "h2",
    first: Buffer.concat([preface, frame(frameTypes.headers, endHeaders, 1, head(enroll))]),
    again: () => many(500, () => frame(frameTypes.data, 0, 1)),
    counted: ["http2-violation", "newcomer-bytes"],
  },
  {
    name: "a flood of PRIORITY",
    protocol: "h2",
    first: preface,
    again: (turn) =>
      many(500, (at) => frame(frameTypes.priority, 0, streamId(turn, at, 500), Buffer.from([0, 0, 0, 0, 1]))),
    counted: ["newcomer-bytes", "http2-violation"],
  },
  {
    name: "a flood of frames of no known type",
    protocol: "h2",
    first: preface,
    again: () => many(500, () => frame(0xfa, 0, 0, Buffer.alloc(16))),
    counted: ["newcomer-bytes", "http2-violation"],
  },
  {
    name: "one header that unpacks to many: the table bomb",
    protocol: "h2",
    first: preface,
    again: (turn) => {
      // One entry of the dynamic table, named four thousand times by one byte each.
      const bomb = Buffer.concat([literal("bomb", "b".repeat(120), true), Buffer.alloc(4_000, 0x80 | 62)]);
      return frame(frameTypes.headers, endHeaders | endStream, 1 + 2 * turn, head(path, bomb));
    },
    counted: ["http2-violation", "strikes", "newcomer-bytes"],
  },
  {
    name: "answers that nobody takes: zero window",
    protocol: "h2",
    first: Buffer.concat([
      Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      settings([[4, 0]]),
      many(8, (at) => frame(frameTypes.headers, endHeaders | endStream, 1 + 2 * at, head("/metrics"))),
    ]),
    counted: ["response-not-taken", "no-pong"],
  },
  {
    name: "a connection that says nothing after its handshake",
    protocol: "h2",
    first: Buffer.alloc(0),
    counted: ["newcomer-late"],
  },
];

const http1: readonly Attack[] = [
  {
    name: "slowloris: a head that comes a byte at a time",
    protocol: "http/1.1",
    first: Buffer.from(`POST ${path} HTTP/1.1\r\nhost: localhost\r\n`),
    again: () => Buffer.from("x"),
    everyMs: 500,
    counted: ["http1-late", "newcomer-late"],
  },
  {
    name: "slow body: a call whose body never ends",
    protocol: "http/1.1",
    first: Buffer.from(
      `POST ${enroll} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n`,
    ),
    again: () => Buffer.from(" "),
    everyMs: 500,
    counted: ["body-late", "http1-late"],
  },
  {
    name: "pipelining",
    protocol: "http/1.1",
    first: Buffer.alloc(0),
    again: () =>
      many(200, () =>
        Buffer.from(
          `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
        ),
      ),
    counted: ["pipelining"],
  },
  {
    name: "a head larger than any",
    protocol: "http/1.1",
    first: Buffer.from(`GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(64 * 1024)}\r\n\r\n`),
    counted: ["http1-headers"],
  },
];

const tls: readonly Attack[] = [
  {
    name: "garbage in place of TLS",
    protocol: "tcp",
    first: Buffer.alloc(4_096, 0x5a),
    counted: ["handshake-failed"],
  },
  {
    name: "half a handshake",
    protocol: "tcp",
    // The head of a record with a ClientHello of 512 bytes, of which nothing follows.
    first: Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]),
    counted: ["handshake-late", "newcomer-late"],
  },
];

export const attacks: readonly Attack[] = [...http2, ...http1, ...tls];

export interface Attacker {
  /** Resolves when the server has ended the connection. */
  readonly cut: Promise<void>;
  bytesSent(): number;
  stop(): void;
}

/** Opens one connection and attacks over it until it is cut or stopped. */
export function attack(target: Target, what: Attack): Attacker {
  const socket = open(target, what);
  const cut = Promise.withResolvers<void>();
  let isStopped = false;
  let turn = 0;
  socket.on("error", () => undefined);
  socket.once("close", () => cut.resolve());
  if (what.isDeaf !== true) socket.resume();
  const { again, everyMs = 0 } = what;
  function goOn(): void {
    if (isStopped || socket.destroyed || again === undefined) return;
    const next = again(turn);
    turn += 1;
    if (everyMs > 0) {
      socket.write(next);
      setTimeout(goOn, everyMs).unref();
    } else if (socket.write(next)) setImmediate(goOn);
    else socket.once("drain", goOn);
  }
  socket.once(what.protocol === "tcp" ? "connect" : "secureConnect", () => {
    if (what.first.byteLength > 0) socket.write(what.first);
    goOn();
  });
  return {
    cut: cut.promise,
    bytesSent: () => socket.bytesWritten,
    stop: () => {
      isStopped = true;
      socket.destroy();
    },
  };
}

function open({ port, from = attackerAddress }: Target, { protocol }: Attack): Socket {
  const socket = connectTcp({ host: "127.0.0.1", port, localAddress: from });
  if (protocol === "tcp") return socket;
  socket.on("error", () => undefined);
  // It is the attacker's loss when it talks to another server.
  return connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: [protocol] });
}
