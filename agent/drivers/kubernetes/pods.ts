import { lookup } from "node:dns/promises";
import { isIPv6 } from "node:net";
import { whyNot } from "../bounded-fetch.ts";
import { KubeError, partOf } from "./kube-api.ts";
import type { KubeApi } from "./kube-api.ts";

/** Which pods run a program. */
export interface PodsSettings {
  /** A headless service: its name has an address for each pod that is ready, and to ask takes no rights. */
  readonly host: string;
  readonly port: number;
  /** The DaemonSet that makes the pods: it says on how many nodes there should be one. */
  readonly namespace: string;
  readonly daemonSet: string;
}

/** What pods say at one moment. */
export interface PodsSeen<T> {
  /** By the address of its web server, as a URL. */
  readonly seen: ReadonlyMap<string, T>;
  /** What is not there or does not answer, a sentence's part each. */
  readonly missing: readonly string[];
  /** How many there should be. */
  readonly wanted: number;
}

export type Resolve = (host: string) => Promise<readonly string[]>;

const podsMax = 10_000;
const atOnce = 32;

const byDns: Resolve = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

/**
 * A name may have an address of each family for one pod: those of one family count the pods. Always of the same one, in whatever
 * order they come, since what a pod counts is known by its address.
 */
function ofOneFamily(addresses: readonly string[]): readonly string[] {
  const ofFour = addresses.filter((each) => !isIPv6(each));
  return ofFour.length > 0 ? ofFour : addresses;
}

/** Looks at all pods of a program. */
export class Pods {
  readonly #api: Pick<KubeApi, "get">;
  readonly #settings: PodsSettings;
  readonly #resolve: Resolve;

  constructor(api: Pick<KubeApi, "get">, settings: PodsSettings, resolve: Resolve = byDns) {
    this.#api = api;
    this.#settings = settings;
    this.#resolve = resolve;
  }

  /** Asks each pod by the address of its web server. Rejects when it is not known which there should be. */
  async look<T>(ask: (url: string) => Promise<T>): Promise<PodsSeen<T>> {
    const { host, port, namespace, daemonSet } = this.#settings;
    const [wanted, addresses] = await Promise.all([this.#wanted(), this.#addresses()]);
    const seen = new Map<string, T>();
    const missing: string[] = [];
    const queue = [...addresses];
    const work = async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const url = `http://${isIPv6(next) ? `[${next}]` : next}:${port}`;
        try {
          seen.set(url, await ask(url));
        } catch (error) {
          missing.push(`${next}: ${whyNot(error)}`);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, addresses.length) }, work));
    const lacking = wanted - addresses.length;
    if (lacking > 0) {
      missing.push(
        `${lacking} of the ${wanted} nodes of DaemonSet ${namespace}/${daemonSet} have none at ${host}`,
      );
    }
    const inOrder = new Map([...seen].toSorted(([a], [b]) => (a < b ? -1 : 1)));
    return { seen: inOrder, missing: missing.toSorted(), wanted: Math.max(wanted, addresses.length) };
  }

  async #wanted(): Promise<number> {
    const { namespace, daemonSet } = this.#settings;
    try {
      const found = await this.#api.get(`/apis/apps/v1/namespaces/${namespace}/daemonsets/${daemonSet}`);
      const wanted = partOf(found, "status")["desiredNumberScheduled"];
      return typeof wanted === "number" ? wanted : 0;
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      throw new Error(`DaemonSet ${namespace}/${daemonSet} cannot be read: ${error.message}`, {
        cause: error,
      });
    }
  }

  async #addresses(): Promise<readonly string[]> {
    try {
      const addresses = ofOneFamily([...new Set(await this.#resolve(this.#settings.host))]);
      return addresses.slice(0, podsMax);
    } catch (error) {
      // The name of a service without a pod that is ready has no address.
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOTFOUND" || code === "ENODATA") return [];
      throw error;
    }
  }
}
