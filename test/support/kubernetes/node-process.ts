import { execFile, spawn, type ChildProcess } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { V1Container, V1Pod, V1Volume } from "@kubernetes/client-node";
import { programArgs } from "../built-programs.ts";
import { places } from "../../../cli/onboard/plan/settings.ts";
import type { Stored } from "./managed-fields.ts";

/** What a volume of the API comes from. */
export interface VolumeSources {
  secret(name: string): Stored | undefined;
  configMap(name: string): Stored | undefined;
  /** A token of the pod's service account; a kubelet renews it, which takes longer than tests. */
  token(audience: string, seconds: number | undefined): string;
}

/** Why a container cannot be started, as a kubelet tells it. */
export class StartError extends Error {
  readonly reason: string;
  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A container that runs as a process on this machine: the node's root is a directory, and so is each mount. */
export interface Running {
  readonly child: ChildProcess;
  readonly logFile: string;
  /** Runs a command in the container, as `exec` probes do. */
  exec(command: readonly string[]): Promise<boolean>;
}

/**
 * Starts a container of a pod as its spec says: program, environment, mounts. There is no other file system here, so paths
 * of mounts are replaced by where they lead, and what is written elsewhere is written to this machine.
 */
export function startContainer(
  pod: V1Pod,
  nodeRoot: string,
  podDir: string,
  sources: VolumeSources,
): Running {
  const [container] = pod.spec?.containers ?? [];
  if (container === undefined) throw new StartError("CreateContainerError", "there is no container");
  const mounts = (container.volumeMounts ?? []).map(({ name, mountPath }) => {
    const volume = pod.spec?.volumes?.find((each) => each.name === name);
    if (volume === undefined) throw new StartError("CreateContainerConfigError", `no volume ${name}`);
    return [mountPath, directoryOf(volume, nodeRoot, podDir, sources)] as const;
  });
  const onMachine = (text: string): string => {
    const mount = mounts
      .filter(([path]) => text === path || text.startsWith(`${path}/`))
      .toSorted(([a], [b]) => b.length - a.length)[0];
    return mount === undefined ? text : `${mount[1]}${text.slice(mount[0].length)}`;
  };
  placeConfigs(pod, podDir, mounts);
  const [program, ...args] = commandOf(container, onMachine);
  const logFile = join(podDir, "log");
  const log = openSync(logFile, "a");
  const env = envOf(container, pod, onMachine);
  try {
    const child = spawn(program, args, { stdio: ["ignore", log, log], env });
    return {
      child,
      logFile,
      exec: ([command = "", ...words]) =>
        new Promise((resolve) => {
          execFile(command, words.map(onMachine), (error) => resolve(error === null));
        }),
    };
  } finally {
    closeSync(log);
  }
}

/** The image holds Node and the built agent; here are both. */
function commandOf(
  { command = [], args = [] }: V1Container,
  onMachine: (text: string) => string,
): [string, ...string[]] {
  const [program, ...words] = [...command, ...args];
  if (program !== "node" || words[0] !== places.program) {
    throw new StartError("RunContainerError", `exec: "${program}": executable file not found in $PATH`);
  }
  return [process.execPath, ...programArgs("agent"), ...words.slice(1).map(onMachine)];
}

function envOf(
  container: V1Container,
  pod: V1Pod,
  onMachine: (text: string) => string,
): Record<string, string> {
  const fields: Readonly<Record<string, string | undefined>> = {
    "spec.nodeName": pod.spec?.nodeName,
    "metadata.name": pod.metadata?.name,
    "metadata.namespace": pod.metadata?.namespace,
  };
  const own = (container.env ?? []).map(({ name, value, valueFrom }) => {
    const field = valueFrom?.fieldRef?.fieldPath;
    return [name, onMachine(value ?? (field === undefined ? "" : (fields[field] ?? "")))] as const;
  });
  return { PATH: process.env["PATH"] ?? "", ...Object.fromEntries(own) };
}

function directoryOf(volume: V1Volume, nodeRoot: string, podDir: string, sources: VolumeSources): string {
  const { name, hostPath, secret, configMap, emptyDir, projected } = volume;
  if (hostPath !== undefined) {
    const path = join(nodeRoot, hostPath.path);
    if (hostPath.type === "DirectoryOrCreate") mkdirSync(path, { recursive: true, mode: 0o755 });
    else if (!existsSync(path)) {
      throw new StartError(
        "FailedMount",
        `MountVolume.SetUp failed for volume "${name}" : hostPath type check failed: ${hostPath.path} is not a directory`,
      );
    }
    return path;
  }
  const directory = join(podDir, "volumes", name);
  mkdirSync(directory, { recursive: true });
  if (emptyDir !== undefined) return directory;
  if (projected !== undefined) {
    for (const { serviceAccountToken: wish } of projected.sources ?? []) {
      if (wish === undefined) {
        throw new StartError("FailedMount", `volume "${name}" projects what is not served here`);
      }
      const token = sources.token(wish.audience ?? "", wish.expirationSeconds);
      writeFileSync(join(directory, wish.path), token, { mode: 0o600 });
    }
    return directory;
  }
  const source =
    secret === undefined ? sources.configMap(configMap?.name ?? "") : sources.secret(secret.secretName ?? "");
  if (source === undefined) {
    if ((secret ?? configMap)?.optional === true) return directory;
    const missing = secret?.secretName ?? configMap?.name;
    throw new StartError(
      "FailedMount",
      `MountVolume.SetUp failed for volume "${name}" : "${missing}" not found`,
    );
  }
  for (const [key, value] of Object.entries((source["data"] ?? {}) as Record<string, string>)) {
    const content = secret === undefined ? Buffer.from(value) : Buffer.from(value, "base64");
    writeFileSync(join(directory, key), content, { mode: 0o600 });
  }
  return directory;
}

/** Files of ConfigMaps name paths in the container, which are elsewhere here. */
function placeConfigs(pod: V1Pod, podDir: string, mounts: readonly (readonly [string, string])[]): void {
  for (const { name, configMap } of pod.spec?.volumes ?? []) {
    if (configMap === undefined) continue;
    const directory = join(podDir, "volumes", name);
    for (const file of readdirSync(directory)) {
      let text = readFileSync(join(directory, file), "utf8");
      for (const [path, here] of mounts) text = text.replaceAll(`"${path}"`, JSON.stringify(here));
      writeFileSync(join(directory, file), text);
    }
  }
}

/** The end of a log. */
export function tailOf(logFile: string, lines: number): string {
  if (!existsSync(logFile)) return "";
  return `${readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n")}\n`;
}
