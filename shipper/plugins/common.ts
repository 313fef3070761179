import { regexProblem } from "../match.ts";
import type { Match } from "../match.ts";
import type { OptionTable, Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import type { Place } from "../problem.ts";

/** How one plugin of Fluent Bit is read here. */
export interface Plugin<Config> {
  readonly name: string;
  readonly options: OptionTable;
  readonly read: (options: Options, alias: string) => Config;
}

export const matchOptions = { name: "used", alias: "used", match: "used", match_regex: "used" } as const;

export const outputOptions: typeof matchOptions & OptionTable = {
  ...matchOptions,
  retry_limit: "used",
  "storage.total_limit_size": "used",
  "storage.overflow": "used",
  workers: { ignored: "an output keeps its order, so one sender works" },
};

export const queueBytesDefault: number = 1_000_000_000;

/** Which tags the plugin takes. Without `match` Fluent Bit would send it nothing and say nothing. */
export function readMatch(options: Options): Match {
  const regex = options.entry("match_regex");
  if (regex !== undefined) {
    const pattern = options.expand(regex.value, regex).text;
    const why = regexProblem(pattern);
    if (why !== undefined) options.refuse(regex, `"match_regex" cannot be used: ${why}`);
    return { kind: "regex", pattern };
  }
  return { kind: "glob", pattern: options.required("match", '"match *"') };
}

export interface OutputBase {
  readonly at: Place;
  readonly alias: string;
  readonly match: Match;
  readonly queueBytesMax: number;
  readonly overflow: "wait" | "drop_oldest";
  readonly retryLimit: number | undefined;
}

/** What every output has. Unlike in Fluent Bit the queue is always on disk and a batch is retried for ever. */
export function readOutputBase(options: Options, alias: string): OutputBase {
  return {
    at: placeOf(options.section),
    alias,
    match: readMatch(options),
    queueBytesMax: options.size("storage.total_limit_size", queueBytesDefault, 1_000_000, 1e12),
    overflow: options.oneOf("storage.overflow", ["wait", "drop_oldest"], "wait"),
    retryLimit: readRetryLimit(options),
  };
}

function readRetryLimit(options: Options): number | undefined {
  const written = options.text("retry_limit")?.toLowerCase();
  if (written === undefined) options.assume("retry_limit", "no_limits");
  if (written === undefined || ["no_limits", "false", "off"].includes(written)) return undefined;
  if (written === "no_retries") return 0;
  return options.integer("retry_limit", 0, 1, 1_000_000);
}
