import { mkdirSync } from "node:fs";
import type { Logger } from "pino";
import type { SyncResponse } from "#proto/agent/v1/agent";
import { certificateToPem, signReport } from "#trust";
import { deliverAlerts } from "./alerts.ts";
import { openAuditHead } from "./audit-head.ts";
import type { AuditHeadStore } from "./audit-head.ts";
import { readAllowList } from "./allow-list.ts";
import { createApplier } from "./applier.ts";
import type { Applier, ApplierPorts } from "./applier.ts";
import { keepBacktest } from "./backtest-keeper.ts";
import type { BacktestKeeper } from "./backtest-keeper.ts";
import { openBundleStore } from "./bundles.ts";
import { createConditions } from "./conditions.ts";
import type { Conditions } from "./conditions.ts";
import type { Config } from "./config.ts";
import { pathsOf } from "./config.ts";
import { openCurrent } from "./current.ts";
import { acknowledge, emptyLedger } from "./domain/rates.ts";
import type { RateLedger } from "./domain/rates.ts";
import { factsOf } from "./facts.ts";
import { enrollAgain } from "./identity/enroll.ts";
import type { Identity } from "./identity/identity.ts";
import type { Instance } from "./identity/starts.ts";
import { caFloor, endpointOf, writeIdentity } from "./identity/identity.ts";
import type { Renewal, RenewalPorts } from "./identity/renew.ts";
import { keepCertificate } from "./identity/renew.ts";
import { beginInstance } from "./identity/starts.ts";
import { keepPipeline } from "./keep-pipeline.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";
import type { Link, LinkState } from "./link/link.ts";
import { startLink } from "./link/link.ts";
import type { Speaker } from "./link/session.ts";
import { openLogTail } from "./log-tail.ts";
import type { LogTail } from "./log-tail.ts";
import { observePipeline } from "./observe.ts";
import type { PipelineAlert } from "./pipeline/pipeline.ts";
import { keepShadow } from "./shadow-keeper.ts";
import type { ShadowKeeper } from "./shadow-keeper.ts";
import { createSpeaker } from "./speaker.ts";
import type { ResponsePorts } from "./take-response.ts";
import { takeResponse } from "./take-response.ts";
import { openTrials } from "./trials.ts";
import type { Trials } from "./trials.ts";
import { openTrustStore } from "./trust-store.ts";

/** So long nothing may be read while the log grows, and so long an output of a new config may fail: a minute by default. */
const stallMsOf = (soakMs: number): number => Math.max(5_000, soakMs / 5);
/** A millisecond per event is some twenty times what rules cost that are written well. */
const detectionUsMax = 1_000;

/** A running agent. */
export interface RunningAgent {
  /** Drains the pipeline, says goodbye, and ends. */
  stop(): Promise<void>;
}

/** What changes while an agent runs. */
interface Own {
  identity: Identity;
  readonly instance: Instance;
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
  const instance = beginInstanceOf(config, log);
  const own: Own = { identity, instance, link: undefined, reportVersion: 0, ledger: emptyLedger };
  const stopping = new AbortController();
  const stored = openStored(config, identity);
  const conditions = createConditions(() => noteChange(own));
  const pipeline = openPipeline(config, own, conditions, log, stored.tail, {
    applier: () => applier,
    shadow: () => shadow,
  });
  const shadow: ShadowKeeper = openShadow(own, stored, pipeline, log, stopping.signal);
  const backtest = openBacktest(config, candidatePorts(own, stored, pipeline, log, stopping.signal), stored);
  const trials = trialsOf(config, stored, pipeline, () => applier);
  const applier: Applier = createApplier({
    ...stored,
    pipeline,
    trials,
    conditions,
    log,
    client: () => own.link?.client(),
    facts: (labels) => factsOf(own.identity, labels, config.variables),
    org: identity.org,
    onChange: () => noteChange(own),
    onTrouble: noteTrouble(conditions),
    signal: stopping.signal,
  });
  await applier.resume();

  const certificate = keepCertificate(renewalOf(config, own, conditions, log));
  const carry = noteCarried(stored.auditHead, () => noteChange(own));
  const link = startLink({
    log,
    transport: config.transport,
    endpoint: () => endpointOf(own.identity),
    speaker: speakerOf(own, stored, conditions, { applier, shadow, backtest }),
    take: takerOf(own, stored, conditions, log, { certificate, carry, applier, shadow, backtest }),
    onState: whenConnected(applier, certificate, log),
  });
  own.link = link;
  const observer = observePipeline({
    pipeline,
    conditions,
    ...stored,
    onStats: (stats) => trials.look(stats),
    onRates: (next) => (own.ledger = next(own.ledger)),
  });
  return {
    async stop() {
      stopping.abort();
      observer.stop();
      certificate.stop();
      noteClosed(trials, log);
      await pipeline.stop();
      await link.stop();
    },
  };
}

