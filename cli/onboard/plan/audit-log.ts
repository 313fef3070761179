import type { V1Pod } from "@kubernetes/client-node";

/** Where a kube-apiserver writes its audit log, as far as its pod says so. */
export type AuditLog =
  | { readonly kind: "file"; readonly path: string }
  /** Why no file on the node has it, and what has to be changed. */
  | { readonly kind: "none"; readonly why: string; readonly next: string };

/** What decides what a kube-apiserver writes down, as far as its pod says so; files by their names in the container. */
export interface AuditFlags {
  readonly log: AuditLog;
  readonly format: string;
  readonly policy: string | undefined;
  readonly webhook: string | undefined;
}

export function auditFlagsOf(pod: V1Pod): AuditFlags {
  const { words } = programOf(pod);
  return {
    log: auditLogOf(pod),
    format: flagOf(words, "audit-log-format") ?? "json",
    policy: flagOf(words, "audit-policy-file"),
    webhook: flagOf(words, "audit-webhook-config-file"),
  };
}

function programOf(pod: V1Pod) {
  const container = pod.spec?.containers.find(({ name }) => name === "kube-apiserver");
  return { container, words: [...(container?.command ?? []), ...(container?.args ?? [])] };
}

/** Reads the flags and mounts of a kube-apiserver's pod: the path that counts is the one on the node. */
export function auditLogOf(pod: V1Pod): AuditLog {
  const { container, words } = programOf(pod);
  const path = flagOf(words, "audit-log-path");
  if (path === undefined || path === "") {
    if (flagOf(words, "audit-webhook-config-file") !== undefined) return webhookOnly;
    return none("kube-apiserver runs without --audit-log-path, so that it writes no audit log");
  }
  if (flagOf(words, "audit-policy-file") === undefined) {
    return none("kube-apiserver runs without --audit-policy-file, so that its audit log stays empty");
  }
  if (path === "-") return none("kube-apiserver writes its audit log to standard output and not to a file");
  const mount = (container?.volumeMounts ?? [])
    .filter(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath.replace(/\/$/, "")}/`))
    .toSorted((a, b) => b.mountPath.length - a.mountPath.length)[0];
  const onNode = pod.spec?.volumes?.find(({ name }) => name === mount?.name)?.hostPath?.path;
  if (mount === undefined || onNode === undefined) {
    return none(`${path} is inside the container of kube-apiserver, not in a directory of the node`);
  }
  const rest = path.slice(mount.mountPath.replace(/\/$/, "").length);
  return { kind: "file", path: `${onNode.replace(/\/$/, "")}${rest}` };
}

const withFile =
  "On each control-plane host, as root: fleetctl cluster audit-setup --apply   gives kube-apiserver --audit-policy-file and --audit-log-path in a directory of the node";

const webhookOnly: AuditLog = {
  kind: "none",
  why: "kube-apiserver sends its audit log to a webhook and writes no file, and agents in a cluster read files",
  next: `${withFile}, beside the webhook. Webhooks go to agents on the host alone: docs/audit-setup.md`,
};

function none(why: string): AuditLog {
  return { kind: "none", why, next: withFile };
}

/** The value of `--name=value` or of `--name value`; undefined without the flag. */
function flagOf(words: readonly string[], name: string): string | undefined {
  for (const [index, word] of words.entries()) {
    if (word === `--${name}`) return words[index + 1];
    if (word.startsWith(`--${name}=`)) return word.slice(name.length + 3);
  }
  return undefined;
}
