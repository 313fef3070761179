import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  AgentService,
  StateReportSchema,
  SyncResponseSchema,
  type Alert,
  type StateReport,
  type SyncRequest,
} from "#proto/agent/v1/agent";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import {
  certificateToPem,
  createCa,
  formatJoinString,
  issueAgentCertificate,
  issueServerCertificate,
  rootPin,
  spkiPin,
  type CertifiedKey,
} from "#trust";
import { must } from "../../server/testing.ts";
import { org } from "./evil-keys.ts";

export type Answer = MessageInitShape<typeof SyncResponseSchema>;
/** An answer, or what the attacker does in place of one. */
export type Word = Answer | ConnectError;

/** A server in the attacker's hands: it speaks the agent's protocol and says whatever it is told to. */
export class EvilServer {
  readonly clusterId: string = "cl_evil";
  readonly agentId: string = "ag_evil";
  readonly alerts: Alert[] = [];
  /** What it hands out for a digest. */
  readonly blobs: Map<string, () => Iterable<Uint8Array>> = new Map();
  /** The newest report, as the agent signed it. */
  report: StateReport | undefined;
  /** How many messages of the agent have come. */
  heard: number = 0;
  labels: Readonly<Record<string, string>> = { region: "eu" };
  /** What a renewal is answered with in place of a certificate of the agent's key. */
  renewal: ((csr: Uint8Array) => Promise<readonly Uint8Array[]>) | undefined;
  renewals: number = 0;
  readonly ca: CertifiedKey;
  readonly port: number;
  readonly #root: Uint8Array;
  #word: Word | undefined;
  /** Which message of the agent was answered with it. */
  #saidAt: number = 0;
  #wake: () => void = () => undefined;

  private constructor(ca: CertifiedKey, port: number, root: Uint8Array) {
    this.ca = ca;
    this.port = port;
    this.#root = root;
  }

  static async start(t: TestContext, root: Uint8Array): Promise<EvilServer> {
    const now = new Date();
    const ca = await createCa({ org, now });
    const leaf = await issueServerCertificate({ ca, names: ["localhost", "127.0.0.1"], now });
    const server = createServer({
      cert: certificateToPem(leaf.certificate) + certificateToPem(ca.certificate),
      key: leaf.privateKey,
      requestCert: true,
      rejectUnauthorized: false,
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const own = new EvilServer(ca, (server.address() as AddressInfo).port, root);
    server.on("request", connectNodeAdapter({ routes: (router) => own.mount(router) }));
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    return own;
  }

  get joinString(): string {
    return formatJoinString({
      tokenId: "jt_evil",
      secret: "0123456789abcdefghij",
      host: "localhost",
      port: this.port,
      caPins: [spkiPin(this.ca.certificate)],
      rootPin: rootPin(this.#root),
    });
  }

  /** Answers the agent's next message with this, and resolves when the agent has come again after it. */
  async say(word: Word): Promise<void> {
    this.#word = word;
    this.#saidAt = Number.POSITIVE_INFINITY;
    this.#wake();
    await this.until("the agent comes again", () => this.heard > this.#saidAt);
  }

  /** Waits for the agent, which speaks by itself. */
  async until(what: string, isSo: () => boolean, withinMs: number = 60_000): Promise<void> {
    const end = performance.now() + withinMs;
    while (!isSo()) {
      if (performance.now() > end) throw new Error(`Not within ${withinMs} ms: ${what}; ${this.describe()}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  describe(): string {
    const { conditions = [], components = [] } = this.report ?? {};
    const attempts = components.map(
      ({ kind, lastAttempt }) => `${kind} ${lastAttempt?.phase} ${lastAttempt?.reason}`,
    );
    return [...conditions.map(({ code, message }) => `${code}: ${message}`), ...attempts].join("; ");
  }

  /** The digest that the worker proved, in hex. */
  running(kind: string): string {
    const found = this.report?.components.find((one) => one.kind === kind);
    return Buffer.from(found?.runningDigest ?? []).toString("hex");
  }

  private mount(router: Parameters<Parameters<typeof connectNodeAdapter>[0]["routes"]>[0]): void {
    router.service(EnrollmentService, {
      enroll: async ({ csr }) => ({
        org,
        clusterId: this.clusterId,
        agentId: this.agentId,
        certificateChain: [await this.certify(csr)],
        caCertificates: [Uint8Array.from(this.ca.certificate)],
        root: Uint8Array.from(this.#root),
        labels: { ...this.labels },
      }),
      renewCertificate: async ({ csr }) => {
        this.renewals += 1;
        const chain = await (this.renewal?.(csr) ?? this.certify(csr).then((one) => [one]));
        return { certificateChain: chain.map((one) => Uint8Array.from(one)) };
      },
    });
    router.service(AgentService, {
      connect: () => {
        throw new ConnectError("only long polls here", Code.Unimplemented);
      },
      sync: async (request, { signal }) => this.answer(request, signal),
      fetchBlob: ({ digest, offset }) => this.handOut(digest, Number(offset)),
      deliverAlerts: ({ alerts }) => {
        this.alerts.push(...alerts);
        return { accepted: alerts.length };
      },
    });
  }

  async certify(csr: Uint8Array, clusterId: string = this.clusterId): Promise<Uint8Array<ArrayBuffer>> {
    const identity = { org, clusterId, agentId: this.agentId };
    return Uint8Array.from(
      must(await issueAgentCertificate({ ca: this.ca, csr, identity, now: new Date() })),
    );
  }

  private async answer(request: SyncRequest, signal: AbortSignal) {
    this.heard += 1;
    if (request.report.length > 0) this.report = fromBinary(StateReportSchema, request.report);
    if (this.#word === undefined && request.waitMs > 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, Math.min(request.waitMs, 5_000)).unref();
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    // An agent that has news cuts its poll short: what would be said then would be lost.
    const word = signal.aborted ? undefined : this.#word;
    if (word !== undefined) {
      this.#word = undefined;
      this.#saidAt = this.heard;
    }
    if (word instanceof ConnectError) throw word;
    const seconds = BigInt(Math.floor(Date.now() / 1_000));
    const tuning = { heartbeatMs: 5_000, reportMs: 5_000, reconnectWindowMs: 100 };
    return create(SyncResponseSchema, {
      ackSequence: request.sequence,
      serverTime: { seconds },
      tuning,
      ...word,
    } as Answer);
  }

  private async *handOut(digest: string, offset: number) {
    const chunks = this.blobs.get(digest);
    if (chunks === undefined) throw new ConnectError("no such blob", Code.NotFound);
    let at = 0;
    for (const chunk of chunks()) {
      const rest = chunk.subarray(Math.max(0, offset - at));
      at += chunk.length;
      if (rest.length > 0) yield { chunk: Uint8Array.from(rest), length: 0n };
    }
  }
}
