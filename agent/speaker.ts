import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  AttemptSchema,
  ComponentStateSchema,
  ConditionSchema,
  RateBucketSchema,
} from "#proto/agent/v1/agent";
import type { ComponentState, RateBucket as RateBucketMessage } from "#proto/agent/v1/agent";
import type { ApplyTrace } from "./apply-trace.ts";
import type { AuditHeadStore } from "./audit-head.ts";
import type { Conditions } from "./conditions.ts";
import type { AttemptRecord, Current, RunningSet } from "./current.ts";
import { kinds } from "./domain/apply-plan.ts";
import type { RateBucket } from "./domain/rates.ts";
import { spkiPinOfPem } from "#trust";
import { caFloor } from "./identity/identity.ts";
import type { Identity } from "./identity/identity.ts";
import type { Instance } from "./identity/starts.ts";
import type { SaidOfBacktest, SaidOfShadow, Speaker } from "./link/session.ts";
import type { RulesParts } from "./pipeline/pipeline.ts";
import type { TrustStore } from "./trust-store.ts";
import { agentVersion } from "./version.ts";

/** Where the speaker reads what it says. */
export interface SpeakerSources {
  readonly identity: () => Identity;
  readonly instance: Instance;
  /** What runs bundles here. */
  readonly capabilities: readonly string[];
  /** The oldest engine that rules have to load in here, x.y.z. */
  readonly engine: () => string;
  readonly current: () => Current;
  /** What runs now, which is not what ran last when that does not load. */
  readonly running: () => RunningSet;
  /** What the rules are made of, when teams put layers on the bundle. */
  readonly parts: () => RulesParts | undefined;
  readonly trust: TrustStore;
  readonly auditHead: Pick<AuditHeadStore, "get">;
  readonly conditions: Conditions;
  readonly reportVersion: () => number;
  /** Where the work stands in the trace of a rollout. */
  readonly trace: Pick<ApplyTrace, "telling" | "told">;
  readonly rates: () => readonly RateBucket[];
  readonly ratesAcknowledged: (throughMinuteMs: number) => void;
  readonly shadow: () => SaidOfShadow | undefined;
  readonly backtest: () => SaidOfBacktest | undefined;
  readonly sign: (report: Uint8Array) => Uint8Array;
}

/** The protocol versions that this agent speaks. */
const protocol = { protocolMin: 1, protocolMax: 1 };

export function createSpeaker(sources: SpeakerSources): Speaker {
  return {
    hello: () => ({
      agentVersion,
      engineVersion: sources.engine(),
      clusterUid: sources.identity().clusterUid,
      capabilities: [...sources.capabilities],
      instanceId: sources.instance.id,
      starts: sources.instance.starts,
      ...protocol,
    }),
    reportVersion: sources.reportVersion,
    traceparent: sources.trace.telling,
    reportAcknowledged: sources.trace.told,
    report: () => ({
      clusterId: sources.identity().clusterId,
      agentId: sources.identity().agentId,
      observedGeneration: BigInt(sources.current().assignment?.generation ?? 0),
      components: [
        ...componentsOf(sources.current(), sources.running(), sources.parts()),
        ...layersOf(sources.current(), sources.running(), sources.parts()),
      ],
      trustedCas: sources.identity().ca.map(spkiPinOfPem),
      conditions: sources.conditions
        .list()
        .map(({ code, message, sinceMs }) =>
          create(ConditionSchema, { code, message, since: timestampFromMs(sinceMs) }),
        ),
      ...carriedBy(sources),
    }),
    sign: sources.sign,
    shadow: sources.shadow,
    backtest: sources.backtest,
    rates: () => sources.rates().map(rateMessage),
    ratesAcknowledged: sources.ratesAcknowledged,
    trustVersions: () => {
      const { root, targets, snapshot, timestamp } = sources.trust.versions();
      return {
        root: BigInt(root),
        targets: BigInt(targets),
        snapshot: BigInt(snapshot),
        timestamp: BigInt(timestamp),
        layers: Object.fromEntries(
          Object.entries(sources.trust.lists()).map(([layer, version]) => [layer, BigInt(version)]),
        ),
      };
    },
    caBundleVersion: () => BigInt(caFloor(sources.identity(), sources.trust.assigners())),
    auditHead: () => knownHead(sources),
    labelsDigest: () => labelsDigest(sources.current().labels),
  };
}

