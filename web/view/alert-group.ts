import { AlertGroupState, type AlertGroup } from "#proto/fleet/v1/alert_group";
import { countText, nounText } from "./quantity.ts";
import type { Word } from "./words.ts";

const { OPEN, ACKNOWLEDGED, RESOLVED } = AlertGroupState;

/** Which groups one wants to see, by the words that fleetctl has for it, and what they ask the server for. */
export const groupWishes = {
  current: { states: [OPEN, ACKNOWLEDGED], silenced: false },
  open: { states: [OPEN], silenced: false },
  acknowledged: { states: [ACKNOWLEDGED] },
  resolved: { states: [RESOLVED] },
  silenced: { states: [], silenced: true },
  all: { states: [] },
} as const satisfies Readonly<
  Record<string, { readonly states: readonly AlertGroupState[]; readonly silenced?: boolean }>
>;

/** A wish that nobody knows, as an old link may hold, is the first one. */
export function groupWish(word: string): (typeof groupWishes)[keyof typeof groupWishes] {
  return Object.hasOwn(groupWishes, word)
    ? groupWishes[word as keyof typeof groupWishes]
    : groupWishes.current;
}

const words: Readonly<Record<AlertGroupState, Word>> = {
  [AlertGroupState.UNSPECIFIED]: { tone: "idle", text: "unknown" },
  [OPEN]: { tone: "warn", text: "open" },
  [ACKNOWLEDGED]: { tone: "busy", text: "acknowledged" },
  [RESOLVED]: { tone: "ok", text: "resolved" },
};

export function groupWord(state: AlertGroupState): Word {
  return words[state] ?? words[AlertGroupState.UNSPECIFIED];
}

export type GroupStep = "acknowledge" | "resolve" | "reopen";

export interface OfferedStep {
  readonly step: GroupStep;
  readonly verb: string;
  readonly consequence: string;
  readonly from: readonly AlertGroupState[];
}

const steps: readonly OfferedStep[] = [
  {
    step: "acknowledge",
    verb: "Acknowledge",
    consequence: "You say that somebody looks after it. It stays acknowledged when more alerts come.",
    from: [OPEN],
  },
  {
    step: "resolve",
    verb: "Resolve",
    consequence: "You say that it is dealt with. The next alert that arrives opens it again.",
    from: [OPEN, ACKNOWLEDGED],
  },
  {
    step: "reopen",
    verb: "Reopen",
    consequence: "It is open again. The history keeps what was said before.",
    from: [ACKNOWLEDGED, RESOLVED],
  },
];

/** The steps that all of some groups can take together. */
export function stepsFor(states: readonly AlertGroupState[]): readonly OfferedStep[] {
  return states.length === 0 ? [] : steps.filter(({ from }) => states.every((state) => from.includes(state)));
}

/** So many groups take a step together, or none of them does. */
export const stepGroupsMax = 100;

/**
 * Who chose more than take a step together is told that these are the first of them; the rest stays chosen, as do those that
 * the words of the filter hide.
 */
export function chosenText(count: number, hidden: number): string {
  if (count === 0) return `${nounText(hidden, "group")} chosen, which the filter hides`;
  const chosen = nounText(count, "group");
  const first = count > stepGroupsMax ? `The first ${stepGroupsMax} of ${chosen} chosen` : `${chosen} chosen`;
  return hidden === 0 ? first : `${first}; the filter hides ${countText(hidden)} more`;
}

/** What of the chosen ones is still in a list. */
export function onlyGroups(
  chosen: ReadonlySet<string>,
  groups: readonly { readonly id: string }[],
): ReadonlySet<string> {
  if (chosen.size === 0) return chosen;
  const there = new Set(groups.map(({ id }) => id));
  return new Set([...chosen].filter((id) => there.has(id)));
}

/** What is still chosen when something was done with some. */
export function withoutGroups(
  chosen: ReadonlySet<string>,
  done: readonly { readonly id: string }[],
): ReadonlySet<string> {
  const gone = new Set(done.map(({ id }) => id));
  return new Set([...chosen].filter((id) => !gone.has(id)));
}

const fieldsMax = 200;

/** Names and values of Falco's output fields. What is no object has none: clusters wrote it. */
export function fieldsOf(json: string): readonly (readonly [name: string, value: string])[] {
  let fields: unknown;
  try {
    fields = JSON.parse(json);
  } catch {
    return [];
  }
  if (typeof fields !== "object" || fields === null) return [];
  return Object.entries(fields)
    .slice(0, fieldsMax)
    .map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
}

/** Groups whose alerts are added up: more are told as at least. */
export const groupsCounted = 200;

/** Of the alerts of some groups, how many were counted and not stored. */
export interface NotStored {
  readonly count: bigint;
  readonly text: string;
}

/** What was not stored of the groups of a first page; undefined while nobody knows. */
export function notStoredOf(
  page:
    | { readonly groups: readonly Pick<AlertGroup, "notStored">[]; readonly nextPageToken: string }
    | undefined,
): NotStored | undefined {
  if (page === undefined) return undefined;
  const count = page.groups.reduce((total, { notStored }) => total + notStored, 0n);
  return { count, text: `${leastOf(page)}${countText(count)}` };
}

/** A sum over a first page is the least that it can be when more follow. */
export function leastOf({ nextPageToken }: { readonly nextPageToken: string }): string {
  return nextPageToken === "" ? "" : "≥ ";
}
