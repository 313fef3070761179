import { stringify } from "yaml";

import { renderAge, renderBytes, renderCount } from "../output/quantity.ts";
import { renderTable } from "../output/table.ts";
import { countOf, type Paint } from "../output/text.ts";
import { logRotation } from "./apiserver-flags.ts";
import type { Applied } from "./apply.ts";
import type { Mount } from "./apiserver-mounts.ts";
import type { Estimate, RuleVolume } from "./estimate.ts";
import type { AuditPolicy, PolicyRule } from "./policy.ts";

/** What a person has to bring to a control-plane host, in the order in which it is needed. */
export interface Setup {
  readonly policyPath: string;
  readonly policy: string;
  readonly flags: ReadonlyMap<string, string>;
  readonly mounts: readonly Mount[];
  readonly webhook?: { readonly path: string; readonly config: object };
}

export function renderSetup({ policyPath, policy, flags, mounts, webhook }: Setup): string[] {
  const steps = [
    [`${policyPath}, on every control-plane host:`, ...policy.trimEnd().split("\n")],
    ...(webhook === undefined
      ? []
      : [[`${webhook.path}, beside it:`, ...stringify(webhook.config).trimEnd().split("\n")]]),
    ["Flags of kube-apiserver:", ...[...flags].map(([flag, value]) => `- --${flag}=${value}`)],
    ["Its pod gets these from the host (volumes and volumeMounts):", ...mounts.map(renderMount)],
  ];
  return steps.flatMap(([title = "", ...lines], index) => [
    ...(index === 0 ? [] : [""]),
    `# ${index + 1}. ${title}`,
    ...lines,
  ]);
}

function renderMount({ name, path, type, readOnly }: Mount): string {
  return `- ${path}  (${name}, hostPath type ${type}${readOnly ? ", readOnly" : ""})`;
}

/** What --apply did, file by file. */
export function renderApplied({ changes, kept, written, backup }: Applied, manifest: string): string[] {
  return [
    ...written.flatMap((file) => [
      `Wrote ${file.path}`,
      ...(file.backup === undefined ? [] : [`Kept what was there: ${file.backup}`]),
    ]),
    ...changes.map((change) => `Added to ${manifest}: ${change}`),
    ...kept.map((flag) => `Left as it was in ${manifest}: ${flag}`),
    ...(backup === undefined ? [] : [`Kept the manifest as it was: ${backup}`]),
    ...(changes.length + written.length === 0 ? ["Everything is set already."] : []),
  ];
}

const dayMs = 86_400_000;
/** Less than this tells nothing about a day. */
const spanMsMin = 60_000;

export function renderEstimate(
  policy: AuditPolicy,
  estimate: Estimate,
  options: { readonly wide: boolean; readonly paint: Paint },
): string[] {
  const { events, bytes, recorded, unreadable, spanMs } = estimate;
  const share = (part: number, whole: number) => `${whole === 0 ? 0 : Math.round((part / whole) * 100)} %`;
  const over = spanMs < spanMsMin ? "" : ` over ${renderAge(spanMs)}`;
  const lines = [
    `Sample: ${countOf(events, "event")}, ${renderBytes(bytes)}${over}.`,
    `With this policy: ${countOf(recorded.events, "event")} (${share(recorded.events, events)}), ${renderBytes(recorded.bytes)} (${share(recorded.bytes, bytes)}).`,
  ];
  if (spanMs >= spanMsMin && recorded.bytes > 0) {
    const perDay = (recorded.bytes / spanMs) * dayMs;
    const kept = logRotation.maxSizeMb * 1_000_000 * (logRotation.maxBackups + 1);
    lines.push(
      `For one API server: ${renderCount((recorded.events / spanMs) * 1000)} events/s, ${renderBytes(perDay)} a day; the rotated files hold the last ${renderAge((kept / perDay) * dayMs)}.`,
    );
  }
  if (recorded.withoutBody > 0) {
    lines.push(
      `The sample was recorded without the bodies of ${countOf(recorded.withoutBody, "event")} that this policy wants: they come on top. A sample taken under this policy tells how much.`,
    );
  }
  if (unreadable > 0) lines.push(`${countOf(unreadable, "line")} of the sample are no audit event.`);
  return [...lines, "", ...renderRules(policy, estimate.byRule, options)];
}

function renderRules(
  policy: AuditPolicy,
  byRule: readonly RuleVolume[],
  options: { readonly wide: boolean; readonly paint: Paint },
): string[] {
  const rows = byRule.map((volume, index) => ({ ...volume, index, rule: policy.rules[index] }));
  const shown = rows.filter(({ rule, matched }) => rule !== undefined || matched > 0);
  return renderTable(
    shown,
    [
      {
        title: "RULE",
        cell: ({ index, rule }) => (rule === undefined ? "none" : `${index + 1}`),
        align: "right",
      },
      { title: "LEVEL", cell: ({ rule }) => rule?.level ?? "None" },
      { title: "MATCHED", cell: ({ matched }) => renderCount(matched), align: "right" },
      { title: "WRITTEN", cell: ({ events }) => renderCount(events), align: "right" },
      { title: "BYTES", cell: ({ bytes }) => renderBytes(bytes), align: "right" },
      { title: "ABOUT", cell: ({ rule }) => describeRule(rule) },
    ],
    options,
  );
}

const namesShown = 4;

/** What a rule of a policy matches, in few words. */
function describeRule(rule: PolicyRule | undefined): string {
  if (rule === undefined) return "events that no rule matches";
  const {
    users = [],
    userGroups = [],
    verbs = [],
    namespaces = [],
    nonResourceURLs = [],
    resources = [],
  } = rule;
  const named = resources.flatMap(({ group = "", resources: names = [] }) =>
    names.length === 0 ? [group === "" ? "core" : group] : names,
  );
  const parts = [
    short(verbs),
    short([...new Set(named)]),
    short(nonResourceURLs),
    namespaces.length === 0 ? "" : `in ${short(namespaces)}`,
    users.length + userGroups.length === 0 ? "" : `by ${short([...users, ...userGroups])}`,
  ].filter((part) => part !== "");
  return parts.length === 0 ? "everything else" : parts.join(" ");
}

function short(names: readonly string[]): string {
  const more = names.length - namesShown;
  return names.slice(0, namesShown).join(",") + (more > 0 ? ` and ${more} more` : "");
}
