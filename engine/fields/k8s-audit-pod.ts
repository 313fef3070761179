import { kinds } from "../json/tape.ts";
import { valueText, wholeText } from "../json/text.ts";
import type { EventView, FieldDefinition } from "./field.ts";
import {
  auditOnly,
  computed,
  indexOf,
  indexedList,
  plainList,
  scalar,
  spread,
  textAt,
  textList,
  texts,
  walk,
} from "./path.ts";
import { allTexts, repositoryOf } from "./k8s-audit-container.ts";

const spec = (...path: string[]): readonly string[] => ["requestObject", "spec", ...path];

function volumeNodes(...path: string[]) {
  const whole = spec("volumes", ...path);
  return (event: EventView, index: number | undefined): readonly number[] | undefined =>
    spread(event, whole, index);
}

function volumeTypes(event: EventView, index: number | undefined): readonly string[] | undefined {
  const { tape } = event;
  return spread(event, spec("volumes", ""), index)?.flatMap((volume) => {
    const types: string[] = [];
    if (tape.kind(volume) !== kinds.object) return types;
    for (let key = tape.first(volume); key < tape.next(volume); key = tape.next(tape.next(key))) {
      if (!tape.is(key, "name")) types.push(valueText(tape, key));
    }
    return types;
  });
}

/** Whether any host path is the wanted one, or lies below it when the argument ends in `*`. */
function mountsHostPath(wanted: string) {
  const prefix = wanted.endsWith("*") ? wanted.slice(0, -1) : undefined;
  const whole = spec("volumes", "hostPath", "path");
  return (event: EventView): string | undefined => {
    const paths = spread(event, whole, undefined);
    const isMounted = paths?.some((node) => {
      if (node < 0) return false;
      const path = wholeText(event.tape, node);
      return path === wanted || (prefix !== undefined && path.startsWith(prefix));
    });
    return isMounted === undefined ? undefined : String(isMounted);
  };
}

function anyPrivileged(event: EventView): string | undefined {
  const { tape } = event;
  const flags = spread(event, spec("containers", "securityContext", "privileged"), undefined);
  const isTrue = (node: number): boolean =>
    node >= 0 && tape.kind(node) === kinds.literal && tape.raw(node) === "true";
  return flags === undefined ? undefined : String(flags.some(isTrue));
}

function firstImage(event: EventView): string | undefined {
  return allTexts(event, spread(event, spec("containers", "image"), 0))?.[0];
}

/** Fields of a pod's spec outside its containers. */
export const podFields: readonly FieldDefinition[] = [
  scalar("ka.req.pod.host_ipc", spec("hostIPC"), "Whether the pod uses the host's IPC namespace"),
  scalar("ka.req.pod.host_network", spec("hostNetwork"), "Whether the pod uses the host's network"),
  scalar("ka.req.container.host_network", spec("hostNetwork"), "Deprecated name of ka.req.pod.host_network"),
  scalar("ka.req.pod.host_pid", spec("hostPID"), "Whether the pod uses the host's process namespace"),
  scalar(
    "ka.req.pod.run_as_user",
    spec("securityContext", "runAsUser"),
    "User id of the pod's security context",
  ),
  scalar(
    "ka.req.pod.run_as_group",
    spec("securityContext", "runAsGroup"),
    "Group id of the pod's security context",
  ),
  scalar("ka.req.pod.fs_group", spec("securityContext", "fsGroup"), "Group that owns the pod's volumes"),
  plainList("ka.req.pod.supplemental_groups", "Further group ids of the pod", (event) =>
    texts(event, walk(event, event.root, spec("securityContext", "supplementalGroups"))),
  ),
  computed("ka.req.container.image", "Image of the first container", firstImage),
  computed("ka.req.container.image.repository", "Repository of the first container's image", (event) => {
    const image = firstImage(event);
    return image === undefined ? undefined : repositoryOf(image);
  }),
  computed("ka.req.container.privileged", "Whether any container is privileged", anyPrivileged),
  textList(
    "ka.req.pod.volumes.hostpath",
    "Host paths of the pod's volumes",
    "index-optional",
    volumeNodes("hostPath", "path"),
  ),
  textList(
    "ka.req.pod.volumes.flexvolume_driver",
    "Drivers of the pod's flex volumes",
    "index-optional",
    volumeNodes("flexVolume", "driver"),
  ),
  indexedList("ka.req.pod.volumes.volume_type", "Types of the pod's volumes, such as hostPath", volumeTypes),
  {
    name: "ka.req.volume.hostpath",
    type: "CHARBUF",
    isList: false,
    argument: "key-required",
    doc: "Whether a volume mounts this host path; an argument that ends in * also matches paths below",
    bind: (argument = "") => auditOnly(mountsHostPath(argument)),
  },
  effective("ka.req.pod.containers.eff_run_as_user", "containers", "runAsUser"),
  effective("ka.req.pod.containers.eff_run_as_group", "containers", "runAsGroup"),
  effective("ka.req.pod.initContainers.eff_run_as_user", "initContainers", "runAsUser"),
  effective("ka.req.pod.initContainers.eff_run_as_group", "initContainers", "runAsGroup"),
  effective("ka.req.pod.ephemeralContainers.eff_run_as_user", "ephemeralContainers", "runAsUser"),
  effective("ka.req.pod.ephemeralContainers.eff_run_as_group", "ephemeralContainers", "runAsGroup"),
];

/** The id a container runs with: its own, else the pod's, else 0. */
function effective(name: string, list: string, key: string): FieldDefinition {
  return {
    name,
    type: "CHARBUF",
    isList: true,
    argument: "index-optional",
    doc: `The ${key} each container runs with: its own security context, else the pod's, else 0`,
    bind: (argument, compat) => {
      const index = indexOf(argument);
      // Falco looks beside the security contexts instead of inside them.
      const inner = compat === "strict" ? [key] : ["securityContext", key];
      return auditOnly((event) => effectiveIds(event, spec(list), inner, index, compat === "strict"));
    },
  };
}

function effectiveIds(
  event: EventView,
  list: readonly string[],
  inner: readonly string[],
  index: number | undefined,
  isStrict: boolean,
): readonly string[] | undefined {
  const ids = spread(event, [...list, ...inner], index);
  // With an index, a container without the key ends the path; Falco then gives nothing, not even the default.
  const nodes = ids ?? (isStrict || spread(event, [...list, ""], index) === undefined ? undefined : [-1]);
  const ofPod = textAt(event, event.root, spec(...inner)) ?? "0";
  return nodes?.map((node) => (node < 0 ? ofPod : valueText(event.tape, node)));
}
