import type {
  V1Container,
  V1DaemonSet,
  V1EnvVar,
  V1KeyToPath,
  V1PodSpec,
  V1Service,
  V1Volume,
} from "@kubernetes/client-node";
import { placesText, readPlaces, settingOf, type Program } from "./program.ts";
import type { FluentBitTarget, ProgramPlace, Settings } from "./settings.ts";

/** Names of what is made in Fluent Bit's namespace. Its role is not called as Falco's, which may be in the same one. */
export const fluentBitName = "falconry-fluent-bit";
export const fluentBitPort = 2020;
/** What agents write into the Secret, and Fluent Bit is started with. */
export const fluentBitFile = "fluent-bit.conf";
/** Lies beside it in the Secret, and the config names it. */
const parsersFile = "falconry_parsers.conf";

/** Says where Fluent Bit is and was, on what is removed last. */
const fluentBitAnnotation = "falconry/fluent-bit";
const secretSetting = "FALCONRY_FLUENT_BIT_SECRET";
const daemonSetSetting = "FALCONRY_FLUENT_BIT_DAEMONSET";
const dataSetting = "FALCONRY_FLUENT_BIT_DATA_DIR";

export function fluentBitProgram(place: ProgramPlace): Program {
  return {
    place,
    holds: { kind: "Secret", resource: "secrets" },
    object: fluentBitName,
    role: fluentBitName,
    service: fluentBitName,
    port: fluentBitPort,
    usualLabels: { "app.kubernetes.io/name": "fluent-bit" },
  };
}

/** What the agents' environment says about Fluent Bit. */
export function fluentBitEnv({ fluentBit }: Settings): readonly V1EnvVar[] {
  if (fluentBit === undefined) return [];
  return [
    { name: "FALCONRY_SHIPPER_DRIVER", value: "fluent-bit" },
    { name: secretSetting, value: `${fluentBit.place.namespace}/${fluentBitName}` },
    { name: daemonSetSetting, value: fluentBit.place.daemonSet },
    { name: "FALCONRY_FLUENT_BIT_CONFIG", value: fluentBit.config },
    { name: dataSetting, value: fluentBit.dataDir },
  ];
}

/** The Fluent Bit that ships for the agents that are there; undefined when they do it themselves. */
export function fluentBitOf(daemonSet: V1DaemonSet): ProgramPlace | undefined {
  const namespace = settingOf(daemonSet, secretSetting)?.split("/")[0];
  const named = settingOf(daemonSet, daemonSetSetting);
  return namespace === undefined || named === undefined ? undefined : { namespace, daemonSet: named };
}

/** Where the Fluent Bit that ships for the agents that are there keeps positions and chunks. */
export function fluentBitDataOf(daemonSet: V1DaemonSet): string | undefined {
  return settingOf(daemonSet, dataSetting);
}

/** The Fluent Bits that onboarding made something for, the last first, as what is removed last says. */
export function fluentBitsNoted({ metadata }: V1Service): readonly ProgramPlace[] {
  return readPlaces(metadata?.annotations?.[fluentBitAnnotation]);
}

/** The annotation that says so. */
export function fluentBitNote({ fluentBit, before }: Settings): Readonly<Record<string, string>> {
  const places = placesText(fluentBit?.place, before?.fluentBit ?? []);
  return places === "" ? {} : { [fluentBitAnnotation]: places };
}

/** What a Fluent Bit that is given up loads instead of what it shipped: it answers, and ships nothing. */
export const fluentBitRest: string = `# Written by fleetctl: the agents ship again, and nothing is shipped by this.
[SERVICE]
    Hot_Reload On
    HTTP_Server On
    HTTP_Listen 0.0.0.0
    HTTP_Port ${fluentBitPort}
[INPUT]
    Name dummy
    Tag falconry-rest
    Samples 1
[OUTPUT]
    Name null
    Match falconry-rest
`;

/** What the pods of a Fluent Bit lack; each with what to do. Empty when it can be driven. */
export interface Lack {
  readonly what: string;
  readonly next: string;
}

/** How the pods of a DaemonSet see what agents write, keep and read. */
export interface FluentBitPods {
  readonly target: Omit<FluentBitTarget, "place">;
  readonly lacks: readonly Lack[];
}

const dataDirUsual = "/var/lib/fluent-bit";

/**
 * Reads out of a pod template where the config is mounted, whether Fluent Bit is started with it and may be told to load it anew, and
 * which directory of the node it may write to: the one that is wanted, else one that is called as usual.
 */
