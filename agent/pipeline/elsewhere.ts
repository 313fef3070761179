import type { DetectConfig, HttpConfig, InputConfig, PipelineConfig } from "#shipper";

/** Rules that another program runs beside the agent: where its alerts come in, and where it takes records. */
export interface RulesElsewhere {
  /** Besides those of the config. All have the tag {@link foreignTag}. */
  readonly inputs: readonly InputConfig[];
  /** Where an output `detect` sends records; undefined when the program sees events by itself. */
  readonly records: { readonly host: string; readonly port: number; readonly uri: string } | undefined;
}

/** The tag under which alerts of another program come in: no config can name it, for it has a blank. */
export const foreignTag = "foreign alerts";

/** What alerts name as the bundle that found them while none was proved. */
export const unknownDigest: string = `sha256:${"0".repeat(64)}`;

/** Alerts of another program, for routers. */
export interface ForeignAlerts {
  /** "sha256:..." of the bundle that the program was proved to run last. */
  digest: string;
}

/** The tag under which alerts leave: that of the first `detect`, as if it had raised them. */
export function alertTagOf({ outputs }: PipelineConfig): string {
  return outputs.find((output) => output.plugin === "detect")?.alertTag ?? "alerts";
}

/** What stands for `detect` when rules run elsewhere: the records as an array of JSON, as Falco's plugin k8saudit takes them. */
export function recordsTo(
  { host, port, uri }: NonNullable<RulesElsewhere["records"]>,
  { at, alias, match, queueBytesMax, overflow, retryLimit }: DetectConfig,
): HttpConfig {
  return {
    plugin: "http",
    at,
    alias,
    match,
    queueBytesMax,
    overflow,
    retryLimit,
    host,
    port,
    uri,
    method: "POST",
    format: "json",
    dateKey: undefined,
    dateFormat: "double",
    tls: undefined,
    proxy: undefined,
    auth: undefined,
    headers: [],
    compress: "none",
    connectTimeoutMs: 10_000,
    responseTimeoutMs: 60_000,
  };
}