/** What is done with each answer of the server. */
function takerOf(
  own: Own,
  stored: ReturnType<typeof openStored>,
  conditions: Conditions,
  log: Logger,
  { certificate, carry, applier, shadow, backtest }: Takers,
) {
  return async (response: SyncResponse): Promise<void> => {
    const ports = { ...stored, conditions, log, ...casOf(own, stored) };
    const { labelsChanged, generationChanged } = takeResponse(response, ports);
    carry.look();
    if (generationChanged) noteChange(own);
    if (response.renewCertificate) certificate.renewSoon();
    if (labelsChanged) applier.reload();
    shadow.take(response.shadow);
    backtest.take(response.backtest);
    applier.nudge();
  };
}

interface Takers {
  readonly certificate: ReturnType<typeof keepCertificate>;
  readonly carry: ReturnType<typeof noteCarried>;
  readonly applier: Applier;
  readonly shadow: ShadowKeeper;
  readonly backtest: BacktestKeeper;
}

function trialsOf(
  config: Config,
  stored: ReturnType<typeof openStored>,
  pipeline: KeptPipeline,
  applier: () => Applier,
): Trials {
  return openTrials({
    ...stored,
    pipelineDir: stored.paths.pipeline,
    bounds: { soakMs: config.soakMs, stallMs: stallMsOf(config.soakMs), detectionUsMax },
    kill: (because) => pipeline.kill(because),
    onDecided: () => applier().nudge(),
  });
}

/** Before the pipeline drains, which may take longer than whoever stops the agent waits. */
function noteClosed(trials: Trials, log: Logger): void {
  try {
    trials.closed();
  } catch (error) {
    log.error(
      { err: error },
      "that the agent stopped could not be written down; its next start takes it for a crash",
    );
  }
}

function beginInstanceOf(config: Config, log: Logger): Instance {
  return beginInstance(pathsOf(config.stateDir).starts, (error) =>
    log.error({ err: error }, "this start could not be counted: the next one may look like a copy's"),
  );
}

function renewalOf(config: Config, own: Own, conditions: Conditions, log: Logger): RenewalPorts {
  return {
    path: pathsOf(config.stateDir).identity,
    log,
    conditions,
    get: () => own.identity,
    enrollAgain: (before) => {
      // Read when it is needed: a new one may have been put there since the start.
      const joinString = config.readJoinString() ?? "";
      return joinString === "" ? undefined : enrollAgain({ ...config, joinString }, before);
    },
    set: (next) => {
      own.identity = next;
      own.link?.reconnect();
    },
  };
}

/** The CAs that the agent trusts: durable before they count, and told with the next report. */
function casOf(
  own: Own,
  { paths, trust }: ReturnType<typeof openStored>,
): Pick<ResponsePorts, "caVersion" | "setCas"> {
  return {
    caVersion: () => caFloor(own.identity, trust.assigners()),
    setCas: (caVersion, cas) => {
      const ca = cas.map(certificateToPem);
      const next = { ...own.identity, ca, caVersion, caAssigners: trust.assigners() };
      writeIdentity(paths.identity, next);
      own.identity = next;
      noteChange(own);
    },
  };
}

/** What could not be fetched while the server was away can be now. */
function whenConnected(applier: Applier, certificate: Renewal, log: Logger) {
  return ({ connected, transport, isRefused }: LinkState): void => {
    // A new certificate, or a new join string, may be what is missing.
    if (isRefused) certificate.renewSoon();
    if (!connected) return;
    log.info({ transport }, "connected to the server");
    applier.nudge();
  };
}

function noteChange(own: Own): void {
  own.reportVersion += 1;
  own.link?.wake();
}

/**
 * A head that is newer by minutes is worth a report of its own; every report carries the newest anyway. By chance, so that
 * a fleet does not report all at once because somebody paused a rollout.
 */
function noteCarried(auditHead: AuditHeadStore, onChange: () => void) {
  let reportedMs = auditHead.get()?.head.time.getTime();
  let afterMs = 0;
  return {
    look(): void {
      const timeMs = auditHead.get()?.head.time.getTime();
      if (timeMs === undefined || (reportedMs !== undefined && timeMs - reportedMs < afterMs)) return;
      if (timeMs === reportedMs) return;
      reportedMs = timeMs;
      afterMs = 10 * 60_000 + Math.random() * 50 * 60_000;
      onChange();
    },
  };
}

