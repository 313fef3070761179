import { mkdirSync } from "node:fs";
import type { Logger } from "pino";
import type { SyncResponse } from "#proto/agent/v1/agent";
import { signReport } from "#trust";
import { deliverAlerts } from "./alerts.ts";
import { readAllowList } from "./allow-list.ts";
import { createApplier } from "./applier.ts";
import { openBundleStore } from "./bundles.ts";
import { createConditions } from "./conditions.ts";
import type { Conditions } from "./conditions.ts";
import type { Config } from "./config.ts";
import { pathsOf } from "./config.ts";
import { openCurrent } from "./current.ts";
import { acknowledge, emptyLedger } from "./domain/rates.ts";
import type { RateLedger } from "./domain/rates.ts";
import { factsOf } from "./facts.ts";
import type { Identity } from "./identity/identity.ts";
import { endpointOf } from "./identity/identity.ts";
import { keepCertificate } from "./identity/renew.ts";
import { keepPipeline } from "./keep-pipeline.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";
import type { Link } from "./link/link.ts";
import { startLink } from "./link/link.ts";
import type { Speaker } from "./link/session.ts";
import { observePipeline } from "./observe.ts";
import { createSpeaker } from "./speaker.ts";
import { takeResponse } from "./take-response.ts";
import { openTrustStore } from "./trust-store.ts";

/** A running agent. */
export interface RunningAgent {
  /** Drains the pipeline, says goodbye, and ends. */
  stop(): Promise<void>;
}

/** What changes while an agent runs. */
interface Own {
  identity: Identity;
  link: Link | undefined;
  /** Grows with every change of what a report would say. */
  reportVersion: number;
  ledger: RateLedger;
}

/**
 * Runs an enrolled agent: first last-known-good, which needs nobody; then the link, which brings what is assigned now.
 * The link, the pipeline worker and the applier meet only in what is stored.
 */
export async function runAgent(config: Config, identity: Identity, log: Logger): Promise<RunningAgent> {
  const own: Own = { identity, link: undefined, reportVersion: 0, ledger: emptyLedger };
  const stopping = new AbortController();
  const changed = () => noteChange(own);
  const stored = openStored(config, identity);
  const conditions = createConditions(changed);
  const pipeline = openPipeline(config, own, conditions, log);
  const applier = createApplier({
    ...stored,
    pipeline,
    log,
    client: () => own.link?.client(),
    facts: () => factsOf(own.identity, stored.current.get().labels, config.variables),
    onChange: changed,
    signal: stopping.signal,
  });
  await applier.resume();

  const certificate = keepCertificate({
    path: stored.paths.identity,
    log,
    get: () => own.identity,
    set: (next) => {
      own.identity = next;
      own.link?.reconnect();
    },
  });
  const link = startLink({
    log,
    transport: config.transport,
    endpoint: () => endpointOf(own.identity),
    speaker: speakerOf(own, stored, conditions),
    take: async (response: SyncResponse) => {
      const { labelsChanged } = takeResponse(response, { ...stored, conditions, log });
      if (response.renewCertificate) certificate.renewSoon();
      if (labelsChanged) applier.reload();
      applier.nudge();
    },
    onState: ({ connected, transport }) => {
      if (!connected) return;
      log.info({ transport }, "connected to the server");
      applier.nudge();
    },
  });
  own.link = link;
  const observer = observePipeline({
    pipeline,
    conditions,
    trust: stored.trust,
    onRates: (next) => (own.ledger = next(own.ledger)),
  });
  const stop = async (): Promise<void> => {
    stopping.abort();
    observer.stop();
    certificate.stop();
    applier.nudge();
    await pipeline.stop();
    await link.stop();
  };
  return { stop };
}

function noteChange(own: Own): void {
  own.reportVersion += 1;
  own.link?.wake();
}

/** Everything that survives a restart. */
function openStored(config: Config, identity: Identity) {
  const paths = pathsOf(config.stateDir);
  for (const dir of [paths.bundles, paths.pipeline]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  return {
    paths,
    current: openCurrent(paths.current),
    trust: openTrustStore(paths.trusted, { org: identity.org, clusterId: identity.clusterId }),
    bundles: openBundleStore(paths.bundles),
  };
}

function openPipeline(config: Config, own: Own, conditions: Conditions, log: Logger): KeptPipeline {
  return keepPipeline({
    stateDir: pathsOf(config.stateDir).pipeline,
    allowList: readAllowList(config.allowListFile),
    log,
    onAlerts: (batch, ack) => void deliverAlerts(batch, own.link?.client()).then(() => ack(), ack),
    onProblem: ({ code, message }) => log.warn({ code }, message),
    onCrash: (because, restarts) => {
      const what = `The pipeline died and was started again, ${restarts} times since the agent began`;
      conditions.raise("pipeline/crashed", `${what}: ${because}`);
    },
  });
}

function speakerOf(
  own: Own,
  { current, trust }: ReturnType<typeof openStored>,
  conditions: Conditions,
): Speaker {
  return createSpeaker({
    identity: () => own.identity,
    current: current.get,
    trust,
    conditions,
    reportVersion: () => own.reportVersion,
    rates: () => own.ledger.buckets,
    ratesAcknowledged: (minuteMs) => (own.ledger = acknowledge(own.ledger, minuteMs)),
    sign: (report) => signReport(own.identity.privateKey, report),
  });
}
