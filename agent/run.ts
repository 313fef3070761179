import type { Logger } from "pino";
import type { SyncResponse } from "#proto/agent/v1/agent";
import { engineVersion } from "#engine/version";
import type { Traces } from "#traces";
import { certificateToPem, olderEngine, signReport } from "#trust";
import { deliverAlerts } from "./alerts.ts";
import { readAllowList } from "./allow-list.ts";
import { createApplier } from "./applier.ts";
import type { Applier } from "./applier.ts";
import { createApplyTrace, openAgentTraces, tracesMs } from "./apply-trace.ts";
import type { ApplyTrace } from "./apply-trace.ts";
import { keepBacktest } from "./backtest-keeper.ts";
import type { BacktestKeeper } from "./backtest-keeper.ts";
import type { RunningSet } from "./current.ts";
import { createConditions, noteTrouble } from "./conditions.ts";
import type { Conditions } from "./conditions.ts";
import type { Config } from "./config.ts";
import { pathsOf } from "./config.ts";
import { acknowledge, emptyLedger } from "./domain/rates.ts";
import type { RateLedger } from "./domain/rates.ts";
import { capabilitiesOf, hasDrivers, isElsewhere, keepDriven } from "./drivers/open-drivers.ts";
import { factsOf } from "./facts.ts";
import { enrollAgain } from "./identity/enroll.ts";
import type { Identity } from "./identity/identity.ts";
import type { Instance } from "./identity/starts.ts";
import { caFloor, endpointOf, writeIdentity } from "./identity/identity.ts";
import type { Renewal, RenewalPorts } from "./identity/renew.ts";
import { keepCertificate } from "./identity/renew.ts";
import { beginInstance } from "./identity/starts.ts";
import type { KeepOptions, KeptPipeline } from "./keep-pipeline.ts";
import type { Link, LinkState } from "./link/link.ts";
import { startLink } from "./link/link.ts";
import type { Speaker } from "./link/session.ts";
import type { LogTail } from "./log-tail.ts";
import { noteCarried } from "./note-carried.ts";
import { observePipeline } from "./observe.ts";
import type { PipelineAlert } from "./pipeline/pipeline.ts";
import { openResponder } from "./respond/open.ts";
import type { Responder } from "./respond/responder.ts";
import { keepShadow } from "./shadow-keeper.ts";
import type { ShadowKeeper } from "./shadow-keeper.ts";
import { createSpeaker } from "./speaker.ts";
import { openStored } from "./stored.ts";
import type { Stored } from "./stored.ts";
import type { ResponsePorts } from "./take-response.ts";
import { takeResponse } from "./take-response.ts";
import { openTrials } from "./trials.ts";
import type { Trials } from "./trials.ts";

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
  readonly capabilities: readonly string[];
  /** Of the agent, or of an older program that runs its rules. */
  engine: string;
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
  const own = newOwn(config, identity, log);
  const { traces, trace } = await openTracing(config, own, () => applier.running(), log);
  const stopping = new AbortController();
  const stored = openStored(config, identity, log);
  const conditions = createConditions(() => noteChange(own));
  const pipeline = await openPipeline(config, own, conditions, log, stored.tail, {
    applier: () => applier,
    shadow: () => shadow,
    responder: () => responder,
  });
  const responder = openResponder({ config, ...callingAs(own), conditions, log });
  const candidates = candidatePorts(own, stored, { pipeline, rules: () => applier.rules() }, log, stopping);
  const shadow = keepShadow({ ...candidates, candidates: stored.candidates });
  const backtest = openBacktest(config, candidates, stored);
  const trials = trialsOf(config, stored, pipeline, () => applier);
  const applier: Applier = createApplier({
    ...stored,
    pipeline,
    trials,
    trace,
    conditions,
    log,
    client: () => own.link?.client(),
    facts: (labels) => factsOf(own.identity, labels, config.variables),
    org: identity.org,
    onChange: () => noteChange(own),
    onTrouble: noteTrouble(conditions),
    signal: stopping.signal,
  });
  await begin(applier, config);

  const certificate = keepCertificate(renewalOf(config, own, conditions, log));
  const carry = noteCarried(stored.auditHead, () => noteChange(own));
  const link = startLink({
    log,
    transport: config.transport,
    endpoint: () => endpointOf(own.identity),
    speaker: speakerOf(own, stored, conditions, { applier, shadow, backtest, trace }),
    take: takerOf(own, stored, conditions, log, { certificate, carry, applier, shadow, backtest, trace }),
    onState: whenConnected(applier, certificate, responder, log),
  });
  own.link = link;
  const observer = observerOf(own, stored, { pipeline, conditions, trials, responder, traces });
  return {
    async stop() {
      stopping.abort();
      observer.stop();
      certificate.stop();
      noteClosed(trials, log);
      await pipeline.stop();
      await responder.stop();
      await link.stop();
      await traces.stop(tracesMs);
    },
  };
}

interface Observed {
  readonly pipeline: KeptPipeline;
  readonly conditions: Conditions;
  readonly trials: Trials;
  readonly responder: Responder;
  readonly traces: Traces;
}

function observerOf(own: Own, stored: Stored, { pipeline, conditions, trials, responder, traces }: Observed) {
  return observePipeline({
    pipeline,
    conditions,
    ...stored,
    onStats: (stats) => trials.look(stats),
    responses: () => responder.stats(),
    spans: () => traces.counts(),
    onRates: (next) => (own.ledger = next(own.ledger)),
  });
}

