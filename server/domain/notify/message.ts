import { clean } from "#report/text";

import { priorityWord } from "../priority.ts";
import type { Entry, GroupLabels } from "./group.ts";
import type { LinkOf } from "./link.ts";

/** A notification as it waits to be delivered: words and numbers alone, whatever the receiver. */
export interface Message {
  /** The same in every attempt, so that a receiver can tell a repeated one. */
  readonly id: string;
  readonly org: string;
  readonly route: string;
  /** The same for every message of a group. */
  readonly group: string;
  readonly labels: GroupLabels;
  readonly atMs: number;
  /** When what is told has to be taken for over if nothing more is heard of it. */
  readonly untilMs: number;
  readonly firing: readonly Entry[];
  readonly resolved: readonly Entry[];
  readonly leftOut: number;
  /** Something that was told before and is not in this message stands all the same. */
  readonly goesOn?: boolean;
  /** A report that goes with it, or is all of it. */
  readonly report?: Attachment;
}

/** A file of text. */
export interface Attachment {
  readonly title: string;
  /** A few words for who does not open it. */
  readonly summary: string;
  readonly fileName: string;
  readonly mediaType: string;
  readonly text: string;
}

const linesMax = 10;
const subjectCharsMax = 150;

/** The most severe priority of a message, as Falco's word. */
export function worstOf(message: Message): string {
  const told = message.firing.length > 0 ? message.firing : message.resolved;
  return priorityWord(Math.min(...told.map(({ priority }) => priority), 7));
}

/** One line: how many of what, and where. */
export function subjectOf(message: Message): string {
  if (message.report !== undefined) return clean(message.report.title).slice(0, subjectCharsMax);
  const { firing, resolved } = message;
  const isOver = firing.length === 0;
  const told = isOver ? resolved : firing;
  const rules = [...new Set(told.map(({ rule }) => rule))];
  const clusters = [...new Set(told.map(({ cluster }) => cluster).filter((name) => name !== ""))];
  const what = rules.length === 1 ? (rules[0] ?? "") : `${rules.length} rules`;
  const where =
    clusters.length === 0
      ? ""
      : clusters.length === 1
        ? ` in ${clusters[0]}`
        : ` in ${clusters.length} clusters`;
  const state = isOver ? "Over" : worstOf(message);
  return clean(`[${state}] ${what}${where}`).slice(0, subjectCharsMax);
}

/** "3 times", when it was more than once. */
function times({ count }: Entry): string {
  return count > 1 ? ` (${count} times)` : "";
}

/** A line of a message, and where it leads. */
export interface Line {
  readonly text: string;
  /** Of our own making: nothing in it has to be defused. */
  readonly url?: string;
}

/** A line for each thing, then what did not fit. */
export function linesOf(message: Message, link: LinkOf): readonly Line[] {
  if (message.report !== undefined) return [{ text: clean(message.report.summary) }];
  const { firing, resolved, leftOut } = message;
  const line = (entry: Entry, text: string) => ({ text: clean(text), url: link(entry) });
  const all = [
    ...firing.map((entry) =>
      line(entry, `${priorityWord(entry.priority)} ${whereOf(entry)}: ${textOf(entry)}${times(entry)}`),
    ),
    ...resolved.map((entry) => line(entry, `Over ${whereOf(entry)}: ${textOf(entry)}`)),
  ];
  const hidden = all.length - linesMax;
  const more = hidden > 0 ? [`and ${hidden} more`] : [];
  const lost =
    leftOut > 0 ? [`${leftOut} occurrences are not in this message: there were too many different ones`] : [];
  return [...all.slice(0, linesMax), ...[...more, ...lost].map((text) => ({ text }))];
}

/** The lines as plain text, each with the address below it that it leads to. */
export function textOfLines(lines: readonly Line[]): string {
  return lines.map(({ text, url }) => (url === undefined ? `${text}\n` : `${text}\n  ${url}\n`)).join("");
}

function whereOf({ rule, cluster }: Entry): string {
  return cluster === "" ? rule : `${rule} in ${cluster}`;
}

function textOf({ summary, actor }: Entry): string {
  return actor === "" || summary.includes(actor) ? summary : `${summary} (${actor})`;
}

/** The bodies that receivers take. `at` writes a moment as RFC 3339. */
export interface Rendering {
  readonly at: (ms: number) => string;
  readonly link: LinkOf;
}

/** By which an alert is found again. Of a state there is nothing. */
function placeOf({ alert }: Entry): Readonly<Record<string, string>> {
  if (alert === undefined) return {};
  const { groupId, id, auditId } = alert;
  return { group_id: clean(groupId), alert_id: clean(id), ...given("audit_id", auditId) };
}