/** One condition at a time for what keeps the applier from working. */
function noteTrouble(conditions: Conditions): ApplierPorts["onTrouble"] {
  let raised: string | undefined;
  return (trouble) => {
    if (raised !== undefined && raised !== trouble?.code) conditions.clear(raised);
    raised = trouble?.code;
    if (trouble !== undefined) conditions.raise(trouble.code, trouble.message);
  };
}

/** Everything that survives a restart. */
function openStored(config: Config, identity: Identity) {
  const paths = pathsOf(config.stateDir);
  for (const dir of [paths.bundles, paths.candidates, paths.backtests, paths.pipeline]) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }
  return {
    paths,
    current: openCurrent(paths.current),
    trust: openTrustStore(paths.trusted, { org: identity.org, clusterId: identity.clusterId }),
    bundles: openBundleStore(paths.bundles),
    candidates: openBundleStore(paths.candidates),
    backtests: openBundleStore(paths.backtests),
    auditHead: openAuditHead(paths.auditHead, identity.org),
    tail: openLogTail(paths.logTail),
  };
}

function openPipeline(
  config: Config,
  own: Own,
  conditions: Conditions,
  log: Logger,
  tail: LogTail,
  { applier, shadow }: { readonly applier: () => Applier; readonly shadow: () => ShadowKeeper },
): KeptPipeline {
  return keepPipeline({
    stateDir: pathsOf(config.stateDir).pipeline,
    allowList: readAllowList(config.allowListFile),
    log,
    onAlerts: (batch, ack) => {
      const onRefused = noteRefusedAlert(conditions, log);
      void deliverAlerts(batch, own.link?.client(), onRefused).then(() => ack(), ack);
    },
    onProblem: ({ code, message }) => {
      tail.add(`${code}: ${message}`);
      log.warn({ code }, message);
    },
    onCrash: (because, restarts, stack) => {
      if (stack !== "") tail.add(stack.split("\n").slice(0, 8).join("\n"));
      const what = `The pipeline died and was started again, ${restarts} times since the agent began`;
      conditions.raise("pipeline/crashed", `${what}: ${because}`);
      shadow().workerDied(because);
      applier().lost(because);
    },
    onRestart: () => applier().nudge(),
    onRecovered: () => conditions.clear("pipeline/crashed"),
  });
}

function openShadow(
  own: Own,
  stored: ReturnType<typeof openStored>,
  pipeline: KeptPipeline,
  log: Logger,
  signal: AbortSignal,
): ShadowKeeper {
  return keepShadow({ ...candidatePorts(own, stored, pipeline, log, signal), candidates: stored.candidates });
}

function openBacktest(
  config: Config,
  ports: ReturnType<typeof candidatePorts>,
  { backtests, paths }: ReturnType<typeof openStored>,
): BacktestKeeper {
  const guard = readAllowList(config.allowListFile);
  return keepBacktest({ ...ports, candidates: backtests, startsPath: paths.backtestStarts, guard });
}

/** What those that evaluate candidates work with. */
function candidatePorts(
  own: Own,
  { trust }: ReturnType<typeof openStored>,
  pipeline: KeptPipeline,
  log: Logger,
  signal: AbortSignal,
) {
  const { org } = own.identity;
  const client = () => own.link?.client();
  return { trust, pipeline, log, signal, client, org, onChange: () => own.link?.wake() };
}

/** An alert that the server will never take must not hold up those behind it; its body stays in the log. */
function noteRefusedAlert(conditions: Conditions, log: Logger) {
  return ({ id, rule, body }: PipelineAlert, because: string): void => {
    log.error({ id, rule, body, because }, "the server refuses an alert for good");
    conditions.raise("alerts/refused", `The server refused an alert of rule "${rule}" for good: ${because}`);
  };
}

function speakerOf(
  own: Own,
  { current, trust, auditHead }: ReturnType<typeof openStored>,
  conditions: Conditions,
  { applier, shadow, backtest }: Pick<Takers, "applier" | "shadow" | "backtest">,
): Speaker {
  return createSpeaker({
    identity: () => own.identity,
    instance: own.instance,
    current: current.get,
    running: () => applier.running(),
    trust,
    auditHead,
    conditions,
    reportVersion: () => own.reportVersion,
    rates: () => own.ledger.buckets,
    ratesAcknowledged: (minuteMs) => (own.ledger = acknowledge(own.ledger, minuteMs)),
    shadow: () => shadow.standing(),
    backtest: () => backtest.standing(),
    sign: (report) => signReport(own.identity.privateKey, report),
  });
}
