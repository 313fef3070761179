import { ScramServer } from "./scram.ts";
import * as net from "node:net";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import * as tls from "node:tls";
import { Reader, array, int16, int32, int64, readBatch, string } from "./kafka-bytes.ts";
import type { RecordBatch } from "./kafka-bytes.ts";

export interface KafkaMessage {
  readonly topic: string;
  readonly partition: number;
  readonly key: string | undefined;
  readonly value: string;
  readonly timestampMs: number;
}

/** What the cluster does with a batch: an error code, or a connection that ends before or after it was written. */
export type KafkaReaction = "write" | number | "drop-before" | "drop-after";

export interface KafkaCluster {
  /** Of the first broker. */
  readonly port: number;
  /** What was written, in the order of writing. */
  readonly log: KafkaMessage[];
  /** What no client may do; has to stay empty. */
  readonly offences: string[];
  readonly batches: (RecordBatch & { readonly acks: number })[];
  /** The host that brokers say they have. */
  advertisedHost: string;
  react: (topic: string, partition: number, batch: RecordBatch) => KafkaReaction;
  /** Moves all partitions to the next broker. */
  moveLeaders(): void;
  closeConnections(): void;
}

export interface KafkaClusterOptions {
  readonly topics?: Readonly<Record<string, number>>;
  readonly brokers?: number;
  readonly batchBytesMax?: number;
  /** User and password of SASL; whoever does not prove them first is put out. */
  readonly sasl?: readonly [user: string, password: string];
  /** PLAIN if not given. */
  readonly scram?: "SCRAM-SHA-256" | "SCRAM-SHA-512";
  /** The server's own proof at the end of SCRAM is wrong, as of one that does not know the password. */
  readonly lies?: boolean;
  /** The host that brokers say they have. */
  readonly advertisedHost?: string;
  readonly tls?: tls.TlsOptions;
}

const errors = {
  none: 0,
  messageTooLarge: 10,
  outOfOrder: 45,
  unknownTopic: 3,
  notLeader: 6,
  sasl: 58,
} as const;
const apis = {
  produce: 0,
  metadata: 3,
  saslHandshake: 17,
  apiVersions: 18,
  initProducerId: 22,
  saslAuthenticate: 36,
};

/**
 * Brokers in this process that speak what a producer needs, by the published protocol: versions, metadata, producer ids
 * and produce, with checksums, sequences, leaders and limits judged as real ones do. They keep nothing on disk and have no
 * replicas: what a cluster loses cannot be tested with them.
 */
export async function startKafka(t: TestContext, options: KafkaClusterOptions = {}): Promise<KafkaCluster> {
  const topics = options.topics ?? { audit: 3 };
  const sockets = new Set<net.Socket>();
  const cluster: State = {
    port: 0,
    log: [],
    offences: [],
    batches: [],
    advertisedHost: options.advertisedHost ?? "127.0.0.1",
    react: () => "write",
    moveLeaders: () => cluster.shift++,
    closeConnections: () => {
      for (const socket of sockets) socket.destroy();
    },
    shift: 0,
    ports: [],
    nextProducerId: 4000n,
    sequences: new Map(),
    topics,
    options,
  };
  for (let node = 0; node < (options.brokers ?? 1); node++) {
    const accept = (socket: net.Socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket)).on("error", () => {});
      serve(socket, node, cluster).catch((error: unknown) => {
        const isGone = (error as NodeJS.ErrnoException).code?.startsWith("E") === true;
        if (!isGone) cluster.offences.push(String(error));
        socket.destroy();
      });
    };
    const server =
      options.tls === undefined ? net.createServer(accept) : tls.createServer(options.tls, accept);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cluster.ports.push((server.address() as AddressInfo).port);
    t.after(() => {
      cluster.closeConnections();
      server.close();
    });
  }
  cluster.port = cluster.ports[0] ?? 0;
  return cluster;
}

interface State extends KafkaCluster {
  port: number;
  shift: number;
  readonly ports: number[];
  nextProducerId: bigint;
  /** The next sequence of each producer and partition. */
  readonly sequences: Map<string, number>;
  readonly topics: Readonly<Record<string, number>>;
  readonly options: KafkaClusterOptions;
}

async function serve(socket: net.Socket, node: number, cluster: State): Promise<void> {
  let buffered: Buffer = Buffer.alloc(0);
  const session = newSession(cluster.options);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    buffered = Buffer.concat([buffered, chunk]);
    while (buffered.length >= 4 && buffered.length >= 4 + buffered.readInt32BE(0)) {
      const size = 4 + buffered.readInt32BE(0);
      const reply = answer(new Reader(buffered.subarray(4, size)), node, cluster, session);
      buffered = buffered.subarray(size);
      if (reply === undefined) return void socket.destroy();
      socket.write(Buffer.concat([int32(reply.length), reply]));
    }
  }
}

function answer(request: Reader, node: number, cluster: State, session: Session): Buffer | undefined {
  const [api, version, correlation] = [request.int16(), request.int16(), int32(request.int32())];
  request.string();
  if (api === apis.apiVersions) return Buffer.concat([correlation, versions(version >= 3)]);
  if (api === apis.saslHandshake) {
    const mechanism = cluster.options.scram ?? "PLAIN";
    return Buffer.concat([correlation, int16(0), array([string(mechanism)])]);
  }
  if (api === apis.saslAuthenticate) {
    return Buffer.concat([correlation, authenticate(request.blob().toString(), cluster.options, session)]);
  }
  if (!session.isKnown) return undefined;
  if (api === apis.metadata) return Buffer.concat([correlation, metadata(request, cluster)]);
  if (api === apis.initProducerId) {
    request.string();
    return Buffer.concat([correlation, int32(0), int16(0), int64(cluster.nextProducerId++), int16(0)]);
  }
  if (api !== apis.produce) throw new Error(`request ${api} version ${version} is not known to this broker`);
  const body = produce(request, node, cluster);
  return body === undefined ? undefined : Buffer.concat([correlation, body]);
}

