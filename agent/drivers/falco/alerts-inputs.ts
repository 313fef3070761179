import { parseShipperConfig } from "#shipper";
import type { RulesElsewhere } from "../../pipeline/elsewhere.ts";
import { foreignTag } from "../../pipeline/elsewhere.ts";
import type { FalcoSettings } from "./settings.ts";

/** Names of the inputs that take Falco's alerts: they are no records of the cluster, and not counted as such. */
export const alertsInputs: ReadonlySet<string> = new Set([
  "falco-alerts-http",
  "falco-alerts-file",
  "falco-alerts-log",
]);

/** The ways in for Falco's alerts, in the words of a shipper config: they get its spools, checkpoints and bounds. */
export function rulesElsewhere({ alerts: { listen, file, log }, records }: FalcoSettings): RulesElsewhere {
  const inputs = [
    ...(listen === undefined
      ? []
      : [
          {
            name: "http",
            alias: "falco-alerts-http",
            listen: listen.host,
            port: String(listen.port),
            "storage.total_limit_size": "256M",
          },
        ]),
    ...(file === undefined
      ? []
      : [
          {
            name: "tail",
            alias: "falco-alerts-file",
            path: file,
            parser: "json",
            read_from_head: "on",
            refresh_interval: "1",
          },
        ]),
    ...(log === undefined
      ? []
      : [
          {
            name: "tail",
            alias: "falco-alerts-log",
            path: log,
            "multiline.parser": "cri",
            read_from_head: "on",
            refresh_interval: "1",
          },
        ]),
  ];
  const content = JSON.stringify({ pipeline: { inputs } });
  const parsed = parseShipperConfig([{ name: "falco-alerts.yaml", content }], {});
  if (!parsed.ok) {
    throw new Error(`The inputs for Falco's alerts are wrong: ${JSON.stringify(parsed.problems)}`);
  }
  return { inputs: parsed.config.inputs.map((input) => ({ ...input, tag: foreignTag })), records };
}
