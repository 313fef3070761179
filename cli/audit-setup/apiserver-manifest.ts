import { type Document, isMap, isScalar, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from "yaml";

import { misused, refused } from "../failure.ts";
import { flagsOfTaste } from "./apiserver-flags.ts";
import { addMount, type Mount } from "./apiserver-mounts.ts";

export interface Patched {
  readonly text: string;
  /** What was added, in words; nothing when the manifest had everything. */
  readonly changes: readonly string[];
  /** Flags that are there with another value than ours, where any value will do. */
  readonly kept: readonly string[];
}

/** By which flag of the command a path follows what the manifest has. */
const pathFlags: Readonly<Record<string, string>> = {
  "audit-policy-file": "--policy-path",
  "audit-log-path": "--log-path",
  "audit-webhook-config-file": "--webhook-path",
};

/**
 * Adds flags and mounts to the static pod of kube-apiserver, and leaves the rest of the text as it is, comments included.
 * Throws a failure when it is no such pod, or when it has one of the flags with another value: which of the two somebody
 * wants is not ours to guess. Flags of which any value will do stay as they are.
 */
export function patchApiserver(
  text: string,
  name: string,
  flags: ReadonlyMap<string, string>,
  mounts: readonly Mount[],
): Patched {
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined) throw misused(`${name} is no YAML: ${problem.message}`);
  const container = apiserverOf(document);
  const command = container === undefined ? undefined : commandOf(container);
  if (container === undefined || command === undefined) {
    throw misused(
      `${name} is no static pod of kube-apiserver`,
      "On hosts made by kubeadm it is /etc/kubernetes/manifests/kube-apiserver.yaml: give its path with --manifest.",
      "For other hosts, leave --apply away and set the flags where yours are set.",
    );
  }
  const changes: string[] = [];
  const kept: string[] = [];
  const present = presentFlags(container);
  for (const [flag, value] of flags) {
    const has = present.get(flag);
    if (has === undefined) {
      command.add(document.createNode(`--${flag}=${value}`));
      changes.push(`flag --${flag}=${value}`);
    } else if (has !== value) {
      if (!flagsOfTaste.has(flag)) throw otherValue(name, flag, has, value);
      kept.push(`--${flag}=${has}`);
    }
  }
  for (const mount of mounts) changes.push(...addMount(document, container, mount, name));
  return { text: changes.length === 0 ? text : document.toString({ lineWidth: 0 }), changes, kept };
}

function otherValue(name: string, flag: string, has: string, value: string) {
  const option = pathFlags[flag] ?? "";
  return refused(
    `${name} has --${flag}=${has} already; --${flag}=${value} was to be added`,
    flag === "audit-policy-file"
      ? `To keep that policy: ${option} ${has} --policy ${has}`
      : `To go on with it: ${option} ${has}`,
    "Or take the flag out of the manifest, and then run this again.",
  );
}

function apiserverOf(document: Document): YAMLMap | undefined {
  const containers = document.getIn(["spec", "containers"]);
  if (document.get("kind") !== "Pod" || !isSeq(containers)) return undefined;
  const found = containers.items.find((one) => isMap(one) && one.get("name") === "kube-apiserver");
  return isMap(found) ? found : undefined;
}

/** The list that holds the flags: `command` as kubeadm writes it, or `args`. */
function commandOf(container: YAMLMap): YAMLSeq | undefined {
  const lists = listsOf(container).toReversed();
  return lists.find((list) => textsOf(list).some((one) => one.startsWith("--")));
}

/** What the process is started with, in the order of its words. */
function listsOf(container: YAMLMap): readonly YAMLSeq[] {
  return ["command", "args"].map((key) => container.get(key)).filter((list) => isSeq(list));
}

function textsOf(list: YAMLSeq): readonly string[] {
  return list.items.map((item) => String(isScalar(item) ? item.value : item));
}

/** Flags by name, with the value behind `=` or in the word that follows; of one that is there twice the last counts. */
function presentFlags(container: YAMLMap): ReadonlyMap<string, string> {
  const words = listsOf(container).flatMap(textsOf);
  const pairs = words.flatMap((text, index): [string, string][] => {
    const [, flag, value] = /^--?([\w-]+)(?:=(.*))?$/s.exec(text) ?? [];
    const next = words[index + 1];
    const following = next === undefined || next.startsWith("--") ? "true" : next;
    return flag === undefined ? [] : [[flag, value ?? following]];
  });
  return new Map(pairs);
}