/** What Alertmanager's `/api/v2/alerts` takes: one alert for each thing; the labels are what tells it apart there. */
export function alertmanagerBody(message: Message, { at, link }: Rendering): readonly object[] {
  const one = (entry: Entry, endsMs: number) => ({
    labels: {
      // Labels of the cluster come first, so that none of them takes the place of what the alert says.
      ...prometheusLabels(entry.labels),
      alertname: entry.rule,
      severity: severityOf(entry.priority),
      priority: priorityWord(entry.priority),
      source: entry.source,
      org: message.org,
      route: message.route,
      ...given("cluster", entry.cluster),
      ...given("actor", entry.actor),
      ...given("subject", entry.subject),
    },
    annotations: {
      summary: clean(entry.summary),
      count: String(Math.max(1, entry.count)),
      // Not among the labels: those of an alert that happens again have to be the same.
      ...placeOf(entry),
    },
    generatorURL: link(entry),
    startsAt: at(entry.firstMs),
    endsAt: at(endsMs),
  });
  return [
    ...message.firing.map((entry) => one(entry, message.untilMs)),
    ...message.resolved.map((entry) =>
      one(entry, Math.max(entry.endedMs ?? message.atMs, entry.firstMs + 1)),
    ),
  ];
}

function given(name: string, value: string): Readonly<Record<string, string>> {
  return value === "" ? {} : { [name]: clean(value) };
}

/** Names as Prometheus has them. */
function prometheusLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(labels).map(([name, value]) => {
      const word = name.replaceAll(/\W/g, "_");
      return [/^\d/.test(word) ? `_${word}` : word, value];
    }),
  );
}

function severityOf(priority: number): "critical" | "error" | "warning" | "info" {
  if (priority <= 2) return "critical";
  if (priority === 3) return "error";
  return priority === 4 ? "warning" : "info";
}

/** What Slack's incoming webhooks take, and Mattermost's and others': text, in which nothing is a mention, or a link that is not ours. */
export function slackBody(message: Message, channel: string | undefined, { link }: Rendering): object {
  const escape = (text: string) =>
    text
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll("@", "@\u200b")
      // Mattermost reads Markdown, and all of them make a link of what looks like a URL.
      .replaceAll("](", "]\u200b(")
      .replaceAll("://", ":\u200b//");
  const lines = linesOf(message, link).map(
    ({ text, url }) => `• ${escape(text)}${url === undefined ? "" : ` <${url}|open>`}`,
  );
  const text = [`*${escape(subjectOf(message)).replaceAll("*", "∗")}*`, ...lines].join("\n");
  return { text, ...(channel === undefined ? {} : { channel }) };
}

/**
 * What PagerDuty's Events API v2 takes. One incident for a group, which ends when all that was told has. Undefined where only some of it has:
 * there is no event that says so, and a `trigger` pages, and opens an incident again that somebody closed.
 */
export function pagerDutyBody(
  message: Message,
  routingKey: string,
  dedupKey: string,
  { at, link }: Rendering,
): object | undefined {
  const isOver = message.firing.length === 0;
  if (isOver && message.goesOn === true) return undefined;
  const told = isOver ? message.resolved : message.firing;
  const worst = Math.min(...told.map(({ priority }) => priority), 7);
  const [first] = told;
  return {
    routing_key: routingKey,
    event_action: isOver ? "resolve" : "trigger",
    dedup_key: dedupKey,
    client: "Falconry",
    ...(first === undefined ? {} : { client_url: link(first) }),
    links: told.slice(0, linesMax).map((entry) => ({ href: link(entry), text: clean(whereOf(entry)) })),
    payload: {
      summary: subjectOf(message),
      source: first?.cluster || message.org,
      severity: severityOf(worst),
      timestamp: at(message.atMs),
      group: message.route,
      custom_details: {
        labels: message.labels,
        lines: linesOf(message, link).map(({ text }) => text),
        alerts: told
          .filter(({ alert }) => alert !== undefined)
          .slice(0, linesMax)
          .map(placeOf),
      },
    },
  };
}

/** What a generic webhook gets; documented, and only ever added to. */
export function webhookBody(message: Message, { at, link }: Rendering): object {
  const one = (entry: Entry) => ({
    kind: entry.kind,
    rule: entry.rule,
    priority: priorityWord(entry.priority),
    source: entry.source,
    cluster: entry.cluster,
    actor: entry.actor,
    subject: entry.subject,
    labels: entry.labels,
    summary: entry.summary,
    count: entry.count,
    first: at(entry.firstMs),
    last: at(entry.lastMs),
    url: link(entry),
    ...placeOf(entry),
    ...(entry.endedMs === undefined ? {} : { ended: at(entry.endedMs) }),
  });
  const { report } = message;
  return {
    version: 1,
    id: message.id,
    org: message.org,
    route: message.route,
    group: message.group,
    labels: message.labels,
    at: at(message.atMs),
    firing: message.firing.map(one),
    resolved: message.resolved.map(one),
    left_out: message.leftOut,
    ...(report === undefined
      ? {}
      : {
          report: {
            title: report.title,
            summary: report.summary,
            media_type: report.mediaType,
            text: report.text,
          },
        }),
  };
}
