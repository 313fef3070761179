/** Where the sinks of a benchmark listen. */
export interface SinkPorts {
  readonly http: number;
  readonly es: number;
}

/** One way through the pipeline, and what it may cost. */
export interface PipelineCase {
  readonly name: string;
  /** Outputs in Fluent Bit's YAML, one flow mapping each. */
  readonly outputs: (ports: SinkPorts, outDir: string) => readonly string[];
  /** Outputs that only this product has; a real Fluent Bit runs the case without them. */
  readonly ownOutputs: readonly string[];
  /** Most CPU seconds for a million records. */
  readonly cpuTarget: number;
  /** What Fluent Bit 5.1.1 took for the same on 2 cores, with sinks on the same machine; recorded once, median. */
  readonly fluentBit:
    | { readonly cpuSecondsPerMillion: number; readonly recordsPerSecond: number }
    | undefined;
}

const nothing = '{ name: "null", alias: nothing, match: audit }';
const file = (dir: string) =>
  `{ name: file, alias: kept, match: audit, path: ${dir}, file: events.jsonl, format: plain }`;
const http = ({ http: port }: SinkPorts) =>
  `{ name: http, alias: web, match: audit, host: 127.0.0.1, port: ${port}, format: json }`;
const es = ({ es: port }: SinkPorts) =>
  `{ name: es, alias: search, match: audit, host: 127.0.0.1, port: ${port}, index: audit, suppress_type_name: on }`;
const own = ["{ name: detect, alias: rules, match: audit }", "{ name: fleet, alias: alerts, match: alerts }"];

export const pipelineCases: readonly PipelineCase[] = [
  {
    name: "null",
    outputs: () => [nothing],
    ownOutputs: [],
    cpuTarget: 8,
    fluentBit: { cpuSecondsPerMillion: 25.1, recordsPerSecond: 38_300 },
  },
  {
    name: "file",
    outputs: (_, dir) => [file(dir)],
    ownOutputs: [],
    cpuTarget: 12,
    fluentBit: { cpuSecondsPerMillion: 34.9, recordsPerSecond: 38_900 },
  },
  {
    name: "http",
    outputs: (ports) => [http(ports)],
    ownOutputs: [],
    cpuTarget: 14,
    fluentBit: { cpuSecondsPerMillion: 31.8, recordsPerSecond: 36_900 },
  },
  {
    name: "es",
    outputs: (ports) => [es(ports)],
    ownOutputs: [],
    cpuTarget: 16,
    fluentBit: { cpuSecondsPerMillion: 30.4, recordsPerSecond: 37_300 },
  },
  {
    name: "http+es",
    outputs: (ports) => [http(ports), es(ports)],
    ownOutputs: [],
    cpuTarget: 20,
    fluentBit: { cpuSecondsPerMillion: 41.4, recordsPerSecond: 31_800 },
  },
  {
    name: "http+es+detect+fleet",
    outputs: (ports) => [http(ports), es(ports)],
    ownOutputs: own,
    cpuTarget: 36,
    fluentBit: undefined,
  },
  {
    name: "file+detect+fleet",
    outputs: (_, dir) => [file(dir)],
    ownOutputs: own,
    cpuTarget: 20,
    fluentBit: undefined,
  },
];

/** The config of a case, the same text for both. */
export function configOf(
  { outputs, ownOutputs }: PipelineCase,
  where: { readonly log: string; readonly outDir: string; readonly ports: SinkPorts },
  service: readonly string[] = [],
): string {
  const all = [...outputs(where.ports, where.outDir), ...(service.length === 0 ? ownOutputs : [])];
  return `${service.length === 0 ? "" : `service:\n${service.map((line) => `  ${line}\n`).join("")}`}parsers:
  - { name: json, format: json }
pipeline:
  inputs:
    - { name: tail, alias: audit, tag: audit, path: ${where.log}, parser: json, read_from_head: on }
  filters:
    - name: modify
      match: audit
      add: [x_region eu, x_team payments, x_environment production, x_cluster bench]
  outputs:
${all.map((output) => `    - ${output}\n`).join("")}`;
}
