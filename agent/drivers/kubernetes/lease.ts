import { KubeError, partOf, textIn } from "./kube-api.ts";
import type { KubeApi } from "./kube-api.ts";

/** Where the lease is, and under which name the agent holds it. */
export interface LeaseSettings {
  readonly namespace: string;
  readonly name: string;
  readonly holder: string;
}

const leaseMs = 30_000;
const renewMs = 10_000;

/**
 * Which one of a cluster's agents writes: each has the same assignment, but not at the same moment, and two that put theirs in
 * place in turns would never end. The object of the lease is there already; the agent may change it and not make one.
 */
export class Lease {
  readonly #api: Pick<KubeApi, "get" | "replace">;
  readonly #path: string;
  readonly #holder: string;
  readonly #nowMs: () => number;
  /** What was last seen of another holder, and when: clocks of nodes are not compared. */
  #other: { readonly version: string; readonly atMs: number } | undefined;
  #oursUntilMs = Number.NEGATIVE_INFINITY;
  #taking: Promise<string | undefined> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** `nowMs` is a clock that never goes back. */
  constructor(
    api: Pick<KubeApi, "get" | "replace">,
    { namespace, name, holder }: LeaseSettings,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#api = api;
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`;
    this.#holder = holder;
    this.#nowMs = nowMs;
  }

  /**
   * Takes or renews it. The name of another agent that has it and is alive; undefined when it is ours. Rejects with a `KubeError`.
   * Whoever calls while it is being taken gets the same answer: two calls at once would be a conflict of one agent with itself.
   */
  take(): Promise<string | undefined> {
    this.#taking ??= this.#take().finally(() => (this.#taking = undefined));
    return this.#taking;
  }

  /** Takes it as soon as no other agent has it, and keeps it. */
  claim(): void {
    if (this.#timer !== undefined) return;
    this.#keep();
    void this.#renew();
  }

  /** Whether it is ours by now: not any more when it could not be renewed for as long as others wait for that. */
  get isOurs(): boolean {
    return this.#nowMs() < this.#oursUntilMs;
  }

  /** Lets it run out. */
  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#oursUntilMs = Number.NEGATIVE_INFINITY;
  }

  async #take(): Promise<string | undefined> {
    const nowMs = this.#nowMs();
    const found = await this.#api.get(this.#path);
    const spec = partOf(found, "spec");
    const holder = textIn(spec, "holderIdentity");
    const version = textIn(partOf(found, "metadata"), "resourceVersion");
    if (holder !== "" && holder !== this.#holder) {
      this.#oursUntilMs = Number.NEGATIVE_INFINITY;
      if (this.#other?.version !== version) this.#other = { version, atMs: nowMs };
      if (nowMs - this.#other.atMs < leaseMs) return holder;
    }
    const now = new Date().toISOString().replace("Z", "000Z");
    const next = {
      ...spec,
      holderIdentity: this.#holder,
      leaseDurationSeconds: leaseMs / 1000,
      renewTime: now,
      ...(holder === this.#holder ? {} : { acquireTime: now }),
    };
    try {
      await this.#api.replace(this.#path, { ...found, spec: next });
    } catch (error) {
      // Somebody was faster; whoever it was is seen with the next look.
      if (error instanceof KubeError && error.status === 409) return holder === "" ? "another agent" : holder;
      throw error;
    }
    this.#other = undefined;
    this.#oursUntilMs = nowMs + leaseMs;
    this.#keep();
    return undefined;
  }

  #keep(): void {
    if (!this.#isStopped) this.#timer ??= setInterval(() => void this.#renew(), renewMs).unref();
  }

  async #renew(): Promise<void> {
    try {
      await this.take();
    } catch {
      // It is tried again; until then it may run out.
    }
  }
}