interface Session {
  isKnown: boolean;
  readonly scram: ScramServer | undefined;
}

function newSession({ sasl, scram }: KafkaClusterOptions): Session {
  const [user = "", password = ""] = sasl ?? [];
  const hash = scram === "SCRAM-SHA-512" ? "sha512" : "sha256";
  return {
    isKnown: sasl === undefined,
    scram: scram === undefined ? undefined : new ScramServer(hash, user, password),
  };
}

function authenticate(message: string, { sasl, lies }: KafkaClusterOptions, session: Session): Buffer {
  const refused = Buffer.concat([int16(errors.sasl), string("Authentication failed"), int32(0)]);
  if (session.scram === undefined) {
    const [, user, password] = message.split("\0");
    session.isKnown = user === sasl?.[0] && password === sasl?.[1];
    return session.isKnown ? Buffer.concat([int16(0), string(undefined), int32(0)]) : refused;
  }
  const reply = session.scram.answer(message);
  if (reply === undefined) return refused;
  session.isKnown = reply.isProved;
  const isLie = reply.isProved && lies === true;
  const text = Buffer.from(isLie ? `v=${Buffer.alloc(32).toString("base64")}` : reply.text);
  return Buffer.concat([int16(0), string(undefined), int32(text.length), text]);
}

/** Requests of versions without tagged fields, as brokers had them before 2.4; this answer may have them. */
function versions(isFlexible: boolean): Buffer {
  const supported = [
    [apis.produce, 7, 7],
    [apis.metadata, 5, 5],
    [apis.saslHandshake, 0, 1],
    [apis.apiVersions, 0, 3],
    [apis.initProducerId, 0, 1],
    [apis.saslAuthenticate, 0, 0],
  ] as const;
  const keys = supported.map(([key, min, max]) => Buffer.concat([int16(key), int16(min), int16(max)]));
  if (!isFlexible) return Buffer.concat([int16(0), array(keys), int32(0)]);
  const noTags = Buffer.from([0]);
  const tagged = keys.map((key) => Buffer.concat([key, noTags]));
  return Buffer.concat([int16(0), Buffer.from([keys.length + 1]), ...tagged, int32(0), noTags]);
}

function metadata(request: Reader, cluster: State): Buffer {
  const wanted = request.array(() => request.string() ?? "");
  const host = cluster.advertisedHost;
  const brokers = cluster.ports.map((port, node) =>
    Buffer.concat([int32(node), string(host), int32(port), string(undefined)]),
  );
  const topics = wanted.map((name) => {
    const count = cluster.topics[name] ?? 0;
    const partitions = Array.from({ length: count }, (_, index) =>
      Buffer.concat([
        int16(0),
        int32(index),
        int32(leaderOf(index, cluster)),
        array([int32(0)]),
        array([int32(0)]),
        array([]),
      ]),
    );
    const error = count === 0 ? errors.unknownTopic : errors.none;
    return Buffer.concat([int16(error), string(name), Buffer.from([0]), array(partitions)]);
  });
  return Buffer.concat([int32(0), array(brokers), string("cluster"), int32(0), array(topics)]);
}

function leaderOf(partition: number, cluster: State): number {
  return (partition + cluster.shift) % cluster.ports.length;
}

function produce(request: Reader, node: number, cluster: State): Buffer | undefined {
  if (request.string() !== undefined) throw new Error("a transaction was not to be expected");
  const acks = request.int16();
  request.int32();
  let isDropped = false;
  const topics = request.array(() => {
    const topic = request.string() ?? "";
    const partitions = request.array(() => {
      const partition = request.int32();
      const code = write(topic, partition, request.blob(), { acks, node }, cluster);
      if (code === "drop") isDropped = true;
      const error = code === "drop" ? 0 : code;
      return Buffer.concat([int32(partition), int16(error), int64(0n), int64(-1n), int64(0n)]);
    });
    return Buffer.concat([string(topic), array(partitions)]);
  });
  return isDropped ? undefined : Buffer.concat([array(topics), int32(0)]);
}

/** The error code for one partition; `drop` ends the connection without an answer. */
function write(
  topic: string,
  partition: number,
  bytes: Buffer,
  { acks, node }: { readonly acks: number; readonly node: number },
  cluster: State,
): number | "drop" {
  if (leaderOf(partition, cluster) !== node) return errors.notLeader;
  if (bytes.length > (cluster.options.batchBytesMax ?? 1_048_588)) return errors.messageTooLarge;
  const batch = readBatch(bytes);
  const reaction = cluster.react(topic, partition, batch);
  if (reaction === "drop-before") return "drop";
  if (typeof reaction === "number") return reaction;
  if (batch.producerId >= 0n) {
    const name = `${batch.producerId} ${topic} ${partition}`;
    const expected = cluster.sequences.get(name) ?? 0;
    // A batch that is there already is acknowledged once more, and not written.
    if (batch.baseSequence < expected) return errors.none;
    if (batch.baseSequence > expected) return errors.outOfOrder;
    cluster.sequences.set(name, expected + batch.messages.length);
  }
  cluster.batches.push({ ...batch, acks });
  cluster.log.push(...batch.messages.map((message) => ({ topic, partition, ...message })));
  return reaction === "drop-after" ? "drop" : errors.none;
}
