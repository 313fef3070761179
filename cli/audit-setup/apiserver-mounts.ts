import { dirname, posix } from "node:path";
import { type Document, isMap, isSeq, type YAMLMap, type YAMLSeq } from "yaml";

import { refused } from "../failure.ts";

/** A path that the API server's container needs from its host, where it has the same name. */
export interface Mount {
  readonly name: string;
  readonly path: string;
  readonly type: "File" | "DirectoryOrCreate";
  readonly readOnly: boolean;
}

/** The mounts for the files behind these flags, and for the webhook's token. A log needs its folder, because rotation renames. */
export function mountsFor(flags: ReadonlyMap<string, string>, tokenFile?: string): readonly Mount[] {
  const file = (name: string, path: string | undefined): Mount[] =>
    path === undefined ? [] : [{ name, path, type: "File", readOnly: true }];
  const log = flags.get("audit-log-path");
  return [
    ...file("audit-policy", flags.get("audit-policy-file")),
    ...file("audit-webhook", flags.get("audit-webhook-config-file")),
    ...file("audit-webhook-token", tokenFile),
    ...(log === undefined
      ? []
      : [{ name: "audit-log", path: dirname(log), type: "DirectoryOrCreate", readOnly: false } as const]),
  ];
}

/**
 * Adds a mount to the static pod, unless a mount that is there shows the same path of the host already, itself or in a
 * folder of it. Says what was added. Throws a failure when the path shows something else in the container.
 */
export function addMount(document: Document, container: YAMLMap, mount: Mount, manifest: string): string[] {
  const spec = document.get("spec") as YAMLMap;
  const [mounts, volumes] = [listIn(document, container, "volumeMounts"), listIn(document, spec, "volumes")];
  const { path, type, readOnly } = mount;
  const there = showing(path, mounts, volumes);
  if (there !== undefined && there.hostPath !== clean(path)) {
    const shown = there.hostPath === undefined ? `volume ${there.volume}` : `${there.hostPath} of the host`;
    throw refused(
      `${manifest} mounts at ${there.mountPath} something else than the host has there: ${path} would be in ${shown}`,
      "Take a path in another folder: --policy-path, --log-path, --webhook-path, --webhook-token-file",
    );
  }
  if (there !== undefined && (readOnly || !there.readOnly)) return [];
  if (there !== undefined && clean(there.mountPath) === clean(path)) {
    throw refused(
      `${manifest} mounts ${there.mountPath} read-only, so that kube-apiserver cannot write its log there`,
      "Take readOnly out of that mount, or a log in another folder with --log-path.",
    );
  }
  const name = freeName(mount.name, volumes);
  mounts.add(document.createNode({ mountPath: path, name, ...(readOnly ? { readOnly } : {}) }));
  volumes.add(document.createNode({ hostPath: { path, type }, name }));
  return [`mount ${path}${readOnly ? " (read-only)" : ""}`];
}

interface Shown {
  readonly mountPath: string;
  readonly volume: string;
  /** What the mount shows under the path; undefined when that is nothing of the host. */
  readonly hostPath: string | undefined;
  readonly readOnly: boolean;
}

/** What a path of the container shows: the deepest mount over it counts. */
function showing(path: string, mounts: YAMLSeq, volumes: YAMLSeq): Shown | undefined {
  const over = mounts.items.filter(isMap).flatMap((one): (Shown & { readonly depth: number })[] => {
    const [mountPath, volume] = [textOf(one.get("mountPath")), textOf(one.get("name"))];
    const rest = posix.relative(clean(mountPath), clean(path));
    if (mountPath === "" || rest === ".." || rest.startsWith("../")) return [];
    const root = one.has("subPathExpr") ? undefined : hostPathOf(volume, volumes);
    const hostPath =
      root === undefined ? undefined : clean(posix.join(root, textOf(one.get("subPath")), rest));
    return [
      { mountPath, volume, hostPath, readOnly: one.get("readOnly") === true, depth: clean(mountPath).length },
    ];
  });
  return over.toSorted((a, b) => b.depth - a.depth)[0];
}

function hostPathOf(volume: string, volumes: YAMLSeq): string | undefined {
  const found = volumes.items.find((one) => isMap(one) && one.get("name") === volume);
  const path = isMap(found) ? found.getIn(["hostPath", "path"]) : undefined;
  return typeof path === "string" ? path : undefined;
}

/** Two volumes of one name make a pod that the kubelet refuses, and then there is no API server. */
function freeName(wanted: string, volumes: YAMLSeq): string {
  const taken = new Set(volumes.items.map((one) => (isMap(one) ? one.get("name") : undefined)));
  let name = wanted;
  for (let count = 2; taken.has(name); count += 1) name = `${wanted}-${count}`;
  return name;
}

function clean(path: string): string {
  return posix.join("/", path).replace(/(?<=.)\/$/, "");
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function listIn(document: Document, map: YAMLMap, key: string): YAMLSeq {
  const list = map.get(key);
  if (isSeq(list)) return list;
  const made = document.createNode([]) as YAMLSeq;
  map.set(key, made);
  return made;
}
