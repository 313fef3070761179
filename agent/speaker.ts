import { X509Certificate, createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { engineVersion } from "#engine";
import {
  AttemptSchema,
  ComponentStateSchema,
  ConditionSchema,
  RateBucketSchema,
} from "#proto/agent/v1/agent";
import type { ComponentState, RateBucket as RateBucketMessage } from "#proto/agent/v1/agent";
import type { AuditHeadStore } from "./audit-head.ts";
import type { Conditions } from "./conditions.ts";
import type { Current, RunningSet } from "./current.ts";
import { kinds } from "./domain/apply-plan.ts";
import type { RateBucket } from "./domain/rates.ts";
import { spkiPin } from "#trust";
import { caFloor } from "./identity/identity.ts";
import type { Identity } from "./identity/identity.ts";
import type { Instance } from "./identity/starts.ts";
import type { SaidOfBacktest, SaidOfShadow, Speaker } from "./link/session.ts";
import type { TrustStore } from "./trust-store.ts";
import { agentVersion } from "./version.ts";

/** Where the speaker reads what it says. */
export interface SpeakerSources {
  readonly identity: () => Identity;
  readonly instance: Instance;
  readonly current: () => Current;
  /** What runs now, which is not what ran last when that does not load. */
  readonly running: () => RunningSet;
  readonly trust: TrustStore;
  readonly auditHead: Pick<AuditHeadStore, "get">;
  readonly conditions: Conditions;
  readonly reportVersion: () => number;
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
      engineVersion,
      clusterUid: sources.identity().clusterUid,
      capabilities: ["driver:embedded"],
      instanceId: sources.instance.id,
      starts: sources.instance.starts,
      ...protocol,
    }),
    reportVersion: sources.reportVersion,
    report: () => ({
      clusterId: sources.identity().clusterId,
      agentId: sources.identity().agentId,
      observedGeneration: BigInt(sources.current().assignment?.generation ?? 0),
      components: componentsOf(sources.current(), sources.running()),
      trustedCas: sources.identity().ca.map(pinOfPem),
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
      };
    },
    caBundleVersion: () => BigInt(caFloor(sources.identity(), sources.trust.assigners())),
    auditHead: () => {
      const held = sources.auditHead.get();
      if (held === undefined) return undefined;
      const { sequence, hash, time } = held.head;
      return {
        sequence: BigInt(sequence),
        hash: Buffer.from(hash, "hex"),
        time: timestampFromMs(time.getTime()),
      };
    },
    labelsDigest: () => labelsDigest(sources.current().labels),
  };
}

function pinOfPem(pem: string): string {
  return spkiPin(new X509Certificate(pem).raw);
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

function componentsOf(current: Current, runningNow: RunningSet): ComponentState[] {
  return kinds.map((kind) => {
    const running = runningNow[kind];
    const attempt = current.attempts[kind];
    return create(ComponentStateSchema, {
      kind,
      ...(running === undefined
        ? {}
        : {
            runningDigest: Buffer.from(running.sha256, "hex"),
            runningSince: timestampFromMs(running.sinceMs),
          }),
      ...(attempt === undefined
        ? {}
        : {
            lastAttempt: create(AttemptSchema, {
              digest: Buffer.from(attempt.sha256, "hex"),
              generation: BigInt(attempt.generation),
              phase: attempt.phase,
              reason: attempt.reason,
              detail: attempt.detail,
              at: timestampFromMs(attempt.atMs),
              logTail: attempt.logTail ?? "",
            }),
          }),
    });
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
