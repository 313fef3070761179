import { quotedInCommand, type Act } from "./act.ts";
import type { ReportedCluster, ReportedRollout } from "./fleet-reports.ts";
import { createKnownNames } from "./known-names.ts";
import type { Redactable } from "./redactable.ts";

/** Other names for names, the same for the same, in the order in which they are asked for. */
interface Cover {
  /** The name instead of another one, where such names are to be covered. */
  name(kind: Redactable, text: string): string;
  /** Running text, in which every name that was covered until now is covered, too. */
  text(text: string): string;
}

function createCover(what: ReadonlySet<Redactable>): Cover {
  const books = new Map<Redactable, Map<string, string>>();
  const known = createKnownNames();
  return {
    name(kind, text) {
      if (text === "" || !what.has(kind)) return text;
      const book = books.get(kind) ?? new Map<string, string>();
      books.set(kind, book);
      const before = book.get(text);
      if (before !== undefined) return before;
      const name = `${kind} ${book.size + 1}`;
      book.set(text, name);
      known.add(text, name, "whole");
      for (const part of partsOf(kind, text)) known.add(part, name, "part");
      return name;
    },
    text: (text) => known.cover(text),
  };
}

/**
 * What a name may be written as in a command, besides itself: each address of a list; of a person what stands before the @ and the + of an
 * e-mail address, and what stands behind a Windows domain or the path of an ARN. And each as a shell writes an apostrophe in it.
 */
function partsOf(kind: Redactable, text: string): readonly string[] {
  const parts = kind === "address" ? text.split(", ") : kind === "user" ? personsIn(text) : [];
  const quoted = [text, ...parts].filter((each) => each.includes("'")).map(quotedInCommand);
  return [...parts, ...quoted];
}

function personsIn(text: string): readonly string[] {
  const behind = text.startsWith("arn:") ? /[/]([^/]+)$/.exec(text) : /\\([^\\]+)$/.exec(text);
  const person = behind?.[1] ?? text.slice(text.lastIndexOf(":") + 1);
  const [local = "", domain] = person.split("@");
  const locals = domain === undefined || local === "" ? [] : [local, local.split("+")[0] ?? ""];
  return behind === null ? locals : [person, ...locals];
}

/**
 * Replaces names by others that say only which are the same: "user 1". What may repeat such a name goes with it: the URI, the output of a
 * rule, and the name where a command holds it.
 */
export function redact(acts: readonly Act[], what: ReadonlySet<Redactable>): readonly Act[] {
  if (what.size === 0) return acts;
  const cover = createCover(what);
  // All names first: the command of one act may name the user of a later one.
  const named = acts.map((act) => ({
    ...act,
    cluster: cover.name("cluster", act.cluster),
    namespace: cover.name("namespace", act.namespace),
    object: cover.name("object", act.object),
    user: cover.name("user", act.user),
    as: cover.name("user", act.as),
    from: cover.name("address", act.from),
    uri: "",
    output: act.rules.join(", "),
  }));
  const command = ({ command: text }: Act) =>
    what.has("command") ? cover.name("command", text) : cover.text(text);
  return named.map((act) => ({ ...act, command: command(act) }));
}

/** Covers who began a rollout, and in its reason everybody else who decided about it. */
export function redactRollouts(
  rollouts: readonly ReportedRollout[],
  what: ReadonlySet<Redactable>,
): readonly ReportedRollout[] {
  if (!what.has("user")) return rollouts;
  const cover = createCover(what);
  const named = rollouts.map((rollout) => ({ ...rollout, by: cover.name("user", rollout.by) }));
  return named.map((rollout) => ({ ...rollout, because: cover.text(withoutPeople(rollout.because)) }));
}

/**
 * A reason without what people are called in it, who are no column of a report: "aborted by NAME; ...", "rejected by NAME: why",
 * "approved by NAME, NAME; ...", "undone: ... (by NAME)", "NAME took the plan ...". A name may hold any letter, and what follows one may
 * be somebody's own words, so that nothing behind "by" is kept.
 */
function withoutPeople(because: string): string {
  return because.replace(/^.* took the plan\b/s, "… took the plan").replace(/\bby\b.*$/s, "by …");
}

/** Covers the names of clusters. */
export function redactClusters(
  clusters: readonly ReportedCluster[],
  what: ReadonlySet<Redactable>,
): readonly ReportedCluster[] {
  const cover = createCover(what);
  return clusters.map((cluster) => ({ ...cluster, name: cover.name("cluster", cluster.name) }));
}
