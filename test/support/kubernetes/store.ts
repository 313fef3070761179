import { randomUUID } from "node:crypto";
import type { Stored } from "./managed-fields.ts";
import { apiVersionOf, builtIn, type Resource } from "./resources.ts";
import { ApiError, notFound } from "./status.ts";

/** One change, as a watch tells it. */
export interface Change {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly resource: Resource;
  readonly object: Stored;
  readonly version: number;
}

/** What etcd and its cache are to kube-apiserver: objects, one count of versions over all of them, and the last changes. */
export class Store {
  readonly #objects = new Map<string, Stored>();
  readonly #watchers = new Set<(change: Change) => void>();
  readonly #historyMax: number;
  #history: Change[] = [];
  #version = 1;
  /** Versions up to here are forgotten: a watch from one of them gets 410. */
  #forgotten = 0;

  constructor(historyMax = 1000) {
    this.#historyMax = historyMax;
  }

  get version(): number {
    return this.#version;
  }

  find(resource: Resource, namespace: string, name: string): Stored | undefined {
    return structuredClone(this.#objects.get(keyOf(resource, namespace, name)));
  }

  list(resource: Resource, namespace = ""): Stored[] {
    const start = `${apiVersionOf(resource)}/${resource.plural}/`;
    return [...this.#objects]
      .filter(
        ([key, { metadata }]) =>
          key.startsWith(start) && (namespace === "" || metadata.namespace === namespace),
      )
      .map(([, object]) => structuredClone(object));
  }

  /** Writes an object: a new one gets a UID, one that says nothing new stays as it is, one of an older version is refused. */
  put(resource: Resource, object: Stored): Stored {
    const key = keyOf(resource, object.metadata.namespace ?? "", object.metadata.name);
    const before = this.#objects.get(key);
    const given = object.metadata.resourceVersion;
    if (before !== undefined && given !== undefined && given !== before.metadata.resourceVersion) {
      throw new ApiError(
        409,
        "Conflict",
        `Operation cannot be fulfilled on ${resource.plural} "${object.metadata.name}": the object has been modified; please apply your changes to the latest version and try again`,
      );
    }
    if (before !== undefined && says(before) === says(object)) return structuredClone(before);
    this.#version += 1;
    const isSame = JSON.stringify(sorted(before?.["spec"])) === JSON.stringify(sorted(object["spec"]));
    const generation = Number(before?.metadata["generation"] ?? 0) + (isSame ? 0 : 1);
    const metadata = {
      ...object.metadata,
      ...(object["spec"] === undefined ? {} : { generation }),
      uid: before?.metadata.uid ?? object.metadata.uid ?? randomUUID(),
      creationTimestamp: before?.metadata.creationTimestamp ?? new Date().toISOString().replace(/\.\d+/, ""),
      resourceVersion: String(this.#version),
    };
    const stored: Stored = { ...structuredClone(object), metadata };
    this.#objects.set(key, stored);
    this.#tell(before === undefined ? "ADDED" : "MODIFIED", resource, stored);
    return structuredClone(stored);
  }

  /** Removes what is in a namespace but for what is kept, and says how much that is. */
  clear(namespace: string, isKept: (object: Stored) => boolean): number {
    const inside = [...this.#objects].filter(([, { metadata }]) => metadata.namespace === namespace);
    const gone = inside.filter(([, object]) => !isKept(object));
    for (const [key, object] of gone) {
      this.#objects.delete(key);
      this.#version += 1;
      const resource = builtIn.find(({ kind }) => kind === object.kind);
      if (resource !== undefined) this.#tell("DELETED", resource, object);
    }
    return inside.length - gone.length;
  }

  /** Removes an object. */
  remove(resource: Resource, namespace: string, name: string, uid?: string): Stored {
    const key = keyOf(resource, namespace, name);
    const object = this.#objects.get(key);
    if (object === undefined) throw notFound(resource.plural, name);
    if (uid !== undefined && uid !== object.metadata.uid) {
      throw new ApiError(
        409,
        "Conflict",
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${object.metadata.uid}`,
      );
    }
    this.#objects.delete(key);
    this.#version += 1;
    this.#tell("DELETED", resource, object);
    return object;
  }

  /** Changes since a version, then those to come. Throws 410 for a version that is forgotten. */
  watch(since: number, seen: (change: Change) => void): () => void {
    if (since !== 0 && since < this.#forgotten) {
      throw new ApiError(410, "Expired", `too old resource version: ${since} (${this.#forgotten})`);
    }
    for (const change of this.#history) if (change.version > since) seen(change);
    this.#watchers.add(seen);
    return () => void this.#watchers.delete(seen);
  }

  #tell(type: Change["type"], resource: Resource, object: Stored): void {
    const change = { type, resource, object: structuredClone(object), version: this.#version };
    this.#history.push(change);
    while (this.#history.length > this.#historyMax) this.#forgotten = this.#history.shift()?.version ?? 0;
    for (const watcher of this.#watchers) watcher(change);
  }
}

function keyOf(resource: Resource, namespace: string, name: string): string {
  return `${apiVersionOf(resource)}/${resource.plural}/${namespace}/${name}`;
}

/** The object without what each write changes by itself. */
function says({ metadata, ...rest }: Stored): string {
  const { managedFields = [], resourceVersion: _, uid: _uid, creationTimestamp: _made, ...more } = metadata;
  const { generation: _generation, ...named } = more as Record<string, unknown>;
  const nameOf = ({ manager, operation }: (typeof managedFields)[number]) => `${manager} ${operation}`;
  const owners = managedFields
    .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
    .map(({ time: _time, ...owner }) => owner);
  return JSON.stringify([sorted(owners), sorted(named), sorted(rest)]);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  );
}