/** Traces of this agent, and what of a rollout's goes on in it. */
async function openTracing(config: Config, own: Own, running: () => RunningSet, log: Logger) {
  const traces = await openAgentTraces(config, log);
  const trace = createApplyTrace({
    traces,
    who: () => own.identity,
    reportVersion: () => own.reportVersion,
    running: (kind) => running()[kind]?.sha256,
  });
  return { traces, trace };
}

function newOwn(config: Config, identity: Identity, log: Logger): Own {
  const instance = beginInstanceOf(config, log);
  const capabilities = capabilitiesOf(config.drivers);
  const engine = engineVersion;
  return { identity, instance, capabilities, engine, link: undefined, reportVersion: 0, ledger: emptyLedger };
}

/** What is done with each answer of the server. */
function takerOf(
  own: Own,
  stored: Stored,
  conditions: Conditions,
  log: Logger,
  { certificate, carry, applier, shadow, backtest, trace }: Takers,
) {
  return async (response: SyncResponse): Promise<void> => {
    const ports = { ...stored, conditions, log, ...casOf(own, stored) };
    const fromMs = Date.now();
    const { labelsChanged, generationChanged, assigned } = takeResponse(response, ports);
    const { assignment, traceparent } = response;
    if (assignment !== undefined) trace.took({ traceparent, generation: assigned, fromMs });
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
  readonly trace: ApplyTrace;
}

function trialsOf(config: Config, stored: Stored, pipeline: KeptPipeline, applier: () => Applier): Trials {
  return openTrials({
    ...stored,
    pipelineDir: stored.paths.pipeline,
    bounds: { soakMs: config.soakMs, stallMs: stallMsOf(config.soakMs), detectionUsMax },
    isElsewhere: (kind) => isElsewhere(config.drivers, kind),
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
function casOf(own: Own, { paths, trust }: Stored): Pick<ResponsePorts, "caVersion" | "setCas"> {
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
function whenConnected(applier: Applier, certificate: Renewal, responder: { tell(): void }, log: Logger) {
  return ({ connected, transport, isRefused }: LinkState): void => {
    // A new certificate, or a new join string, may be what is missing.
    if (isRefused) certificate.renewSoon();
    if (!connected) return;
    log.info({ transport }, "connected to the server");
    applier.nudge();
    responder.tell();
  };
}

/** Last-known-good first; a program beside the agent may take its time, and the link does not wait for it. */
async function begin(applier: Applier, { drivers }: Config): Promise<void> {
  if (hasDrivers(drivers)) applier.nudge();
  else await applier.resume();
}

function noteChange(own: Own): void {
  own.reportVersion += 1;
  own.link?.wake();
}

/** What the pipeline tells, and what is opened after it. */
interface LaterParts {
  readonly applier: () => Applier;
  readonly shadow: () => ShadowKeeper;
  readonly responder: () => Responder;
}

/** Who this agent is, and how it calls the server, at each moment. */
function callingAs(own: Own) {
  return { identity: () => own.identity, client: () => own.link?.client() };
}

function openPipeline(
  config: Config,
  own: Own,
  conditions: Conditions,
  log: Logger,
  tail: LogTail,
  { applier, shadow, responder }: LaterParts,
): Promise<KeptPipeline> {
  const options: KeepOptions = {
    stateDir: pathsOf(config.stateDir).pipeline,
    allowList: readAllowList(config.allowListFile),
    log,
    onAlerts: (batch, ack) => {
      const onRefused = noteRefusedAlert(conditions, log);
      void deliverAlerts(batch, own.link?.client(), onRefused).then(() => ack(), ack);
    },
    onRespond: (candidate, missed) => responder().take(candidate, missed),
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
  };
  return keepDriven(options, {
    settings: config.drivers,
    dir: pathsOf(config.stateDir).drivers,
    lost: (kind, because) => applier().lostKind(kind, because),
    back: () => applier().nudge(),
    engine: (version) => (own.engine = olderEngine(engineVersion, version)),
  });
}

function openBacktest(
  config: Config,
  ports: ReturnType<typeof candidatePorts>,
  { backtests, paths }: Stored,
): BacktestKeeper {
  const guard = readAllowList(config.allowListFile);
  return keepBacktest({ ...ports, candidates: backtests, startsPath: paths.backtestStarts, guard });
}

/** What those that evaluate candidates work with. */
function candidatePorts(
  own: Own,
  { trust, current }: Stored,
  running: { readonly pipeline: KeptPipeline; readonly rules: Applier["rules"] },
  log: Logger,
  { signal }: AbortController,
) {
  const { org } = own.identity;
  const client = () => own.link?.client();
  const labels = () => current.get().labels;
  return { ...running, trust, labels, log, signal, client, org, onChange: () => own.link?.wake() };
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
  { current, trust, auditHead }: Stored,
  conditions: Conditions,
  { applier, shadow, backtest, trace }: Pick<Takers, "applier" | "shadow" | "backtest" | "trace">,
): Speaker {
  return createSpeaker({
    identity: () => own.identity,
    instance: own.instance,
    capabilities: own.capabilities,
    engine: () => own.engine,
    current: current.get,
    running: () => applier.running(),
    parts: () => applier.parts(),
    trust,
    auditHead,
    conditions,
    reportVersion: () => own.reportVersion,
    trace,
    rates: () => own.ledger.buckets,
    ratesAcknowledged: (minuteMs) => (own.ledger = acknowledge(own.ledger, minuteMs)),
    shadow: () => shadow.standing(),
    backtest: () => backtest.standing(),
    sign: (report) => signReport(own.identity.privateKey, report),
  });
}
