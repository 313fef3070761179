import { mkdirSync } from "node:fs";
import type { Logger } from "pino";
import { openAuditHead } from "./audit-head.ts";
import { openBundleStore } from "./bundles.ts";
import { pathsOf } from "./config.ts";
import type { Config } from "./config.ts";
import { openCurrent } from "./current.ts";
import type { Identity } from "./identity/identity.ts";
import { openLogTail } from "./log-tail.ts";
import { openTrustStore } from "./trust-store.ts";

export type Stored = ReturnType<typeof openStored>;

/** Everything that survives a restart. */
export function openStored(config: Config, identity: Identity, log: Logger) {
  const paths = pathsOf(config.stateDir);
  for (const dir of [paths.bundles, paths.candidates, paths.backtests, paths.pipeline]) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }
  return {
    paths,
    current: openCurrent(paths.current),
    trust: openTrustStore(paths.trusted, { org: identity.org, clusterId: identity.clusterId }),
    bundles: openBundleStore(paths.bundles, log),
    candidates: openBundleStore(paths.candidates, log),
    backtests: openBundleStore(paths.backtests, log),
    auditHead: openAuditHead(paths.auditHead, identity.org),
    tail: openLogTail(paths.logTail),
  };
}
