/** Where the API server finds the policy and leaves its log; paths are the same on the host and in its container. */
export interface AuditPaths {
  readonly policy: string;
  readonly log: string;
  /** The client config of the webhook backend; without one there is a log file. */
  readonly webhook?: string;
}

/** Days, files and megabytes of rotated logs: a gigabyte, in which an agent that is away finds what it missed. */
export const logRotation = { maxAgeDays: 30, maxBackups: 5, maxSizeMb: 200 } as const;

/** How long events wait at most before a batch goes out, when there are few; the API server's own default is 30 s. */
const batchMaxWait = "1s";

/** Flags of which any value will do: whoever has set one keeps it. */
export const flagsOfTaste: ReadonlySet<string> = new Set([
  "audit-log-maxage",
  "audit-log-maxbackup",
  "audit-log-maxsize",
  "audit-webhook-batch-max-wait",
]);

/** Flags of kube-apiserver by name, without the dashes before it. */
export function apiserverFlags({ policy, log, webhook }: AuditPaths): ReadonlyMap<string, string> {
  const backend: readonly (readonly [string, string])[] =
    webhook === undefined
      ? [
          ["audit-log-path", log],
          ["audit-log-maxage", String(logRotation.maxAgeDays)],
          ["audit-log-maxbackup", String(logRotation.maxBackups)],
          ["audit-log-maxsize", String(logRotation.maxSizeMb)],
        ]
      : [
          ["audit-webhook-config-file", webhook],
          ["audit-webhook-batch-max-wait", batchMaxWait],
        ];
  return new Map([["audit-policy-file", policy], ...backend]);
}
