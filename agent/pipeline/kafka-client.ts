import { isIP } from "node:net";
import type * as kafka from "@platformatic/kafka";
import type { KafkaConfig } from "#shipper";
import { codeOf, reasonOf } from "./files.ts";
import type { OutputContext } from "./output.ts";
import { readCaFile, readSecret, readSecretFile } from "./secret.ts";

export type KafkaLibrary = typeof kafka;
export type KafkaProducer = kafka.Producer;

/** How long what is known of the cluster counts; sooner after a failure. */
const clusterMs = 300_000;
/** Retries of the client itself, which the cluster writes once; what still fails then is for the queue. */
const retries = 3;
const retryDelayMs = 100;

/** Loads the library, which only this output needs. Throws a sentence when it is not installed. */
export async function loadKafka(alias: string): Promise<KafkaLibrary> {
  try {
    return await import("@platformatic/kafka");
  } catch (error) {
    if (codeOf(error) !== "ERR_MODULE_NOT_FOUND") throw error;
    const next = "install it beside the agent, with Node 22.22 or 24.6 and newer, or take the output out";
    throw new Error(
      `Output "${alias}" (kafka) needs the package @platformatic/kafka, which is not installed: ${next}`,
      { cause: error },
    );
  }
}

/** How many partitions a topic has. */
export type Partitions = ReadonlyMap<string, number>;

/**
 * One connection to a cluster. It is thrown away after a failure, so that the next one reads certificates, keys and the
 * state of the cluster anew.
 */
export class KafkaClient {
  readonly #config: KafkaConfig;
  readonly #context: OutputContext;
  readonly #library: KafkaLibrary;
  #producer: KafkaProducer | undefined;

  constructor(config: KafkaConfig, context: OutputContext, library: KafkaLibrary) {
    this.#config = config;
    this.#context = context;
    this.#library = library;
  }

  /** A producer that knows the cluster, and the partitions of the topics. Throws when a broker may not be used. */
  async ready(): Promise<{ readonly producer: KafkaProducer; readonly partitions: Partitions }> {
    this.#producer ??= this.#open();
    const producer = this.#producer;
    const { topics } = await producer.metadata({ topics: [...this.#config.topics] });
    return {
      producer,
      partitions: new Map([...topics].map(([name, topic]) => [name, topic.partitionsCount])),
    };
  }

  /** Lets go of the connections; what is in flight fails. */
  reset(): void {
    const producer = this.#producer;
    this.#producer = undefined;
    // It is of no interest any more whether it closes well.
    producer?.close(true).catch(() => {});
  }

  /** Whether the destination says that it will never take what was sent, and how it says so. */
  refusal(error: unknown): { readonly kind: "too-large" | "refused"; readonly why: string } | undefined {
    const { findErrorBy } = this.#library;
    for (const [id, kind] of refusals) {
      if (error instanceof Error && findErrorBy(error, "apiId", id) !== null) {
        return { kind, why: `the cluster answered ${id}` };
      }
    }
    return undefined;
  }

  #open(): KafkaProducer {
    const { brokers, clientId, acks, compression, requestTimeoutMs, connectTimeoutMs, sasl } = this.#config;
    const isIdempotent = acks === "all";
    const { tls } = this.#config;
    const isAllowed = (broker: kafka.Broker) => this.#context.destinationProblem(broker, tls);
    const GuardedProducer = guarded(this.#library, isAllowed);
    const producer = new GuardedProducer({
      clientId,
      bootstrapBrokers: brokers.map(({ host, port }) => ({ host, port })),
      retries,
      retryDelay: retryDelayMs,
      metadataMaxAge: clusterMs,
      timeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      connectTimeout: connectTimeoutMs,
      autocreateTopics: false,
      compression,
      acks: isIdempotent ? -1 : 1,
      idempotent: isIdempotent,
      // None yet: the cluster gives one.
      producerId: -1n,
      producerEpoch: -1,
      ...this.#tls(),
      ...(sasl === undefined
        ? {}
        : {
            sasl: {
              mechanism: sasl.mechanism,
              username: sasl.user,
              password: () => readSecret(sasl.password, this.#context.mayUseSecret),
            },
          }),
    });
    // A connection that is closed while it authenticates tells so when nobody listens any more: the process would end.
    producer.connections.on("connecting", ({ connection }) => {
      connection.on("error", () => {});
    });
    return producer;
  }

  #tls() {
    const { tls, brokers } = this.#config;
    if (tls === undefined) return {};
    const mayUse = this.#context.mayUseSecret;
    const { client } = tls;
    return {
      // An address cannot be asked for by name; the certificate has to hold it all the same.
      tlsServerName: brokers.every(({ host }) => isIP(host) === 0),
      tls: {
        rejectUnauthorized: tls.verify,
        ...(tls.caFile === undefined ? {} : { ca: readCaFile(tls.caFile, mayUse) }),
        ...(client === undefined
          ? {}
          : {
              cert: readSecretFile(client.certFile, mayUse),
              key: readSecretFile(client.keyFile, mayUse),
              ...(client.password === undefined ? {} : { passphrase: readSecret(client.password, mayUse) }),
            }),
      },
    };
  }
}

/** What went wrong, for people: the innermost reasons, which say more than "failed once". */
export function kafkaReason(error: unknown): string {
  if (error instanceof AggregateError) {
    const inner: readonly unknown[] = error.errors;
    return [...new Set(inner.map(kafkaReason))].join("; ").slice(0, 500);
  }
  const id = (error as { readonly apiId?: unknown } | undefined)?.apiId;
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return typeof id === "string" ? id : `${reasonOf(error)}${cause}`.slice(0, 500);
}

/**
 * A producer that looks at where it is about to connect to. A cluster names addresses that no config does, also in the
 * middle of a retry; one that the allow-list does not know is forgotten at once.
 */
function guarded(library: KafkaLibrary, problemOf: (broker: kafka.Broker) => string | undefined) {
  const refuse = (problem: string) =>
    new library.UserError(`the cluster has a broker that is not allowed. ${problem}`);
  return class GuardedProducer extends library.Producer {
    override [library.kMetadata](
      options: kafka.MetadataOptions,
      callback: kafka.CallbackWithPromise<kafka.ClusterMetadata>,
    ): void {
      super[library.kMetadata](options, (error, found) => {
        const brokers = [...(found?.brokers.values() ?? [])];
        const [problem] = brokers.flatMap((broker) => problemOf(broker) ?? []);
        if (problem === undefined) return callback(error, found);
        this.clearMetadata();
        return callback(refuse(problem));
      });
    }

    override [library.kGetConnection](
      broker: kafka.Broker,
      callback: kafka.Callback<kafka.Connection>,
    ): void {
      const problem = problemOf(broker);
      if (problem === undefined) super[library.kGetConnection](broker, callback);
      else callback(refuse(problem));
    }
  };
}

/** Answers that are about the records and not about the cluster, our rights or the moment. */
const refusals = [
  ["MESSAGE_TOO_LARGE", "too-large"],
  ["RECORD_LIST_TOO_LARGE", "too-large"],
  ["INVALID_RECORD", "refused"],
  ["INVALID_TIMESTAMP", "refused"],
] as const;
