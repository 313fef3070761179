import { isDeepStrictEqual } from "node:util";
import { fieldsV1, isObject, leavesOf, merge, pathsOf, removeAt, valueAt } from "./field-set.ts";
import type { JsonObject, Path } from "./field-set.ts";
import { ApiError } from "./status.ts";

/** An object of the API. */
export interface Stored extends JsonObject {
  apiVersion: string;
  kind: string;
  metadata: Metadata;
}

export interface Metadata extends JsonObject {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  creationTimestamp?: string;
  managedFields?: Managed[];
}

interface Managed {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly time: string;
  readonly fieldsType: "FieldsV1";
  readonly fieldsV1: JsonObject;
}

const keyOf = (path: Path): string => path.join("\n");
const nobodys = new Set(["f:apiVersion", "f:kind", "f:metadata\nf:name", "f:metadata\nf:namespace"]);
const bookkeeping = /^f:metadata\nf:(managedFields|uid|resourceVersion|creationTimestamp|generation)(\n|$)/;

/** Fields of an object that somebody owns. */
function owned(object: JsonObject): (readonly [path: Path, value: unknown])[] {
  return leavesOf(object).filter(([path]) => {
    const key = keyOf(path);
    return !nobodys.has(key) && !bookkeeping.test(key);
  });
}

/**
 * Server-side apply: sets what the configuration says, removes what this manager said before and says no more, and refuses
 * with a conflict what another manager owns with another value, unless forced.
 */
export function applyTo(live: Stored | undefined, applied: Stored, manager: string, force: boolean): Stored {
  const base: Stored = live ?? {
    apiVersion: applied.apiVersion,
    kind: applied.kind,
    metadata: applied.metadata,
  };
  const leaves = owned(applied);
  const wanted = new Set(leaves.map(([path]) => keyOf(path)));
  const entries = base.metadata.managedFields ?? [];
  const others = entries.filter((entry) => entry.manager !== manager || entry.operation !== "Apply");
  const before = entries.find((entry) => entry.manager === manager && entry.operation === "Apply");
  const conflicts = conflictsOf(base, leaves, others);
  if (conflicts.length > 0 && !force) throw conflictError(conflicts);
  const lost = new Set(conflicts.map(({ path }) => keyOf(path)));
  const kept = others.map((entry) => without(entry, (key) => lost.has(key)));
  const merged = merge(structuredClone(base), applied) as Stored;
  const othersOwn = new Set(kept.flatMap((entry) => pathsOf(entry.fieldsV1).map(keyOf)));
  for (const path of before === undefined ? [] : pathsOf(before.fieldsV1)) {
    if (!wanted.has(keyOf(path)) && !othersOwn.has(keyOf(path))) removeAt(merged, path);
  }
  const paths = leaves.map(([path]) => path);
  return withManagers(merged, [...kept, entryOf(applied.apiVersion, manager, "Apply", paths)]);
}

/** What a plain write does: the fields that it changed are this manager's from now on, and those that it removed are nobody's. */
export function updateTo(live: Stored | undefined, next: Stored, manager: string): Stored {
  const changed = owned(next).filter(
    ([path, value]) => live === undefined || !isDeepStrictEqual(valueAt(live, path), value),
  );
  const keys = new Set(changed.map(([path]) => keyOf(path)));
  const present = new Set(owned(next).map(([path]) => keyOf(path)));
  const entries = (live?.metadata.managedFields ?? []).map((entry) =>
    without(entry, (key) => keys.has(key) || !present.has(key)),
  );
  const mine = entries.find((entry) => entry.manager === manager && entry.operation === "Update");
  const paths = [...(mine === undefined ? [] : pathsOf(mine.fieldsV1)), ...changed.map(([path]) => path)];
  const rest = entries.filter((entry) => entry !== mine);
  return withManagers(structuredClone(next), [...rest, entryOf(next.apiVersion, manager, "Update", paths)]);
}

interface Conflict {
  readonly path: Path;
  readonly manager: string;
}

function conflictsOf(
  live: Stored,
  leaves: readonly (readonly [path: Path, value: unknown])[],
  others: readonly Managed[],
): Conflict[] {
  const owners = new Map(
    others.flatMap((entry) => pathsOf(entry.fieldsV1).map((path) => [keyOf(path), entry.manager] as const)),
  );
  return leaves.flatMap(([path, value]) => {
    const manager = owners.get(keyOf(path));
    if (manager === undefined || isDeepStrictEqual(valueAt(live, path), value)) return [];
    return [{ path, manager }];
  });
}

function conflictError(conflicts: readonly Conflict[]): ApiError {
  const told = conflicts.map(({ path, manager }) => ({
    reason: "FieldManagerConflict",
    message: `conflict with "${manager}"`,
    field: path
      .map((element) => (element.startsWith("f:") ? `.${element.slice(2)}` : `[${element.slice(2)}]`))
      .join(""),
  }));
  const words = told.map(({ message, field }) => `${message}: ${field}`).join(", ");
  const many = conflicts.length === 1 ? "1 conflict" : `${conflicts.length} conflicts`;
  return new ApiError(409, "Conflict", `Apply failed with ${many}: ${words}`, told);
}

function without(entry: Managed, isLost: (key: string) => boolean): Managed {
  return { ...entry, fieldsV1: fieldsV1(pathsOf(entry.fieldsV1).filter((path) => !isLost(keyOf(path)))) };
}

function entryOf(
  apiVersion: string,
  manager: string,
  operation: Managed["operation"],
  paths: readonly Path[],
): Managed {
  return {
    manager,
    operation,
    apiVersion,
    time: new Date().toISOString().replace(/\.\d+/, ""),
    fieldsType: "FieldsV1",
    fieldsV1: fieldsV1(paths),
  };
}

function withManagers(object: Stored, managers: readonly Managed[]): Stored {
  const managedFields = managers.filter(
    ({ fieldsV1: fields }) => isObject(fields) && Object.keys(fields).length > 0,
  );
  return { ...object, metadata: { ...object.metadata, managedFields } };
}
