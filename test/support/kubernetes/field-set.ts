/** Plain JSON. */
export type Json = unknown;
export type JsonObject = Record<string, Json>;

/** A way into an object, in the elements of `fieldsV1`: `f:spec`, `k:{"name":"agent"}`, and `.` for a list's item itself. */
export type Path = readonly string[];

export const isObject = (value: Json): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Fields of Kubernetes whose lists are maps in truth, with the keys of their items: `x-kubernetes-list-map-keys`. */
export function listKeysOf(path: Path): readonly string[] | undefined {
  const field = path.at(-1) ?? "";
  const isIn = (parent: string) => path.includes(`f:${parent}`);
  switch (field) {
    case "f:containers":
    case "f:initContainers":
    case "f:volumes":
    case "f:env":
      return ["name"];
    case "f:volumeMounts":
      return ["mountPath"];
    case "f:ports":
      if (isIn("containers")) return ["containerPort", "protocol"];
      return isIn("egress") || isIn("ingress") || isIn("endpoints") ? undefined : ["port", "protocol"];
    case "f:conditions":
      return ["type"];
    default:
      return undefined;
  }
}

/** The element that stands for an item of a list that is a map. */
export function itemElement(item: Json, keys: readonly string[]): string {
  const own = isObject(item) ? item : {};
  return `k:${JSON.stringify(Object.fromEntries(keys.map((key) => [key, own[key]])))}`;
}

/** Structs that are replaced as a whole: `x-kubernetes-map-type: atomic`. */
const atomic = new Set(["f:selector", "f:podSelector", "f:namespaceSelector", "f:fieldRef"]);

/** Every field of an object that can have an owner, with its value. */
export function leavesOf(value: Json, at: Path = []): (readonly [path: Path, value: Json])[] {
  const field = at.at(-1) ?? "";
  if (isObject(value) && !atomic.has(field)) {
    const inner = Object.entries(value).flatMap(([key, each]) => leavesOf(each, [...at, `f:${key}`]));
    if (inner.length > 0) return inner;
  }
  const keys = listKeysOf(at);
  if (Array.isArray(value) && keys !== undefined) {
    return value.flatMap((item) => {
      const place = [...at, itemElement(item, keys)];
      return [[[...place, "."], undefined] as const, ...leavesOf(item, place)];
    });
  }
  return [[at, value]];
}

/** The value at a path; undefined where nothing is. */
export function valueAt(root: Json, path: Path): Json {
  let value = root;
  for (const [index, element] of path.entries()) {
    if (element === ".") return undefined;
    if (element.startsWith("f:")) {
      value = isObject(value) ? value[element.slice(2)] : undefined;
    } else {
      const keys = listKeysOf(path.slice(0, index)) ?? [];
      value = Array.isArray(value) ? value.find((item) => itemElement(item, keys) === element) : undefined;
    }
  }
  return value;
}

/** Takes a field, or an item whose path ends with ".", out of an object. */
export function removeAt(root: JsonObject, path: Path): void {
  const isItem = path.at(-1) === ".";
  const place = isItem ? path.slice(0, -1) : path;
  const parent = valueAt(root, place.slice(0, -1));
  const last = place.at(-1) ?? "";
  if (isItem && Array.isArray(parent)) {
    const keys = listKeysOf(place.slice(0, -1)) ?? [];
    const index = parent.findIndex((item) => itemElement(item, keys) === last);
    if (index !== -1) parent.splice(index, 1);
  } else if (isObject(parent)) delete parent[last.slice(2)];
}

/** Lays an applied configuration over an object: maps field by field, lists that are maps item by item, the rest whole. */
export function merge(live: Json, applied: Json, at: Path = []): Json {
  if (isObject(live) && isObject(applied) && !atomic.has(at.at(-1) ?? "")) {
    const merged: JsonObject = { ...live };
    for (const [key, value] of Object.entries(applied)) {
      merged[key] = merge(live[key], value, [...at, `f:${key}`]);
    }
    return merged;
  }
  const keys = listKeysOf(at);
  if (Array.isArray(live) && Array.isArray(applied) && keys !== undefined) {
    const merged = live.slice();
    for (const item of applied) {
      const element = itemElement(item, keys);
      const index = merged.findIndex((other) => itemElement(other, keys) === element);
      if (index === -1) merged.push(item);
      else merged[index] = merge(merged[index], item, [...at, element]);
    }
    return merged;
  }
  return applied;
}

/** A set of paths in the form in which `managedFields` shows it. */
export function fieldsV1(paths: readonly Path[]): JsonObject {
  const root: JsonObject = {};
  for (const path of paths) {
    let node = root;
    for (const element of path) {
      const next = isObject(node[element]) ? node[element] : {};
      node[element] = next;
      node = next;
    }
  }
  return root;
}

/** The paths that `managedFields` shows. */
export function pathsOf(fields: JsonObject, at: Path = []): Path[] {
  const inner = Object.entries(fields);
  if (inner.length === 0) return at.length === 0 ? [] : [at];
  return inner.flatMap(([element, value]) => pathsOf(isObject(value) ? value : {}, [...at, element]));
}