/** The head that is held, as far as the server needs it to tell what follows; undefined when none is. */
function knownHead({ auditHead }: SpeakerSources) {
  const held = auditHead.get();
  if (held === undefined) return undefined;
  const { sequence, hash, time } = held.head;
  return {
    sequence: BigInt(sequence),
    hash: Buffer.from(hash, "hex"),
    time: timestampFromMs(time.getTime()),
  };
}

/** The head as the server signed it, so that nobody has to take the agent's word for it. */
function carriedBy({ auditHead }: SpeakerSources) {
  const held = auditHead.get();
  if (held === undefined) return {};
  const { payloadType, payload, signatures } = held.envelope;
  const wire = signatures.map(({ keyId, signature }) => ({ keyId, signature: Uint8Array.from(signature) }));
  return { auditHead: { payloadType, payload: Uint8Array.from(payload), signatures: wire } };
}

/** SHA-256 over the labels as JSON with sorted keys; the server compares it with its own. */
export function labelsDigest(labels: Readonly<Record<string, string>>): Uint8Array {
  const sorted = Object.keys(labels)
    .sort()
    .map((key) => [key, labels[key]]);
  return createHash("sha256").update(JSON.stringify(sorted)).digest();
}

function componentsOf(
  current: Current,
  runningNow: RunningSet,
  parts: RulesParts | undefined,
): ComponentState[] {
  return kinds.map((kind) => {
    const running = runningNow[kind];
    const digest = kind === "rules" && parts !== undefined ? parts.base : `sha256:${running?.sha256 ?? ""}`;
    return componentOf(kind, running && { digest, sinceMs: running.sinceMs }, current.attempts[kind]);
  });
}

/** A layer that a team owns is a component of its own, "layer/NAME": what runs of it, and what was tried. */
function layersOf(current: Current, runningNow: RunningSet, parts: RulesParts | undefined): ComponentState[] {
  const { layers = {} } = current;
  const running = new Map(parts?.layers.map(({ name, digest }) => [name, digest]));
  return [...new Set([...Object.keys(layers), ...running.keys()])].sort().map((name) => {
    const digest = running.get(name);
    const sinceMs = runningNow.rules?.sinceMs ?? 0;
    return componentOf(`layer/${name}`, digest === undefined ? undefined : { digest, sinceMs }, layers[name]);
  });
}

function componentOf(
  kind: string,
  running: { readonly digest: string; readonly sinceMs: number } | undefined,
  attempt: AttemptRecord | undefined,
): ComponentState {
  return create(ComponentStateSchema, {
    kind,
    ...(running === undefined
      ? {}
      : {
          runningDigest: Buffer.from(running.digest.slice("sha256:".length), "hex"),
          runningSince: timestampFromMs(running.sinceMs),
        }),
    ...(attempt === undefined
      ? {}
      : {
          lastAttempt: create(AttemptSchema, {
            digest: Buffer.from(attempt.base ?? attempt.sha256, "hex"),
            generation: BigInt(attempt.generation),
            phase: attempt.phase,
            reason: attempt.reason,
            detail: attempt.detail,
            at: timestampFromMs(attempt.atMs),
            logTail: attempt.logTail ?? "",
          }),
        }),
  });
}

function rateMessage(bucket: RateBucket): RateBucketMessage {
  return create(RateBucketSchema, {
    minute: timestampFromMs(bucket.minuteMs),
    events: BigInt(bucket.events),
    bytes: BigInt(bucket.bytes),
    alerts: BigInt(bucket.alerts),
    dropped: BigInt(bucket.dropped),
    parked: BigInt(bucket.parked),
    lagMs: BigInt(Math.round(bucket.lagMs)),
    detectionUs: BigInt(Math.round(bucket.detectionUs)),
    seconds: Math.round(bucket.seconds),
  });
}
