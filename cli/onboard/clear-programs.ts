import type { KubernetesObject } from "@kubernetes/client-node";
import type { Steps } from "../local/steps.ts";
import { deniedOf } from "./denied.ts";
import type { Ports } from "./onboard.ts";
import { falcoProgram } from "./plan/falco.ts";
import { fluentBitFile, fluentBitProgram, fluentBitRest } from "./plan/fluent-bit.ts";
import { permissionText, type Permission } from "./plan/permissions.ts";
import { elsewhere, heldObject, placeText, type Program } from "./plan/program.ts";
import { judgeRemoval, madeFor, permissionsTo, type Header } from "./plan/removal.ts";
import type { PlacesBefore, Settings } from "./plan/settings.ts";
import { shellWord } from "./plan/shell-word.ts";

type Kube = Ports["kube"];

/**
 * Takes away what was made for programs that run no bundles any more. A Fluent Bit gets a config instead that ships nothing: it would
 * ship what the agents ship now, too. Where the user may not, it says so and what is there stays for `offboard`.
 */
export async function clearPrograms(
  { kube }: Ports,
  steps: Steps,
  settings: Settings,
  before: PlacesBefore,
): Promise<void> {
  const programs = [
    ...elsewhere(before.fluentBit, settings.fluentBit?.place).map(fluentBitProgram),
    ...elsewhere(before.falco, settings.falco).map(falcoProgram),
  ];
  for (const program of programs) {
    const name = `${program.holds.kind === "Secret" ? "Fluent Bit" : "Falco"} ${placeText(program.place)}`;
    const unseen = await deniedOf(kube, permissionsTo("get", program.place.namespace, madeFor(program)));
    const found = unseen.length > 0 ? [] : await foundOf(kube, settings.cluster, program);
    if (unseen.length + found.length === 0) continue;
    await steps.run("program of before", async () => {
      const said = unseen.length > 0 ? stays(program, unseen) : await clear(kube, settings, program, found);
      return `${name}: ${said}`;
    });
  }
}

/** What is ours; nothing when only the config is left that ships nothing. */
async function foundOf(kube: Kube, cluster: string, program: Program): Promise<readonly Header[]> {
  const found: Header[] = [];
  for (const header of inOrder(program)) {
    const { apiVersion, kind, metadata } = header;
    const object = await kube.find<KubernetesObject>(apiVersion, kind, metadata.name, metadata.namespace);
    if (object !== undefined && judgeRemoval(object, cluster) === undefined) found.push(header);
  }
  const isAtRest = found.every(({ kind }) => kind === "Secret");
  return isAtRest ? [] : found;
}

/** The right to write goes first, then what was written; the rest says until the end that there is something to do. */
function inOrder(program: Program): readonly Header[] {
  const all = madeFor(program);
  const first = ["RoleBinding", program.holds.kind];
  return [
    ...first.flatMap((kind) => all.filter((each) => each.kind === kind)),
    ...all.filter(({ kind }) => !first.includes(kind)),
  ];
}

async function clear(
  kube: Kube,
  settings: Settings,
  program: Program,
  found: readonly Header[],
): Promise<string> {
  const { place } = program;
  const rests = program.holds.kind === "Secret";
  const secrets = rests ? found.filter(({ kind }) => kind === "Secret") : [];
  const denied = await deniedOf(kube, [
    ...permissionsTo("delete", place.namespace, found),
    ...["create", "patch"].flatMap((verb) => permissionsTo(verb, place.namespace, secrets)),
  ]);
  if (denied.length > 0) return stays(program, denied);
  for (const header of found) {
    await kube.remove(header);
    // Made anew: the agents' text in it is theirs, and is not taken by force.
    if (header.kind === "Secret") await kube.apply(restOf(settings, program));
  }
  if (!rests) return "what was made for it was removed, its rules with it";
  return `its config ships nothing now, and pods ship on until they load it: kubectl --context ${shellWord(kube.context)} -n ${place.namespace} rollout restart daemonset/${place.daemonSet}`;
}

function stays({ holds, object }: Program, denied: readonly Permission[]): string {
  const why = `stays for offboard, because the kubeconfig's user may not ${denied.map(permissionText).join("; ")}`;
  if (holds.kind === "ConfigMap") return why;
  return `${why}; it ships every record a second time until the Secret ${object} is deleted and its pods are restarted`;
}

function restOf(settings: Settings, program: Program): KubernetesObject {
  const data = { [fluentBitFile]: Buffer.from(fluentBitRest).toString("base64") };
  const object: KubernetesObject & { data: Record<string, string> } = {
    ...heldObject(settings, program),
    data,
  };
  return object;
}
