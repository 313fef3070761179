import { mkdirSync } from "node:fs";
import type { Logger } from "pino";
import type { SyncResponse } from "#proto/agent/v1/agent";
import { signReport } from "#trust";
import { deliverAlerts } from "./alerts.ts";
import { readAllowList } from "./allow-list.ts";
import { createApplier } from "./applier.ts";
import { openBundleStore } from "./bundles.ts";
import { createConditions } from "./conditions.ts";
import type { Config } from "./config.ts";
import { pathsOf } from "./config.ts";
import { openCurrent } from "./current.ts";
import { acknowledge, emptyLedger } from "./domain/rates.ts";
import { factsOf } from "./facts.ts";
import type { Identity } from "./identity/identity.ts";
import { endpointOf } from "./identity/identity.ts";
import { keepCertificate } from "./identity/renew.ts";
import { keepPipeline } from "./keep-pipeline.ts";
import type { Link } from "./link/link.ts";
import { startLink } from "./link/link.ts";
import { observePipeline } from "./observe.ts";
import { createSpeaker } from "./speaker.ts";
import { takeResponse } from "./take-response.ts";
import { openTrustStore } from "./trust-store.ts";

/** A running agent. */
export interface RunningAgent {
  /** Drains the pipeline, says goodbye, and ends. */
  stop(): Promise<void>;
}

/**
 * Runs an enrolled agent: first last-known-good, which needs nobody; then the link, which brings what is assigned now.
 * The link, the pipeline worker and the applier meet only in what is stored.
 */
export async function runAgent(config: Config, enrolled: Identity, log: Logger): Promise<RunningAgent> {
  const paths = pathsOf(config.stateDir);
  for (const dir of [paths.bundles, paths.pipeline]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  const stopping = new AbortController();
  let identity = enrolled;
  let link: Link | undefined;
  let reportVersion = 0;
  let ledger = emptyLedger;

  const changed = () => {
    reportVersion += 1;
    link?.wake();
  };
  const current = openCurrent(paths.current);
  const trust = openTrustStore(paths.trusted, { org: identity.org, clusterId: identity.clusterId });
  const conditions = createConditions(changed);
  const pipeline = keepPipeline({
    stateDir: paths.pipeline,
    allowList: readAllowList(config.allowListFile),
    log,
    onAlerts: (batch, ack) => void deliverAlerts(batch, link?.client()).then(() => ack(), ack),
    onProblem: ({ code, message }) => log.warn({ code }, message),
    onCrash: (because, restarts) => conditions.raise("pipeline/crashed", `The pipeline died and was started again, ${restarts} times since the agent began: ${because}`),
  });
  const applier = createApplier({
    current,
    trust,
    pipeline,
    log,
    bundles: openBundleStore(paths.bundles),
    client: () => link?.client(),
    facts: () => factsOf(identity, current.get().labels, config.variables),
    onChange: changed,
    signal: stopping.signal,
  });
  await applier.resume();

  const certificate = keepCertificate({
    path: paths.identity,
    log,
    get: () => identity,
    set: (next) => {
      identity = next;
      link?.reconnect();
    },
  });
  link = startLink({
    log,
    transport: config.transport,
    endpoint: () => endpointOf(identity),
    speaker: createSpeaker({
      identity: () => identity,
      current: current.get,
      trust,
      conditions,
      reportVersion: () => reportVersion,
      rates: () => ledger.buckets,
      ratesAcknowledged: (minuteMs) => (ledger = acknowledge(ledger, minuteMs)),
      sign: (report) => signReport(identity.privateKey, report),
    }),
    take: async (response: SyncResponse) => {
      const { labelsChanged } = takeResponse(response, { current, trust, conditions, log });
      if (response.renewCertificate) certificate.renewSoon();
      if (labelsChanged) applier.reload();
      applier.nudge();
    },
    onState: ({ connected, transport }) => {
      if (connected) log.info({ transport }, "connected to the server");
      if (connected) applier.nudge();
    },
  });
  const observer = observePipeline({ pipeline, conditions, trust, onRates: (next) => (ledger = next(ledger)) });
  return {
    async stop() {
      stopping.abort();
      observer.stop();
      certificate.stop();
      applier.nudge();
      await pipeline.stop();
      await link.stop();
    },
  };
}