export function readFluentBitPods(
  daemonSet: V1DaemonSet,
  auditLog: string | undefined,
  wantedDir?: string,
): FluentBitPods {
  const spec = daemonSet.spec?.template.spec ?? { containers: [] };
  const found = mountedIn(spec);
  const dataDir = dataDirOf(spec, found?.container, wantedDir);
  const target = {
    config: `${found?.directory ?? "/etc/fluent-bit/falconry"}/${fluentBitFile}`,
    dataDir: dataDir ?? wantedDir ?? dataDirUsual,
    ...(auditLog === undefined ? {} : { auditLog: seenAs(spec, found?.container, auditLog) ?? auditLog }),
  };
  if (found === undefined) {
    const what = `have the Secret ${fluentBitName} not mounted as a directory`;
    return { target, lacks: [{ what, next: mountText }] };
  }
  const { container } = found;
  const lacks: Lack[] = [];
  const words = wordsOf(container);
  if (!words.includes(target.config)) {
    const next = `Start it with -c ${target.config}`;
    lacks.push({ what: `are not started with ${target.config}`, next });
  }
  if (!words.some((word) => word === "-Y" || word === "--enable-hot-reload")) {
    lacks.push({ what: "may not be told to load a config anew", next: "Start it with -Y, for hot reload" });
  }
  if (dataDir === undefined) {
    const next = `Mount a directory of the node at ${wantedDir ?? dataDirUsual}, for it to write to; --fluent-bit-data DIR says which one, where it is called otherwise in the pods`;
    const where = wantedDir === undefined ? "" : ` at ${wantedDir}`;
    lacks.push({ what: `have no directory of the node to keep positions in${where}`, next });
  }
  if (auditLog !== undefined && seenAs(spec, container, auditLog) === undefined) {
    const next = `Mount the node's ${auditLog.slice(0, auditLog.lastIndexOf("/"))}, read-only`;
    lacks.push({ what: `do not see the audit log ${auditLog}`, next });
  }
  return { target, lacks };
}

const mountText = `Mount it, optional, at /etc/fluent-bit/falconry without subPath: docs/onboarding.md`;

interface Mounted {
  readonly container: V1Container;
  readonly directory: string;
}

/** A mount by `subPath` never changes, so it is none. */
function mountedIn({ containers, volumes = [] }: V1PodSpec): Mounted | undefined {
  const names = volumes.filter(holdsSecret).map(({ name }) => name);
  for (const container of containers) {
    const mount = (container.volumeMounts ?? []).find(
      ({ name, subPath = "", subPathExpr = "" }) =>
        names.includes(name) && subPath === "" && subPathExpr === "",
    );
    if (mount !== undefined) return { container, directory: mount.mountPath.replace(/\/+$/, "") };
  }
  return undefined;
}

/** Alone or among other sources; with all that is in it, under its own names. */
function holdsSecret({ secret, projected }: V1Volume): boolean {
  if (secret?.secretName === fluentBitName) return isWhole(secret.items);
  const sources = projected?.sources ?? [];
  return sources.some((each) => each.secret?.name === fluentBitName && isWhole(each.secret.items));
}

function isWhole(items: readonly V1KeyToPath[] | undefined): boolean {
  if (items === undefined || items.length === 0) return true;
  return [fluentBitFile, parsersFile].every((file) =>
    items.some(({ key, path }) => key === file && path === file),
  );
}

/** The words that a container is started with: "-c FILE", "-cFILE" and "--config=FILE" give FILE. */
function wordsOf({ command = [], args = [] }: V1Container): readonly string[] {
  return [...command, ...args].flatMap((word) => {
    const file = /^(?:--config=|-c)(\/.*)$/.exec(word)?.[1];
    return file === undefined ? [word] : [file];
  });
}

/** Below directories of the node that a container has mounted: where they are for it, and for the node. */
function nodeMounts({ volumes = [] }: V1PodSpec, container: V1Container | undefined) {
  return (container?.volumeMounts ?? []).flatMap(({ name, mountPath, readOnly, subPath = "" }) => {
    const path = volumes.find((volume) => volume.name === name)?.hostPath?.path;
    if (path === undefined || subPath !== "") return [];
    const plain = (text: string): string => text.replace(/\/+$/, "");
    return [{ node: plain(path), pod: plain(mountPath), readOnly: readOnly === true }];
  });
}

function dataDirOf(
  spec: V1PodSpec,
  container: V1Container | undefined,
  wanted: string | undefined,
): string | undefined {
  const mounts = nodeMounts(spec, container).filter(({ readOnly }) => !readOnly);
  if (wanted !== undefined) {
    return mounts.some(({ pod }) => `${wanted}/`.startsWith(`${pod}/`)) ? wanted : undefined;
  }
  return (mounts.find(({ pod }) => pod === dataDirUsual) ?? mounts.find(({ pod }) => /fluent-?bit/.test(pod)))
    ?.pod;
}

/** What a file of the node is called in a container; undefined where it is not mounted. */
function seenAs(spec: V1PodSpec, container: V1Container | undefined, file: string): string | undefined {
  const mount = nodeMounts(spec, container).find(({ node }) => file.startsWith(`${node}/`));
  return mount === undefined ? undefined : `${mount.pod}${file.slice(mount.node.length)}`;
}
