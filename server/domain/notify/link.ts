import type { Entry } from "./group.ts";

/** Leads to where a person reads on about what is told. */
export type LinkOf = (entry: Entry) => string;

/**
 * The page of the console about an entry: the group of an alert, the rollout or the cluster of a state. `home` is the console's address,
 * with the slash at its end. What others chose is percent-encoded: nothing in a link ends it. The newest alert and its time go along with
 * a group, because of many groups of a cluster not all are kept apart: from the alert the console finds what is there instead.
 */
export function linkOf(home: string, { alert, kind, rule, subject, cluster, lastMs }: Entry): string {
  if (alert !== undefined) {
    return `${home}alerts/${encoded(alert.groupId)}?alert=${encoded(alert.id)}.${lastMs}`;
  }
  if (kind === "state" && rule.startsWith("Rollout ")) return `${home}rollouts/${encoded(subject)}`;
  return cluster === "" ? home : `${home}clusters/${encoded(cluster)}`;
}

/** Parentheses, quotes and stars as well, which chats take for their own signs. */
function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replaceAll(
    /[!'()*~]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
