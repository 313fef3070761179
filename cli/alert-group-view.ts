import { type AlertGroup, AlertGroupState, type GetAlertGroupResponse } from "#proto/fleet/v1/alert_group";
import type { AlertSilence } from "#proto/fleet/v1/alert_silence";
import { fieldLines } from "./alert-view.ts";
import { type Column, renderFields, sectionLines } from "./output/table.ts";
import { clean, type Tone } from "./output/text.ts";
import { minuteOf } from "./people-view.ts";
import { toneOfPriority } from "./priority.ts";
import { ageOf, isoOf, leftOf } from "./views.ts";

const stateWords: Readonly<Record<AlertGroupState, string>> = {
  [AlertGroupState.UNSPECIFIED]: "",
  [AlertGroupState.OPEN]: "open",
  [AlertGroupState.ACKNOWLEDGED]: "acknowledged",
  [AlertGroupState.RESOLVED]: "resolved",
};

/** The state of a group in words, with the silence that marks it. */
export function groupStateText({ state, silencedUntil }: AlertGroup): string {
  const word = stateWords[state] ?? "";
  return silencedUntil === undefined ? word : `${word}, silenced until ${minuteOf(silencedUntil)}`;
}

function toneOfState({ state, silencedUntil }: AlertGroup): Tone | undefined {
  if (state === AlertGroupState.RESOLVED || silencedUntil !== undefined) return "faint";
  return state === AlertGroupState.ACKNOWLEDGED ? "busy" : undefined;
}

/** Columns of `alerts groups`; ages are counted from `now`. */
export function groupColumns(now: number): readonly Column<AlertGroup>[] {
  return [
    { title: "GROUP", cell: ({ id }) => id },
    { title: "CLUSTER", cell: ({ clusterName }) => clusterName },
    { title: "PRIORITY", cell: ({ priority }) => priority, tone: ({ priority }) => toneOfPriority(priority) },
    { title: "RULE", cell: ({ rule }) => rule },
    { title: "ACTOR", cell: ({ actor }) => actor },
    { title: "COUNT", align: "right", cell: ({ count }) => `${count}` },
    { title: "NOT STORED", wide: true, align: "right", cell: ({ notStored }) => `${notStored}` },
    { title: "FIRST", wide: true, cell: ({ firstAt }) => isoOf(firstAt) },
    { title: "LAST", align: "right", cell: ({ lastAt }) => ageOf(lastAt, now) },
    { title: "STATE", cell: groupStateText, tone: toneOfState },
    { title: "BY", wide: true, cell: ({ stateBy }) => stateBy },
    { title: "NOTE", wide: true, cell: ({ note }) => note },
  ];
}

/** A group whole, for `alerts show`. */
export function groupLines({ group, samples, acts, fields }: GetAlertGroupResponse): string[] {
  if (group === undefined) return [];
  return [
    ...renderFields([
      ["Group", group.id],
      ["Rule", group.rule],
      ["Cluster", group.region === "" ? group.clusterName : `${group.clusterName} (${group.region})`],
      ["Actor", group.actor],
      ["Priority", group.priority],
      ["Tags", group.tags.join(", ")],
      ["Alerts", countText(group)],
      ["First", isoOf(group.firstAt)],
      ["Last", isoOf(group.lastAt)],
      ["State", stateText(group)],
      ["Note", group.note],
      ["Silence", group.silenceId],
    ]),
    ...sectionLines(
      "Newest:",
      samples.map(({ time, output }) => `${isoOf(time)} ${clean(output)}`),
    ),
    ...sectionLines("Fields of the newest:", fieldLines(parseFields(fields))),
    ...sectionLines(
      "History:",
      acts.map(({ at, who, what, note }) => {
        const words = note === "" ? "" : `: ${clean(note)}`;
        return `${minuteOf(at)}  ${clean(who) || "a new alert"}  ${clean(what)}${words}`;
      }),
    ),
  ];
}

function parseFields(json: string): Readonly<Record<string, unknown>> {
  return JSON.parse(json === "" ? "{}" : json) as Readonly<Record<string, unknown>>;
}

function countText({ count, notStored }: AlertGroup): string {
  return notStored === 0n ? `${count}` : `${count}, of which ${notStored} were counted and not stored`;
}

function stateText(group: AlertGroup): string {
  const by = group.stateBy === "" ? "" : ` by ${group.stateBy}`;
  return `${groupStateText(group)}, since ${minuteOf(group.stateAt)}${by}`;
}

/** Columns of `alerts silence list`; what is left is counted from `now`. */
export function silenceColumns(now: number): readonly Column<AlertSilence>[] {
  return [
    { title: "SILENCE", cell: ({ id }) => id },
    { title: "MATCHERS", cell: ({ matchers }) => matchers },
    { title: "GROUPS", align: "right", cell: ({ groups }) => `${groups}` },
    { title: "ENDS", cell: (silence) => endText(silence, now) },
    { title: "AUTHOR", cell: ({ author }) => author },
    { title: "REASON", cell: ({ reason }) => reason },
    { title: "BEGAN", wide: true, cell: ({ createdAt }) => isoOf(createdAt) },
  ];
}

function endText({ removedAt, removedBy, expiresAt }: AlertSilence, now: number): string {
  if (removedAt !== undefined) return `ended by ${removedBy}`;
  return leftOf(expiresAt, now);
}
