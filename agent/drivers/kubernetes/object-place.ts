import { PlaceTrouble } from "../place.ts";
import type { Place } from "../place.ts";
import { KubeError, partOf } from "./kube-api.ts";
import type { KubeApi } from "./kube-api.ts";
import type { Lease } from "./lease.ts";

/** A key of an object that pods have mounted. */
export interface ObjectSettings {
  readonly kind: "ConfigMap" | "Secret";
  readonly namespace: string;
  readonly name: string;
  readonly key: string;
  /** Further keys that are always the same. */
  readonly also?: Readonly<Record<string, string>>;
}

/** Who wrote a field, as Kubernetes keeps it: nobody else's fields are touched. */
export const fieldManager = "falconry-agent";

/** What kube-apiserver takes in such an object. */
const bytesMax = 1024 * 1024;

/** A key of a ConfigMap or Secret, written by server-side apply by the one agent that holds the lease. */
export class ObjectPlace implements Place {
  readonly name: string;
  readonly #api: KubeApi;
  readonly #lease: Lease;
  readonly #object: ObjectSettings;
  readonly #path: string;

  constructor(api: KubeApi, lease: Lease, object: ObjectSettings) {
    const { kind, namespace, name } = object;
    this.name = `${kind} ${namespace}/${name}`;
    this.#api = api;
    this.#lease = lease;
    this.#object = object;
    this.#path = `/api/v1/namespaces/${namespace}/${kind === "Secret" ? "secrets" : "configmaps"}/${name}`;
  }

  get isOurs(): boolean {
    return this.#lease.isOurs;
  }

  refuses(text: string): PlaceTrouble | undefined {
    const bytes = Buffer.byteLength(text);
    if (bytes <= bytesMax) return undefined;
    const next =
      "Take out of the bundle what clusters here do not need, put it into layers for those that do, or let each node's agent write a file";
    return new PlaceTrouble(
      "too-large",
      `${this.name} can hold ${bytesMax} bytes, and this bundle has ${bytes}. ${next}`,
    );
  }

  async read(): Promise<string | undefined> {
    const found = partOf(await this.#tried(this.#api.get(this.#path)), "data")[this.#object.key];
    if (typeof found !== "string") return undefined;
    return this.#object.kind === "Secret" ? Buffer.from(found, "base64").toString() : found;
  }

  async put(text: string | undefined): Promise<void> {
    if ((await this.read()) === text) return;
    const other = await this.#tried(this.#lease.take());
    if (other !== undefined) {
      const why = `${this.name} is written by the agent "${other}", which has not written this bundle yet`;
      throw new PlaceTrouble("other-writer", why);
    }
    const { kind, namespace, name, key, also = {} } = this.#object;
    const texts = Object.entries(text === undefined ? also : { ...also, [key]: text });
    const stored = (each: string) => (kind === "Secret" ? Buffer.from(each).toString("base64") : each);
    const data = Object.fromEntries(texts.map(([name, each]) => [name, stored(each)]));
    const object = { apiVersion: "v1", kind, metadata: { namespace, name }, data };
    await this.#tried(this.#api.apply(this.#path, fieldManager, object));
  }

  claim(): void {
    this.#lease.claim();
  }

  stop(): void {
    this.#lease.stop();
  }

  async #tried<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      throw this.#troubleOf(error);
    }
  }

  #troubleOf({ status, message }: KubeError): PlaceTrouble {
    const again = "run fleetctl cluster onboard with --driver again, or apply what its --print gives";
    if (status === 404) {
      return new PlaceTrouble("no-object", `${this.name} or its lease is not there: ${again} (${message})`);
    }
    if (status === 401 || status === 403) {
      return new PlaceTrouble(
        "forbidden",
        `The agent may not read or write ${this.name}: ${again} (${message})`,
      );
    }
    if (status === 409) {
      const next = `Whoever wrote it has to take data "${this.#object.key}" out of it; then the agent writes it again`;
      return new PlaceTrouble(
        "conflict",
        `${this.name} is written by somebody else, too: ${message}. ${next}`,
      );
    }
    return new PlaceTrouble("cannot-write", `${this.name}: ${message}`);
  }
}
