import { join } from "node:path";
import { destinationProblem, isBelowAny } from "#shipper";
import type { PipelineConfig } from "#shipper";
import type { DeadLetter } from "./dead-letter.ts";
import type { PipelineFacts } from "./load-bundle.ts";
import type { WorkerOptions } from "./messages.ts";
import type { OutputContext } from "./output.ts";

/** What outputs are opened with; what they may do is decided by the agent's own list, whatever the config says. */
export function outputContext(
  config: PipelineConfig,
  facts: PipelineFacts,
  { stateDir, allowList, rulesElsewhere }: WorkerOptions,
  ports: Pick<OutputContext, "onProblem" | "deliverAlerts"> & { readonly deadLetter: DeadLetter },
): OutputContext {
  return {
    ...ports,
    clusterId: facts.clusterId,
    service: config.service,
    queueDir: join(stateDir, "queue"),
    records: rulesElsewhere?.records,
    onRoom: () => {},
    mayWrite: (folder) => isBelowAny(folder, allowList.fileDirectories),
    destinationProblem: (to, tls) => destinationProblem(to, { tls }, allowList),
    mayUseSecret: (file) => isBelowAny(file, allowList.secretDirectories ?? []),
  };
}
