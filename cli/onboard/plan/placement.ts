import type {
  V1DaemonSet,
  V1Node,
  V1NodeSelectorRequirement,
  V1NodeSelectorTerm,
  V1PodSpec,
  V1Taint,
  V1Toleration,
} from "@kubernetes/client-node";

/**
 * Why the pods of a DaemonSet do not run on a node, as its controller and the scheduler decide it: by name, labels, required
 * affinity and taints. Undefined when nothing of that keeps them from it; whether a node has room for them is not known here.
 */
export function keptFrom(daemonSet: V1DaemonSet, node: V1Node): string | undefined {
  const spec = daemonSet.spec?.template.spec ?? { containers: [] };
  const { nodeName, nodeSelector = {}, affinity } = spec;
  const { name = "", labels = {} } = node.metadata ?? {};
  if (nodeName !== undefined && nodeName !== name) return `nodeName ${nodeName}`;
  const label = Object.entries(nodeSelector).find(([key, value]) => labels[key] !== value);
  if (label !== undefined) return `nodeSelector ${label[0]}=${label[1]}`;
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (terms !== undefined && !terms.some((term) => matches(term, name, labels))) {
    return "its required node affinity";
  }
  const taint = (node.spec?.taints ?? []).find((each) => keepsAway(each) && !isTolerated(each, spec));
  return taint === undefined ? undefined : `the taint ${taintText(taint)}`;
}

/** As `kubectl taint` takes it. */
function taintText({ key, value = "", effect }: V1Taint): string {
  return `${key}${value === "" ? "" : `=${value}`}:${effect}`;
}

function keepsAway({ effect }: V1Taint): boolean {
  return effect === "NoSchedule" || effect === "NoExecute";
}

/** What the controller gives every pod of a DaemonSet: these come and go with how a node fares. */
const givenByController = [
  "node.kubernetes.io/not-ready",
  "node.kubernetes.io/unreachable",
  "node.kubernetes.io/disk-pressure",
  "node.kubernetes.io/memory-pressure",
  "node.kubernetes.io/pid-pressure",
  "node.kubernetes.io/unschedulable",
];

function isTolerated(taint: V1Taint, { tolerations = [], hostNetwork }: V1PodSpec): boolean {
  if (givenByController.includes(taint.key)) return true;
  if (hostNetwork === true && taint.key === "node.kubernetes.io/network-unavailable") return true;
  return tolerations.some((each) => tolerates(each, taint));
}

/** Without an effect all effects; without a key, with Exists, everything. */
function tolerates(
  { key = "", operator = "Equal", value = "", effect = "" }: V1Toleration,
  taint: V1Taint,
): boolean {
  if (effect !== "" && effect !== taint.effect) return false;
  if (key === "") return operator === "Exists";
  return key === taint.key && (operator === "Exists" || value === (taint.value ?? ""));
}

/** A term that asks for nothing selects nothing. */
function matches(
  { matchExpressions = [], matchFields = [] }: V1NodeSelectorTerm,
  name: string,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  return (
    matchExpressions.every((each) => meets(each, labels[each.key])) &&
    matchFields.every((each) => each.key === "metadata.name" && meets(each, name))
  );
}

function meets({ operator, values = [] }: V1NodeSelectorRequirement, value: string | undefined): boolean {
  const [bound = ""] = values;
  if (operator === "Exists") return value !== undefined;
  if (operator === "DoesNotExist") return value === undefined;
  if (operator === "In") return value !== undefined && values.includes(value);
  if (operator === "NotIn") return value === undefined || !values.includes(value);
  if (value === undefined) return false;
  return operator === "Gt" ? Number(value) > Number(bound) : Number(value) < Number(bound);
}
