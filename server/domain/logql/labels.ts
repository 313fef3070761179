import { priorityWord } from "../priority.ts";

/** The labels of a stream, or of a series; a label that is not there is as one that is empty. */
export type Labels = Readonly<Record<string, string>>;

/** What every stream has, and which alert of it stands behind a value. */
export interface StreamKey {
  readonly rule: string;
  /** Falco's, as a number. */
  readonly priority: number;
  /** Of the cluster, as the fleet keeps them. */
  readonly cluster: Labels;
}

/** The labels that each stream has whatever its cluster is labelled with. */
export const ownLabels = ["job", "source", "rule", "priority"] as const;
/** The labels that each stream has: no line can bring another value for them. */
export const fixedLabels: ReadonlySet<string> = new Set([...ownLabels, "cluster", "region"]);

export const jobLabel = "falconry";
/** As the shipper's configs name the stream of alerts, whoever raised them. */
export const sourceLabel = "falco";

/** A cluster's labels under the names that LogQL allows. */
export function clusterLabels(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [labelName(name), value]));
}

/** The labels of a stream. The four that all streams have win over those that a cluster is given. */
export function streamLabels({ rule, priority, cluster }: StreamKey): Labels {
  return {
    ...clusterLabels(cluster),
    job: jobLabel,
    source: sourceLabel,
    rule,
    priority: priorityWord(priority),
  };
}

/** A name that LogQL allows: other letters become `_`. */
export function labelName(name: string): string {
  const safe = name.replaceAll(/[^a-zA-Z0-9_]/g, "_");
  return /^[0-9]/.test(safe) ? `_${safe}` : safe;
}

/** The same for the same labels only. */
export function keyOf(labels: Labels): string {
  const names = Object.keys(labels).toSorted();
  return JSON.stringify(names.map((name) => [name, labels[name]]));
}

/** The labels that a series keeps when series are put together. */
export function groupLabels(
  labels: Labels,
  { isWithout, labels: named }: { readonly isWithout: boolean; readonly labels: readonly string[] },
): Labels {
  return Object.fromEntries(
    Object.entries(labels).filter(([name, value]) => value !== "" && named.includes(name) !== isWithout),
  );
}
