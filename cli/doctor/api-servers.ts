import type { V1Pod } from "@kubernetes/client-node";
import { auditFlagsOf, type AuditFlags } from "../onboard/plan/audit-log.ts";
import { listed } from "../onboard/plan/finding.ts";
import { shellWord } from "../onboard/plan/shell-word.ts";
import type { Verdict } from "./hops.ts";

/** As a verdict, and what does not keep a canary from coming through. */
export type ApiServersVerdict = Verdict | { readonly ok: true; readonly warning: string };

const alone = "the canary speaks for the one kube-apiserver that answers it, and for no other";

/**
 * Whether all kube-apiservers write the same audit log, by the flags of their static pods. A canary is answered by one of them: what goes
 * through another that writes nothing, or elsewhere, nobody would see. What stands in their policies the API does not show.
 */
export function judgeApiServers(
  pods: readonly V1Pod[] | undefined,
  nodes: readonly string[],
): ApiServersVerdict {
  if (pods === undefined) {
    return {
      ok: true,
      warning: `not looked at, because the kubeconfig's user may not list pods in namespace kube-system: ${alone}`,
    };
  }
  const seen = pods.map((pod) => ({
    name: pod.metadata?.name ?? "",
    node: pod.spec?.nodeName ?? "",
    flags: auditFlagsOf(pod),
  }));
  if (seen.length === 0) return { ok: true, detail: `the API shows no pod of kube-apiserver: ${alone}` };
  const byLog = groupsOf(seen, ({ log, format }) =>
    log.kind === "none" ? log.why : `writes ${log.path}${format === "json" ? "" : ` as ${format}`}`,
  );
  if (byLog.length > 1) return differingLogs(byLog);
  const bare = nodes.filter((node) => !seen.some((each) => each.node === node));
  const others = [
    ...differing(seen, "--audit-policy-file", ({ policy }) => policy),
    ...differing(seen, "--audit-webhook-config-file", ({ webhook }) => webhook),
    ...(bare.length === 0 ? [] : [`the API shows no kube-apiserver on ${listed(bare)}`]),
  ];
  const what = `${listed(seen.map(({ name }) => name))}: ${byLog[0]?.text ?? ""}`;
  if (others.length > 0) return { ok: true, warning: [what, ...others].join("; ") };
  return seen[0]?.flags.log.kind === "none" ? { ok: true, warning: what } : { ok: true, detail: what };
}

interface Seen {
  readonly name: string;
  readonly node: string;
  readonly flags: AuditFlags;
}

interface Group {
  readonly text: string;
  readonly members: readonly Seen[];
}

/** Those of which the same can be said, the largest group first. */
function groupsOf(seen: readonly Seen[], say: (flags: AuditFlags) => string): readonly Group[] {
  const groups = new Map<string, Seen[]>();
  for (const each of seen) {
    const text = say(each.flags);
    groups.set(text, [...(groups.get(text) ?? []), each]);
  }
  return [...groups]
    .map(([text, members]) => ({ text, members }))
    .toSorted((a, b) => b.members.length - a.members.length);
}

function groupText({ text, members }: Group): string {
  return `${listed(members.map(({ name }) => name))}: ${text}`;
}

/** Who writes a file of JSON is right, however many do not; of several such files the one that most write. */
function differingLogs(groups: readonly Group[]): Verdict {
  return {
    ok: false,
    why: `The kube-apiservers do not write the same audit log, so that part of what is asked of the cluster nobody sees: ${groups.map(groupText).join("; ")}`,
    next: [
      ...settingUp(groups),
      ...takingFormatOut(groups.flatMap(({ members }) => members)),
      "Then run this again: it goes by the pods that the API shows, which kubelets make anew with the flags",
    ],
  };
}

/** What to do on the hosts that write no file, or another one. */
function settingUp(groups: readonly Group[]): readonly string[] {
  const sound = groups.flatMap(({ members }) => {
    const { log, format } = members[0]?.flags ?? {};
    return log?.kind === "file" && format === "json" ? [{ path: log.path, count: members.length }] : [];
  });
  const shows = "shows the flags and mounts that it takes; with --apply it sets them";
  const most = sound.filter(({ count }) => count === sound[0]?.count);
  if (most.length > 1) {
    return [
      `As many write one as another: decide which of ${listed(most.map(({ path }) => path))} it is to be`,
      `On all hosts with another one or none, as root: fleetctl cluster audit-setup --log-path FILE   ${shows}`,
    ];
  }
  const path = most[0]?.path;
  const elsewhere = groups
    .flatMap(({ members }) => members)
    .filter(({ flags: { log } }) => log.kind === "none" || (path !== undefined && log.path !== path));
  if (elsewhere.length === 0) return [];
  const to = path === undefined ? "" : ` --log-path ${shellWord(path)}`;
  return [`On ${hostsOf(elsewhere)}, as root: fleetctl cluster audit-setup${to}   ${shows}`];
}

/** That agents cannot read: `audit-setup` leaves the format as it is. */
function takingFormatOut(seen: readonly Seen[]): readonly string[] {
  const others = seen.filter(({ flags: { log, format } }) => log.kind === "file" && format !== "json");
  const formats = [...new Set(others.map(({ flags }) => flags.format))];
  return formats.map((format) => {
    const hosts = hostsOf(others.filter(({ flags }) => flags.format === format));
    return `On ${hosts}, as root: remove --audit-log-format=${format} from the manifest of kube-apiserver; agents read JSON`;
  });
}

function hostsOf(seen: readonly Seen[]): string {
  return listed(seen.map(({ node }) => node));
}

/** Where a flag differs: each of its values, and who has it. */
function differing(
  seen: readonly Seen[],
  flag: string,
  valueOf: (flags: AuditFlags) => string | undefined,
): readonly string[] {
  const groups = groupsOf(seen, (flags) => valueOf(flags) ?? "none");
  return groups.length < 2 ? [] : [`${flag} differs: ${groups.map(groupText).join(", ")}`];
}
