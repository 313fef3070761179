import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Answers recorded from Falco 0.44.1. They are not part of this repository. */
const folder =
  process.env["FALCONRY_CONFORMANCE"] ?? join(import.meta.dirname, "..", "..", "..", "shared", "conformance");

/** Why the recorded answers can not be compared with, or false when they can. */
export const missing: string | false = existsSync(join(folder, "probe_cases.json"))
  ? false
  : `no recorded answers in ${folder}; set FALCONRY_CONFORMANCE to the folder that holds probe_cases.json`;

interface RecordedFinding {
  readonly code: string;
  readonly message: string;
}

export interface FilterCase {
  readonly filter: string;
  readonly event: string;
  readonly expect: "match" | "no_match" | "load_error";
  readonly warnings?: readonly string[];
  readonly error_code?: string;
  readonly message?: string;
}

export interface RulesCase {
  readonly name: string;
  readonly rules_yaml: readonly string[];
  readonly event: string;
  readonly config: { readonly rule_matching: "first" | "all" };
  readonly load: readonly {
    readonly successful: boolean;
    readonly errors: readonly RecordedFinding[];
    readonly warnings: readonly RecordedFinding[];
  }[];
  readonly exit_code: number;
  readonly condition_compiled: Readonly<Record<string, string>>;
  readonly alerts: readonly {
    readonly rule: string;
    readonly output: string;
    readonly output_fields: Readonly<Record<string, unknown>>;
  }[];
  readonly upstream_crashes: boolean;
}

export interface IngestCase {
  readonly name: string;
  /** Null where the input is only described. */
  readonly input: string | null;
  readonly input_note: string | null;
  readonly rules_yaml: readonly string[];
  readonly alerts: readonly string[];
  readonly times: readonly string[];
  readonly exit_code: number;
  readonly log: readonly string[];
}

export interface Probes {
  readonly events: Readonly<Record<string, unknown>>;
  readonly filters: readonly FilterCase[];
  readonly rules: readonly RulesCase[];
}

const none: Probes = { events: {}, filters: [], rules: [] };

export const probes: Probes = missing === false ? (read("probe_cases.json") as Probes) : none;
export const ingestCases: readonly IngestCase[] =
  missing === false ? (read("ingest_probe_cases.json") as readonly IngestCase[]) : [];

/** The recordings cut this one message at its first quote. */
export function comparable(message: string): string {
  const cut = "unknown filter: unexpected token after '";
  return message.startsWith(cut) ? cut : message;
}

function read(file: string): unknown {
  return JSON.parse(readFileSync(join(folder, file), "utf8"));
}
